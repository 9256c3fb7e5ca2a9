"""The texts of a ratings file -> numbers: ratings and times.

Ratings may have signs: 80 %, 4/5, 4 stars and ★★★★☆ are read as 80, 4, 4 and 4.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Callable

import numpy as np

from d2l_autorec.data.delimited import texts_of
from d2l_autorec.data.options import ReadOptions
from d2l_autorec.data.rows import MISSING, is_number
from d2l_autorec.errors import InputError, clip

if TYPE_CHECKING:
    import pandas as pd

_FLOAT = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_INFINITE = re.compile(r"[+-]?inf(inity)?", re.IGNORECASE)
_STAR, _EMPTY = "[★⭐✭🌟*]\ufe0f?", "☆"
_BEHIND = re.compile(r"(?P<number>\S+?)\s*(?P<sign>%|/\s*[0-9]+|stars?)", re.IGNORECASE)
_DRAWN = re.compile(rf"(?P<full>(?:{_STAR})*)(?P<half>[½⯨]?)(?P<empty>{_EMPTY}*)")
Where = Callable[[int], str]


def rating_values(
    column: pd.Series, options: ReadOptions, where: Where, notices: list[str]
) -> tuple[np.ndarray, np.ndarray, int, int, str | None]:
    """Turn the texts of ratings, categories or numbers, into numbers; tell which rows have one.

    ``where`` names a record's line. What is left out, rows or signs such as %, is added to
    ``notices``. Raises an InputError if a rating is no number, or the decimal sign is not clear.

    Returns
    -------
    values : numpy.ndarray of float64, or of float32 where the column is
        NaN where there is no rating.
    keep : numpy.ndarray of bool
    missing, not_rated : int
        How many rows have no rating, or one that means "not rated".
    decimal : str or None
        The decimal sign found, if one was.
    """
    decimal = None
    if column.dtype.name == "category":
        texts, codes = texts_of(column), column.cat.codes.to_numpy()
        said = {value.strip() for value in options.not_rated}
        dropped = np.array([text in said for text in texts])

        def row_of(i: int) -> str:
            return where(column.index[np.argmax(codes == i)])

        numbers, decimal = _numbers(texts, dropped, options, row_of, notices)
        values, dropped = numbers[codes], dropped[codes]
    else:
        kind = np.float32 if column.dtype == np.float32 else np.float64
        values = column.to_numpy(kind, na_value=np.nan)
        dropped = np.zeros(len(values), bool)
    for text in options.not_rated:
        with suppress(ValueError):
            dropped |= values == float(text.replace(",", "."))
    missing = np.isnan(values) & ~dropped
    count, not_rated = int(missing.sum()), int(dropped.sum())
    if count:
        first = where(column.index[np.argmax(missing)])
        if options.strict:
            raise InputError(
                f"{first}: it has no rating, or too few fields; correct or remove the line."
            )
        notices.append(
            f"{count:,} of {len(values):,} rows have no rating and are left out, the first at "
            f"{first.rpartition(', ')[2]}."
        )
    if not_rated:
        notices.append(
            f"{not_rated:,} of {len(values):,} rows ({100 * dropped.mean():.2g} %) are "
            "left out as not rated."
        )
    return values, ~(missing | dropped), count, not_rated, decimal


def _numbers(
    texts: list[str], dropped: np.ndarray, options: ReadOptions, row_of: Where, notices: list[str]
) -> tuple[np.ndarray, str | None]:
    """Return the number of each text, NaN for those dropped and missing, and the decimal sign."""
    missing = set() if options.strict else MISSING
    given = [i for i, t in enumerate(texts) if not dropped[i] and t.lower() not in missing]
    if signed := without_signs([texts[i] for i in given]):
        for i, number in zip(given, signed[0]):
            texts[i] = number
        notices.append(f"The ratings are read without their sign ({signed[1]}).")
    decimal = options.decimal or _decimal(texts, row_of)
    values = np.full(len(texts), np.nan)
    for i in given:
        text = texts[i]
        plain = text.replace(",", ".") if decimal == "," and "." not in text else text
        if _INFINITE.fullmatch(plain):
            values[i] = np.inf
        elif _FLOAT.fullmatch(plain):
            values[i] = float(plain)
        else:
            other = ""
            if re.fullmatch(r"[\d.,]+", text):
                other = ", or name the decimal sign with --decimal"
            elif not any(_FLOAT.fullmatch(texts[j]) for j in given):
                other = (
                    "; if all are words, write numbers for them, such as 1 for true, 0 for false"
                )
            raise InputError(
                f"{row_of(i)}: the rating {clip(text)} is not a number; correct or remove the "
                f"line{other}."
            )
    return values, decimal


def without_signs(texts: Sequence[str]) -> tuple[list[str], str] | None:
    """Return the texts as numbers where all of them are written with one sign, else None.

    With them comes the sign, for people: ``%``, ``/5``, ``stars``, or the drawn stars.
    """
    found = [_BEHIND.fullmatch(text) for text in texts]
    signs = {"".join(m["sign"].lower().split()).rstrip("s") for m in found if m}
    if texts and all(m and is_number(m["number"]) for m in found) and len(signs) == 1:
        sign = signs.pop()
        return [m["number"] for m in found if m], "stars" if sign == "star" else sign
    drawn = [_DRAWN.fullmatch(text.replace(" ", "")) for text in texts]
    if not texts or not all(m and m[0] for m in drawn):
        return None
    counts = [len(re.findall(_STAR, m["full"])) + (0.5 if m["half"] else 0) for m in drawn if m]
    return [f"{count:g}" for count in counts], "stars, counted"


def _decimal(texts: list[str], row_of: Where) -> str | None:
    commas, points = (
        [i for i, t in enumerate(texts) if re.fullmatch(rf"[+-]?\d*{sign}\d+([eE].*)?", t)]
        for sign in (",", r"\.")
    )
    if commas and points:
        raise InputError(
            f"{row_of(commas[0])}: the rating {clip(texts[commas[0]])} has a comma where others, "
            f"such as {texts[points[0]]}, have a point; correct it, or say --decimal , or "
            "--decimal . if the others are wrong."
        )
    if commas and all(len(texts[i].partition(",")[2]) == 3 for i in commas):
        raise InputError(
            f"{row_of(commas[0])}: the comma of the rating {clip(texts[commas[0]])} may part "
            "decimals or thousands; say --decimal , for decimals, or write it without."
        )
    return "," if commas else "." if points else None


def time_values(column: pd.Series, where: Where) -> tuple[np.ndarray | None, str]:
    """Turn the texts of timestamps, categories or numbers, into whole numbers (int64).

    They are in the file's unit; dates (ISO 8601) in nanoseconds since 1970, as UTC where they name
    no zone. Returns None and the reason where one of them cannot be read.
    """
    import pandas as pd

    if column.dtype.name != "category":
        if column.dtype.kind == "i":
            return column.to_numpy(np.int64), ""
        if column.dtype.kind == "M":
            bad = column.isna().to_numpy()
            times = column.to_numpy("datetime64[ns]").astype(np.int64)
        else:
            numbers = column.to_numpy(np.float64, na_value=np.nan)
            bad = ~(np.abs(numbers) < 2**63)
            times = np.where(bad, 0, numbers).astype(np.int64)
        texts, codes = [], np.arange(len(column))
    else:
        texts, codes = texts_of(column), column.cat.codes.to_numpy()
        times, bad = _times(pd.Series(texts, dtype=object))
    bad = bad[codes]
    count = int(bad.sum())
    if not count:
        return times[codes], ""
    first = int(np.argmax(bad))
    text = clip(texts[codes[first]]) if texts else "there"
    what = "is empty" if text == "''" else f"{text} is no number and no ISO 8601 date"
    more = f", and {count - 1:,} more cannot be read" if count > 1 else ""
    return None, f"{where(column.index[first])}: the timestamp {what}{more}"


def _times(texts: pd.Series) -> tuple[np.ndarray, np.ndarray]:
    """Read all as numbers, or all as dates; tell which could not be."""
    import pandas as pd

    numbers = np.array([float(t) if _FLOAT.fullmatch(t) else np.nan for t in texts])
    far = ~(np.abs(numbers) < 2**63)
    if 2 * far.sum() <= len(texts) or not any("-" in text[1:] for text in texts[far]):
        whole = [
            0 if bad else int(text) if re.fullmatch(r"[+-]?\d+", text) else int(number)
            for text, number, bad in zip(texts, numbers, far)
        ]
        return np.array([t if abs(t) < 2**63 else 0 for t in whole], np.int64), far
    shaped = texts.where(texts.str.match(r"\d{4}-\d\d"), None)
    dates = pd.to_datetime(shaped, format="ISO8601", utc=True, errors="coerce")
    bad = (dates.isna() | (dates.dt.year < 1678) | (dates.dt.year > 2261)).to_numpy()
    times = dates.where(~bad, pd.Timestamp(0, tz="UTC"))
    return times.dt.tz_localize(None).to_numpy("datetime64[ns]").astype(np.int64), bad
