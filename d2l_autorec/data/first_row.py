"""What the first row of a text file says: names or a rating, and where the columns are."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from d2l_autorec.data.columns import (
    Places,
    columns_named,
    find_columns,
    is_header,
    positions,
    simple_name,
    take_columns,
)
from d2l_autorec.data.options import COLUMNS, ReadOptions
from d2l_autorec.data.rows import is_number
from d2l_autorec.errors import InputError, clip

MOST_RATINGS = 21  # different ones, from 0 to 10 by halves
MAX_FIELDS = 256  # with a hundred thousand columns, pandas takes the better part of a minute


def find_places(
    rows: list[list[str]], options: ReadOptions, where: str, separator: str, needed: Sequence[str]
) -> tuple[bool, Places, int]:
    """Tell whether the first row is a header, where the columns are, and how many there are."""
    asked = dict(options.columns)
    if len(rows[0]) > 1 and all(not row[-1].strip() for row in rows):
        rows = [row[:-1] for row in rows]
    first, *rows = rows
    bare = [name.strip().strip('\ufeff"') for name in first]
    ratings = len(needed) == 3
    unsaid = ratings and not asked
    counted = _counted_header(bare, rows, asked, where) if ratings else 0
    if counted:
        if asked:
            return True, take_columns(first, asked, where), len(first)
        if len(first) - (counted - 1) > len(COLUMNS):
            raise _matrix(first, where, True, separator)
        at = dict(zip(COLUMNS, range(counted - 1, len(first))))
        why = {column: f"column {bare[i]!r}" for column, i in at.items()}
        return True, Places(at, why), len(first)
    named = asked and all(columns_named(first, place) for place in asked.values())
    data = _rates(first, asked)  # by positions, a number is the rating
    if (is_header(first) and not data) or named:
        if ratings and _is_matrix(first, rows, asked):
            raise _matrix(first, where, True, separator)
        unsure = unsaid and len(find_columns(first)) < 3 <= len(first)
        if unsure and is_number(first[2]):
            known = next(bare[at[0]] for at in find_columns(first).values())
            raise InputError(
                f"{where}: {clip(','.join(bare[:4]))} may be a rating, or name columns, as "
                f"{clip(known)} does; if it is a rating, say --columns user=1,item=2,rating=3, "
                "else with names which column is which."
            )
        shift = _row_names(first, rows)
        places = take_columns(first, asked, where, needed)
        if shift:
            moved = {column: i + 1 for column, i in places.at.items()}
            places = Places(moved, places.why, (*places.notices, "The row names are left out."))
        _check_width(first, where)
        return True, places, len(first) + shift
    if unsaid and not bare[0] and _is_matrix(first, rows, asked):
        raise _matrix(first, where, True, separator)
    listed = f"{', '.join(needed[:-1])} and {needed[-1]}"
    if len(first) < len(needed):
        raise InputError(
            f"{where}: it has {len(first)} fields where {listed} are needed; add the missing "
            "columns."
        )
    if not asked and len(first) > len(COLUMNS):
        raise _matrix(first, where, False, separator)
    places = positions(asked, len(first), where, needed)
    if "rating" not in needed:
        return False, places, len(first)
    rating = places.at["rating"]
    if not is_number(first[rating]) and not asked:
        example = ",".join(f"{column}=NAME" for column in needed)
        raise InputError(
            f"{where}: it names no columns that are known and its "
            f"{'third' if ratings else 'second'} field, {clip(first[rating])}, is no rating; "
            f"write {listed} there, or say where they are, as in --columns {example}."
        )
    if not asked and not ratings and len(first) > 2:
        raise InputError(
            f"{where}: it has {len(first)} columns and no header, where {listed} are needed; say "
            f"which these are, as in --columns {needed[0]}=2,{needed[1]}=3."
        )
    _check_width(first, where)
    if unsaid:
        _check_third([first, *rows], where)
        _check_fourth([first, *rows], where)
    return not is_number(first[rating]), places, len(first)


def _counted_header(
    bare: list[str], rows: list[list[str]], asked: dict[str, str], where: str
) -> int:
    """Tell pandas's default header ``0,1,2``: 1, or 2 where an index's empty name leads it."""
    count = 2 if bare[0] in ("", "Unnamed: 0") else 1
    counts = bare[count - 1 :]
    if len(counts) < 3 or counts != [str(i) for i in range(len(counts))]:
        return 0
    if not rows or (asked and not all(place in bare for place in asked.values())):
        return 0
    if count == 1 and not asked and any(row[0].strip() in ("0", "1") for row in rows):
        raise InputError(
            f"{where}: {','.join(bare[:4])} may name columns or be a rating; say "
            "--columns user=0,item=1,rating=2 if these are names, or "
            "--columns user=1,item=2,rating=3 if not."
        )
    return count


def _is_matrix(first: list[str], rows: list[list[str]], asked: dict[str, str]) -> bool:
    found = find_columns(first)
    if asked or "rating" in found or len(first) < 3 or ("user" in found and "item" in found):
        return False
    cells = [cell for row in rows for cell in row[1:]]
    return bool(cells) and sum(map(is_number, cells)) >= 0.9 * len(cells)


def _matrix(first: list[str], where: str, header: bool, separator: str) -> InputError:
    name = first[0].strip().strip('\ufeff"')[:40]
    named = find_columns([name])
    sure = "item" in named or "user" in named
    sure = sure and simple_name(name) != "name"  # of people or of things
    row, column = ("item", "user") if sure and "item" in named else ("user", "item")
    how = ["'FILE'" if len(where) > 80 else repr(where.rpartition(", line")[0])]
    pattern = r"\s+" if separator == " " else separator
    how += [] if separator == "," else [f"sep={pattern!r}"]
    if header:
        begin = f"it looks like a matrix, with a column for each {column}, and must be made long"
        old: str | int = name or "Unnamed: 0"
    else:
        begin = (
            f"it has {len(first)} columns and no header; name the columns, as in --columns "
            "user=1,item=2,rating=3, or, if it is a matrix of users and items, make it long"
        )
        how, old = [*how, "header=None"], 0
    swap = "" if sure else " (with user and item swapped if its rows are items)"
    read = f"pd.read_csv({', '.join(how)})"
    renamed = "" if old == row else f".rename(columns={{{old!r}: {row!r}}})"
    return InputError(
        f"{where}: {begin} with pandas{swap}: {read}{renamed}.melt({row!r}, var_name={column!r}, "
        "value_name='rating').dropna().to_csv('long.csv', index=False)."
    )


def _check_width(first: list[str], where: str) -> None:
    if len(first) > MAX_FIELDS:
        raise InputError(
            f"{where}: it has {len(first):,} fields; write one rating on each line, in at most "
            f"{MAX_FIELDS} fields."
        )


def _row_names(first: list[str], rows: list[list[str]]) -> int:
    """Tell whether, as R writes it, each row has its name before what the header names."""
    width = Counter(map(len, rows)).most_common(1)[0][0] if rows else 0
    long = [row for row in rows if len(row) == width]
    if width != len(first) + 1 or len(long) < 2 or all(not row[-1].strip() for row in long):
        return 0
    return int(len({row[0] for row in long}) == len(long))


def _rates(first: list[str], asked: dict[str, str]) -> bool:
    """Tell whether columns are asked for by their positions, and the rating is a number."""
    places = [re.fullmatch("[1-9][0-9]{0,3}", place) for place in asked.values()]
    if "rating" not in asked or not all(places):
        return False
    at = int(asked["rating"]) - 1
    return at < len(first) and is_number(first[at])


def _check_third(rows: list[list[str]], where: str) -> None:
    """Refuse columns without a header where another than the third has what ratings look like."""
    even = [row for row in rows if len(row) == len(rows[0])]
    columns = [[text.strip() for text in column] for column in zip(*even)][:3]
    different = [len(set(column)) for column in columns]
    whole = all(re.fullmatch("[0-9]+", text) for text in columns[2])
    for i in (0, 1):
        short = all(re.fullmatch(r"(?:[0-9]|10)(?:[.,][05]0?)?", text) for text in columns[i])
        if whole and short and different[i] <= MOST_RATINGS < different[2]:
            raise InputError(
                f"{where}: it names no columns, and column {i + 1} has {different[i]} different "
                f"small numbers, as ratings have, column 3 {different[2]}; say which columns are "
                "which, as in --columns user=1,item=2,rating=3."
            )


def _check_fourth(rows: list[list[str]], where: str) -> None:
    """Refuse four columns without a header that may be other ones than the usual."""
    if len(rows[0]) != 4:
        return
    rows = [row for row in rows if len(row) == 4]
    last = [row[3].strip() for row in rows]
    counts = [row[0].strip() for row in rows]
    if len(rows) > 3 and any(
        counts == [str(i + start) for i in range(len(rows))] for start in (0, 1)
    ):
        times = [text for text in last if len(text) > 7]  # seconds since 1970, or dates
        if len(times) < len(last) / 2:
            raise InputError(
                f"{where}: it names no columns, and the first of the four counts the rows; say "
                "which are which, as in --columns user=2,item=3,rating=4."
            )
    if len(rows) > 9 and all(re.fullmatch("[0-9]|25|50|75", text) for text in last):
        raise InputError(
            f"{where}: the fourth column, such as {clip(last[0])}, is no time, and may be "
            "decimals of the ratings, or the rating; say which columns are which, as in --columns "
            "user=1,item=2,rating=3."
        )
