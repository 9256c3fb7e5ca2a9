"""Which column of a file is the user, the item, the rating and the timestamp."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from d2l_autorec.data.options import COLUMNS
from d2l_autorec.errors import InputError

_PEOPLE = (
    "user reviewer customer member rater reader viewer listener player visitor client student "
    "buyer account profile person"
)
_THINGS = (
    "item movie film book anime manga product song track artist album game app joke recipe beer "
    "wine restaurant business place venue hotel course video show series paper article story poi "
    "podcast dish food drug"
)


def _named(nouns: str, *endings: str) -> set[str]:
    return {noun + ending for noun in nouns.split() for ending in endings}


# For each column its names, the strongest first. Case and all but letters and digits are ignored.
_NAMES: dict[str, tuple[set[str], ...]] = {
    "user": (
        {"userid", "uid"},
        _named(_PEOPLE, "id"),
        _named(_PEOPLE, "no", "nr", "number", "code", "key", "index"),
        {"user", "username"},
        {*_PEOPLE.split(), "profilename", "nickname", "login"},
        {"u"},
    ),
    "item": (
        {"itemid", "iid"},
        _named(_THINGS, "id"),
        _named(_THINGS, "no", "nr", "number", "code", "key", "index"),
        {"asin", "isbn", "isbn13", "isbn10", "sku", "ean", "const"},
        {"imdbid", "tmdbid"},
        {"ID"},  # any other name that ends so: see `_is_id`
        {"item", *_THINGS.split()},
        {"title", *_named(_THINGS, "title", "name")},
        {"name"},
        {"i"},
    ),
    "rating": (
        {"rating", "ratings"},
        {"userrating", "yourrating", "myrating", "reviewrating", "starrating", "ratingvalue"},
        _named(_THINGS, "rating"),
        {"stars", "star", "overall", "reviewoverall", "userscore", "yourscore", "myscore"},
        {"score", "reviewscore", "grade", "mark", "vote", "points"},
        {"value", "preference", "label"},
        {"r"},
    ),
    "timestamp": (
        {"timestamp", "unixreviewtime", "unixtimestamp", "unixtime", "ts"},
        {"time", "datetime", "ratingtime", "reviewtime", "ratedat", "createdat"},
        {"date", "ratingdate", "reviewdate", "daterated", "ratedon"},
        {"t"},
    ),
    "year": ({"year", "releaseyear", "movieyear"}, {"publicationyear", "yearofpublication"}),
    "genres": ({"genres", "genre"}, {"class", "categories", "category"}),
}
_OTHER_IDS = {"id", "reviewid", "ratingid", "rowid", "sessionid", "orderid", "eventid", "genreid"}


@dataclass(frozen=True)
class Places:
    """Where a file's columns are: positions from 0, why, and what was left open, for people."""

    at: dict[str, int]
    why: dict[str, str]
    notices: tuple[str, ...] = ()


def simple_name(name: str) -> str:
    """Normalise the name of a column; recbole's ``user_id:token`` becomes ``userid``."""
    name = name.strip().strip("\ufeff\"'# ").lower().split(":")[0].rpartition("/")[2]
    return "".join(c for c in name if c.isalnum())


def _is_id(name: str) -> bool:
    bare = name.strip().strip("\ufeff\"'# ").split(":")[0]
    found = re.search(r"(?:[ _.-][iI][dD]|[a-z0-9]I[dD]|[A-Z]ID)$", bare)
    return bool(found) and simple_name(name) not in _OTHER_IDS


def find_columns(names: Sequence[str], wanted: Sequence[str] = COLUMNS) -> dict[str, list[int]]:
    """Find the columns whose names a header has: of each the positions of its strongest name."""
    simple = [simple_name(name) for name in names]
    taken: set[int] = set()
    found = {}
    for column in wanted:
        for known in _NAMES[column]:
            free = [i for i in range(len(names)) if i not in taken]
            at = [i for i in free if simple[i] in known or ("ID" in known and _is_id(names[i]))]
            if at:
                found[column] = at
                taken.update(at)
                break
    return found


