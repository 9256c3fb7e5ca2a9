"""What a reader understood of a ratings file, and what looks suspicious in it."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from d2l_autorec.errors import InputError, clip, plain

if TYPE_CHECKING:
    import pandas as pd

MANY = 10  # of fewer ratings, users or rows nothing is said to be suspicious
_TOTALS = {"total", "totals", "grand total", "sum", "average", "mean", "gesamt", "summe"}
_UNITS = (1, 10**3, 10**6, 10**9)  # of times, in a second
_SINCE, _UNTIL = 5 * 10**8, 5 * 10**9  # seconds since 1970: 1985 to 2128


@dataclass(frozen=True)
class Understanding:
    """What a reader understood of a ratings file."""

    file: str  # as messages call it
    kind: str  # text, Netflix blocks, JSON lines, Parquet, ...
    columns: dict[str, str]  # for user, item, rating and timestamp, the column taken
    separator: str | None  # None where the file has none, as for the next two
    encoding: str | None
    decimal: str | None
    users: int  # how many there are, as for the next two, after what was left out
    items: int
    ratings: int
    low: float  # the smallest and the largest rating
    high: float
    counts: dict[str, int]  # how often each rating occurs, if at most 24 different ones do
    duplicates: int  # ratings that went because their pair has another
    missing: int  # rows left out, without a rating
    not_rated: int  # rows left out, with a rating that means "not rated"
    titles: int | None  # items whose title is known; None if there is no file of titles
    timestamps: str  # used, none or ignored
    first: str | None  # the earliest and the latest time, where its unit is clear
    last: str | None
    notices: tuple[str, ...]  # what was left out or repaired
    warnings: tuple[str, ...]  # what looks suspicious

    @property
    def _form(self) -> str:
        return ", ".join(filter(None, (self.kind, self.separator, self.encoding)))

    def line(self) -> str:
        """Say all of it in one line."""
        places = self.columns.values()
        named = not any(said.endswith("(no header)") for said in places)
        columns = ", ".join(said.replace("column ", "").split(" (no")[0] for said in places)
        titles = "" if self.titles is None else f" ({self.titles:,} titles)"
        times = "" if self.timestamps == "none" else f"; times {self.timestamps}"
        return plain(
            f"{self.file}: {self.ratings:,} ratings {self.low:g} to {self.high:g}, "
            f"{self.users:,} users, {self.items:,} items{titles}; columns {columns}"
            f"{'' if named else ' (no header)'}; {self._form}{times}."
        )

    def text(self) -> str:
        """Say all of it in lines of at most 80 characters."""
        decimal = {",": ", decimal comma", ".": ", decimal point"}.get(self.decimal or "", "")
        span = f", {self.first} to {self.last}" if self.first else ""
        titles = "no file of titles" if self.titles is None else f"for {self.titles:,} items"
        rows = {
            "file": self.file,
            "form": self._form + decimal,
            **self.columns,
            "times": self.timestamps + span,
            "users": f"{self.users:,}",
            "items": f"{self.items:,}",
            "ratings": f"{self.ratings:,}, from {self.low:g} to {self.high:g}",
            "duplicates": f"{self.duplicates:,} left out",
            "no rating": f"{self.missing:,} rows left out",
            "not rated": f"{self.not_rated:,} rows left out" if self.not_rated else "",
            "titles": titles,
        }
        lines = []
        for name, said in rows.items():
            lines += _wrapped(f"{name:<12}", said, hang=12) if said else []
        lines += [""] if self.counts else []
        for rating, count in self.counts.items():
            bar = "#" * round(40 * count / max(self.counts.values()))
            lines.append(f"{rating:>8} {count:>13,} {100 * count / self.ratings:5.1f} %  {bar}")
        for name, texts in (("note", self.notices), ("WARNING", self.warnings)):
            for text in texts:
                lines += ["", *_wrapped(f"{name}: ", text, hang=2)]
        return "\n".join(lines)

    def as_json(self) -> dict[str, Any]:
        """Return all of it for ``json.dumps``."""
        return asdict(self)

    def check_trainable(self) -> None:
        """Raise an InputError if the ratings are all equal or times: nothing can be learned."""
        if self.low > _SINCE:
            raise InputError(
                f"{self.file}: the ratings, from {self.low:g} to {self.high:g}, look like times; "
                "say which column is which with --columns."
            )
        if self.low == self.high:
            raise InputError(
                f"{self.file}: all {self.ratings:,} ratings are {self.low:g}, so that nothing can "
                "be learned; give a file in which users rate some items higher than others."
            )


def _wrapped(head: str, said: str, hang: int) -> list[str]:
    text, indent = head + plain(said), " " * hang
    return textwrap.wrap(text, 80, subsequent_indent=indent, break_on_hyphens=False)


def time_range(times: np.ndarray) -> tuple[str | None, str | None]:
    """Give the earliest and the latest time as dates, where all are in one unit since 1970."""
    low, high = int(times.min()), int(times.max())
    for per_second in _UNITS:
        if _SINCE * per_second <= low and high < _UNTIL * per_second:
            first, last = (np.datetime64(end // per_second, "s") for end in (low, high))
            return str(first.astype("datetime64[D]")), str(last.astype("datetime64[D]"))
    return None, None


def suspicions(table: pd.DataFrame) -> list[str]:
    """Say in sentences what looks suspicious in a table of ratings."""
    values = table["rating"].to_numpy(np.float64)
    rating, count = np.unique(values, return_counts=True)
    said = []
    if len(rating) == 1:
        said.append(f"All ratings are {rating[0]:g}: nothing can be learned from them.")
    elif np.quantile(values, 0.1) > _SINCE:
        said.append("The ratings look like times; say which column is which with --columns.")
    elif (
        len(values) >= MANY
        and (values == np.floor(values)).all()
        and (
            rating[-1] > 1000
            or len(rating) > max(101, len(values) / 2)
            or len(rating) == len(values)
        )
    ):
        said.append(
            f"The ratings, whole numbers from {rating[0]:g} to {rating[-1]:g}, look like ids or "
            "counts; say which column is which with --columns."
        )
    for value in isolated(rating, count):
        share = count[rating == value][0] / len(values)
        shown = f"{100 * share:.2g} %" if share < 0.999 else f"{100 * share:.4g} %"
        said.append(
            f"{shown} of the ratings are {value:g}, apart from the others; if it means 'not "
            f"rated', give --not-rated {value:g}."
        )
    per_user, per_item = (np.bincount(table[column].to_numpy()) for column in ("user", "item"))
    single = float((per_user == 1).mean())
    if len(per_user) >= MANY and single == 1:
        said.append(
            "Every user has one rating: nothing can be learned about a user, and the column taken "
            "for the user may be another; see --columns."
        )
    elif len(per_user) >= MANY and single > 0.5:
        said.append(
            f"{100 * single:.0f} % of the users have one rating, about whom little can be learned."
        )
    if len(per_item) >= MANY and (per_item == 1).all():
        said.append(
            "Every item has one rating: nothing can be learned about an item, and the column "
            "taken for the item may be another; see --columns."
        )
    return said


def of_totals(user: str, where: Callable[[], str]) -> list[str]:
    """Warn if the last line's user is named as the totals below a table are."""
    if user.strip(": ").lower() not in _TOTALS:
        return []
    return [f"{where()}: the user {clip(user)} may name a line of totals; if so, remove it."]


def isolated(rating: np.ndarray, count: np.ndarray) -> list[float]:
    """Find whole numbers such as -1, 0 and 99 that stand apart and may mean "not rated".

    The different ratings rise; ``count`` is how often each occurs.
    """
    found = []
    if len(rating) > 1 and rating[0] <= 0:
        gaps = np.diff(rating)
        alone = rating[0] < 0 <= rating[1]
        far = len(gaps) > 1 and gaps[0] > gaps[1:].max()
        often = rating[0] == 0 and count[0] > count[1]
        if alone or far or often:
            found.append(float(rating[0]))
    if len(rating) > 2 and rating[-1] > 5:
        spread = rating[-2] - rating[0]
        if rating[-1] - rating[-2] > max(spread, 3 * np.diff(rating[:-1]).max()):
            found.append(float(rating[-1]))
    return [value for value in found if value.is_integer()]
