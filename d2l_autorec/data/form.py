"""How a text file of ratings is laid out, told from its beginning."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from d2l_autorec.data.blobs import MAX_LINE, Blob
from d2l_autorec.data.columns import (
    Places,
    find_columns,
    is_header,
    positions,
    simple_name,
    take_columns,
)
from d2l_autorec.data.options import COLUMNS, ReadOptions
from d2l_autorec.data.rows import JOINED, NUMBER, Form, Row, is_number, split_rows
from d2l_autorec.data.scan import Scan
from d2l_autorec.errors import InputError, clip

MAX_FIELDS = 256  # with a hundred thousand columns, pandas takes the better part of a minute
SAMPLE = 1000  # lines


def find_form(
    blob: Blob, seen: Scan, options: ReadOptions, needed: Sequence[str] = COLUMNS[:3]
) -> Form:
    """Tell a file's form from its first thousand lines.

    Parameters
    ----------
    blob : Blob
    seen : Scan
        From `d2l_autorec.data.blobs.scan`.
    options : ReadOptions
    needed : sequence of str
        The columns that must be there, in their order where no header names them.

    Raises
    ------
    InputError
        If it is laid out as no table of ratings is, or may be read in two ways; the sentence names
        the line, and the option that decides.
    """
    # str.splitlines would also break at characters that may stand inside an id
    lines = re.split("\r\n|\r|\n", seen.head)
    if seen.size > MAX_LINE and len(lines) > 1:
        lines.pop()
    skip, separator, names = _preamble(lines, options)
    comments = tuple(number for number in seen.comments if number > skip)
    if skip < len(lines) and lines[skip].startswith("#"):
        comments = ()  # it is how ids begin
    out = set(comments)
    sample = [
        "" if number in out else line
        for number, line in enumerate(lines[skip : skip + SAMPLE], skip + 1)
    ]
    if not any(line.strip() for line in sample):
        raise InputError(
            f"{blob.label} is empty; give a file with one rating on each line."
            if not names
            else f"{blob.label} has a header but no rating; add some."
        )
    separator, quoted, rows = _choose(sample, separator, options, blob.label, skip, needed)
    for number, line in enumerate(lines[: skip + len(sample)], 1):
        if number <= skip or number in out:
            _check_comment(line, separator, quoted, rows, f"{blob.label}, line {number}")
    if names is not None:
        first = _rows([names], separator, quoted, blob.label, skip)[0][1]
        where = f"{blob.label}, line {skip}"
        places, width = take_columns(first, dict(options.columns), where, needed), len(first)
        return Form(seen.encoding, separator, quoted, width, places, skip, comments, True)
    line, first = rows[0]
    where = f"{blob.label}, line {line}"
    header, places, width = _find_places(
        first, [row for _, row in rows[1:]], options, where, separator, needed
    )
    begins = rows[1][0] if header and len(rows) > 1 else line + header
    if header and len(rows) == 1:
        raise InputError(f"{blob.label} has a header but no rating; add some.")
    return Form(
        seen.encoding, separator, quoted, width, places, begins - 1,
        tuple(number for number in comments if number >= begins), header,
    )  # fmt: skip


def _preamble(lines: list[str], options: ReadOptions) -> tuple[int, str | None, str | None]:
    """Count the lines before the table; find the separator and the header that they may tell."""
    separator, names, skip = options.separator, None, 0
    content = [line for line in lines if line.strip()]
    mark = content[0][0] if content and content[0][0] in "#%" else ""
    if mark and all(line.startswith(mark) for line in content):
        mark = ""
    matrix_market = bool(content) and content[0].startswith("%%MatrixMarket matrix coordinate")
    for line in lines:
        said = re.fullmatch(r'"?sep=([^\w"])"?\s*', line, re.IGNORECASE)
        if said and separator is None:
            separator = said[1]
        elif mark and line.startswith(mark):
            names = line.lstrip(mark + " ")
        elif matrix_market and line.strip():
            matrix_market = False  # its size
        elif line.strip() and not said:
            break
        skip += 1
    if names is not None:
        parts = re.split(r"[\s,;|]+|::", names)
        named = find_columns(parts)
        if not {"user", "item", "rating"} <= set(named) or len(parts) > 8:
            names = None  # a comment like others
    return skip, separator, names


def _rows(sample: list[str], separator: str, quoted: bool, label: str, skip: int) -> list[Row]:
    plain = (line.replace("\t", " ") for line in sample) if separator == " " else iter(sample)
    if len(separator) > 1:
        plain = (line.replace(separator, JOINED) for line in plain)
    lines = (line + "\n" for line in plain)
    delimiter = JOINED if len(separator) > 1 else separator
    rows, found = [], split_rows(lines, delimiter, quoted, label, skip)
    try:
        for row in found:
            rows.append(row)
    except InputError:
        if not rows:
            raise
    return rows


def _choose(
    sample: list[str],
    asked: str | None,
    options: ReadOptions,
    label: str,
    skip: int,
    needed: Sequence[str],
) -> tuple[str, bool, list[Row]]:
    """Choose the separator that makes a table of the sample."""
    tried: list[tuple[int, str, bool, list[Row]]] = []
    first = next(line for line in sample if line.strip())
    for separator in [asked] if asked else ["\t", "::", ";", "|", ",", " "]:
        if separator not in first and not (separator == " " and "\t" in first):
            continue
        quotes = [separator in ",;"]
        if separator == " " and any('"' in line for line in sample):
            quotes = [True, False]
        for quoted in quotes:
            try:
                rows = _rows(sample, separator, quoted, label, skip)
            except InputError:
                if len(tried) or separator != ",":
                    continue
                raise
            if rows and len(rows[0][1]) > 1:
                rank = _rank([row for _, row in rows], options, needed)
                tried.append((rank, separator, quoted, rows))
    if not tried:
        line = next(i for i, line in enumerate(sample) if line.strip()) + skip + 1
        if asked:
            raise InputError(
                f"{label}, line {line}: no {clip(asked)} stands in it; give the right --sep."
            )
        raise InputError(
            f"{label}, line {line}: no tab, comma, semicolon, '::', '|' or white space stands "
            f"between the fields; write {', '.join(needed[:-1])} and {needed[-1]} as CSV or TSV, "
            "or give --sep."
        )
    best = max(rank for rank, *_ in tried)
    chosen = [one for one in tried if one[0] == best]
    if best == 2 and len({one[1] for one in chosen if one[1] != " "}) > 1:
        both = " or ".join(clip(one[1]) for one in chosen[:2])
        raise InputError(
            f"{label}, line {chosen[0][3][0][0]}: {both} may stand between the fields; say which "
            "with --sep."
        )
    return chosen[0][1:]


def _rank(rows: list[list[str]], options: ReadOptions, needed: Sequence[str]) -> int:
    """Rate how well rows look like ratings: 3 by their header, 2 by all rows, 1 by the first."""
    first = rows[0]
    if len(first) < len(needed):
        return 0
    asked = dict(options.columns)
    named = find_columns(first)
    have = {column for column in COLUMNS if column in named or column in asked}
    if is_header(first) and set(needed) <= have:
        return 3
    widths = {len(row) for row in rows}
    if all(not row[-1].strip() for row in rows):
        widths = {width - 1 for width in widths}
    even = len(widths) == 1 and min(widths) >= len(needed)
    if "rating" not in needed:
        return 2 if even else 1
    place = asked.get("rating", "")
    at = needed.index("rating")
    at = int(place) - 1 if place.isdecimal() and 0 < int(place) < MAX_FIELDS else at
    body = rows if is_number(first[min(at, len(first) - 1)]) else rows[1:]
    if even and body and all(at < len(row) and is_number(row[at]) for row in body):
        return 2
    return 1


def _check_comment(line: str, separator: str, quoted: bool, rows: list[Row], where: str) -> None:
    found = _rows([line], separator, quoted, where, 0) if line.strip() else []
    fields = found[0][1] if found else []
    if (
        line[:1] in ("#", "%")
        and len(fields) == len(rows[-1][1]) > 2
        and NUMBER.fullmatch(fields[2].strip())
    ):
        raise InputError(
            f"{where}: it may be a comment, or a rating by somebody whose id begins with "
            f"{line[0]!r}; remove the line, or the sign."
        )


def _find_places(
    first: list[str],
    rows: list[list[str]],
    options: ReadOptions,
    where: str,
    separator: str,
    needed: Sequence[str],
) -> tuple[bool, Places, int]:
    """Tell whether the first row is a header, where the columns are, and how many there are."""
    asked = dict(options.columns)
    ends_empty = len(first) > 1 and all(not row[-1].strip() for row in (first, *rows))
    first = first[:-1] if ends_empty else first
    rows = [row[:-1] for row in rows] if ends_empty else rows
    bare = [name.strip().strip('\ufeff"') for name in first]
    ratings = len(needed) == 3
    counted = _counted_header(bare, rows, asked, where) if ratings else 0
    if counted:
        if asked:
            return True, take_columns(first, asked, where), len(first)
        if len(first) - (counted - 1) > len(COLUMNS):
            raise _matrix(first, where, True, separator)
        at = dict(zip(COLUMNS, range(counted - 1, len(first))))
        return (
            True,
            Places(at, {c: f"column {bare[i]!r}" for c, i in at.items()}),
            len(first),
        )
    named = asked and all(_among(place, bare) for place in asked.values())
    if is_header(first) or named:
        if ratings and _is_matrix(first, rows, asked):
            raise _matrix(first, where, True, separator)
        shift = _row_names(first, rows)
        places = take_columns(first, asked, where, needed)
        if shift:
            moved = {column: i + 1 for column, i in places.at.items()}
            places = Places(moved, places.why, (*places.notices, "The row names are left out."))
        if len(first) > MAX_FIELDS:
            raise _too_wide(first, where)
        return True, places, len(first) + shift
    if ratings and not asked and not bare[0] and _is_matrix(first, rows, asked):
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
    if len(first) > MAX_FIELDS:
        raise _too_wide(first, where)
    if ratings and not asked and len(first) == 4:
        _check_fourth([first, *rows], where)
    return not is_number(first[rating]), places, len(first)


def _among(name: str, names: list[str]) -> bool:
    return any(name == other or simple_name(name) == simple_name(other) != "" for other in names)


def _counted_header(
    bare: list[str], rows: list[list[str]], asked: dict[str, str], where: str
) -> int:
    """Tell pandas's default header ``0,1,2``: 1, or 2 where an index's empty name leads it."""
    count = 2 if bare[0] in ("", "Unnamed: 0") else 1
    if len(bare) < count + 2 or bare[count - 1 :] != [
        str(i) for i in range(len(bare) - count + 1)
    ]:
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
    row, column = ("item", "user") if "item" in find_columns([name]) else ("user", "item")
    how = ["'FILE'"] if len(where) > 80 else [repr(where.rpartition(", line")[0])]
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
    read = f"pd.read_csv({', '.join(how)})"
    renamed = "" if old == row else f".rename(columns={{{old!r}: {row!r}}})"
    return InputError(
        f"{where}: {begin} with pandas: {read}{renamed}.melt({row!r}, var_name={column!r}, "
        "value_name='rating').dropna().to_csv('long.csv', index=False)."
    )


def _too_wide(first: list[str], where: str) -> InputError:
    return InputError(
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


def _check_fourth(rows: list[list[str]], where: str) -> None:
    """Refuse four columns without a header that may be other ones than the usual."""
    rows = [row for row in rows if len(row) == 4]
    last = [row[3].strip() for row in rows]
    if len(rows) > 3 and any(
        [row[0].strip() for row in rows] == [str(i + start) for i in range(len(rows))]
        for start in (0, 1)
    ):
        times = [text for text in last if len(text) > 7]  # seconds since 1970, or dates
        if len(times) < len(last) / 2:
            raise InputError(
                f"{where}: it names no columns, and the first of the four counts the rows; say "
                "which are which, as in --columns user=2,item=3,rating=4."
            )
    if len(rows) > 9 and all(re.fullmatch("[0-9]|25|50|75", text) for text in last):
        raise InputError(
            f"{where}: the fourth column, such as {clip(last[0])}, may be decimals of the ratings "
            "and is no time; if it may be left out, say --columns user=1,item=2,rating=3."
        )