def is_header(names: Sequence[str]) -> bool:
    """Tell whether a file's first fields name columns."""
    found = find_columns(names)
    one = [names[at[0]] for at in found.values()]
    return len(found) > 1 or (len(one) == 1 and len(simple_name(one[0])) > 3)


def match_columns(names: Sequence[str]) -> dict[str, int]:
    """Find the columns' positions in a header; the first of several that fit."""
    found = find_columns(names) if is_header(names) else {}
    return {column: at[0] for column, at in found.items()}


def take_columns(
    names: Sequence[str], asked: dict[str, str], where: str, needed: Sequence[str] = COLUMNS[:3]
) -> Places:
    """Choose a file's columns by the names in its header, and by `ReadOptions.columns`.

    The columns ``needed`` must be there; the timestamp is taken if it is. A message begins with
    ``where``. Raises an InputError if a column is missing, or two have equally good names.
    """
    at = {column: _asked_position(names, column, name, where) for column, name in asked.items()}
    why = {column: f"{names[i].strip()!r} (as asked for)" for column, i in at.items()}
    notices = []
    others = [c for c in COLUMNS if c not in asked]
    left = ["" if i in at.values() else name for i, name in enumerate(names)]
    for column, places in find_columns(left, others).items():
        if column not in (*needed, "timestamp"):
            continue
        if len(places) > 1:
            both = " and ".join(repr(names[i].strip()[:40]) for i in places[:3])
            say = f"--columns {column}={names[places[0]].strip()[:40]}"
            if column == "timestamp":
                notices.append(f"{both} may both be the time, and neither is used; say {say}.")
                continue
            raise InputError(
                f"{where}: the columns {both} may both be the {column}; say which, as in {say}."
            )
        at[column] = places[0]
        why[column] = repr(names[places[0]].strip())
    missing = [column for column in needed if column not in at]
    if missing:
        listed = ", ".join(repr(name.strip()[:40]) for name in names[:12])
        more = ", ..." if len(names) > 12 else ""
        raise InputError(
            f"{where}: the header has no column {' and no column '.join(missing)} that is known "
            f"among {listed}{more}; say which, as in "
            f"--columns {','.join(f'{column}=NAME' for column in missing)}."
        )
    return Places({c: at[c] for c in COLUMNS if c in at}, why, tuple(notices))


def columns_named(names: Sequence[str], name: str) -> list[int]:
    """Find the columns of this name or, if there are none, of one with the same simple name."""
    alike = [i for i, n in enumerate(names) if simple_name(n) == simple_name(name) != ""]
    return [i for i, n in enumerate(names) if _bare(n) == name] or alike


def _bare(name: str) -> str:
    return name.strip().strip("\ufeff\"'")


def _asked_position(names: Sequence[str], column: str, name: str, where: str) -> int:
    found = columns_named(names, name)
    if len(found) == 1:
        return found[0]
    if not found and re.fullmatch("[1-9][0-9]{0,3}", name) and int(name) <= len(names):
        return int(name) - 1
    what = "twice" if found else "not"
    listed = ", ".join(repr(_bare(n)[:40]) for n in names[:12])
    raise InputError(
        f"{where}: --columns {column}={name[:80]} is {what} among the {len(names)} columns "
        f"{listed}{', ...' if len(names) > 12 else ''}; give a name, or a position from 1."
    )


def positions(asked: dict[str, str], width: int, where: str, needed: Sequence[str]) -> Places:
    """Choose the columns of a file without a header, by their order or by what was asked for."""
    at = {}
    for column, place in asked.items():
        if not re.fullmatch("[1-9][0-9]{0,3}", place) or int(place) > width:
            raise InputError(
                f"{where}: --columns {column}={place[:80]} is not a position in a file of {width} "
                f"columns without a header; give a number from 1 to {width}."
            )
        at[column] = int(place) - 1
    if asked and (missing := [column for column in needed if column not in at]):
        raise InputError(
            f"{where}: the file has no header, so --columns must give the position of the "
            f"{' and of the '.join(missing)} too."
        )
    if not asked:
        order = COLUMNS[:width] if len(needed) == 3 else needed
        at = {column: i for i, column in enumerate(order)}
    reason = "as asked for" if asked else "no header"
    return Places(at, {column: f"column {i + 1} ({reason})" for column, i in at.items()})
