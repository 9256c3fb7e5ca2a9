"""How a text file of ratings is laid out, told from its beginning."""

from __future__ import annotations

import re
from collections.abc import Sequence

from d2l_autorec.data.blobs import MAX_LINE, Blob
from d2l_autorec.data.columns import find_columns, is_header, take_columns
from d2l_autorec.data.first_row import MAX_FIELDS, find_places
from d2l_autorec.data.options import COLUMNS, ReadOptions
from d2l_autorec.data.rows import NUMBER, Form, Row, is_number, split_rows
from d2l_autorec.data.scan import Scan
from d2l_autorec.errors import InputError, clip

SAMPLE = 1000  # lines


def find_form(blob: Blob, seen: Scan, options: ReadOptions, needed: Sequence[str]) -> Form:
    """Tell a file's form from its first thousand lines.

    The columns ``needed`` must be there, in their order where no header names them. Raises an
    InputError if it is laid out as no table of ratings is, or may be read in two ways; the
    sentence names the line, and the option that decides.
    """
    lines = seen.head.split("\n")  # splitlines would also break at characters inside an id
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
    no_rating = f"{blob.label} has a header but no rating; add some."
    if not any(line.strip() for line in sample):
        if names:
            raise InputError(no_rating)
        raise InputError(f"{blob.label} is empty; give a file with one rating on each line.")
    if names is None and needed == COLUMNS[:3]:
        _check_above(sample, options, blob.label, skip)
    separator, quoted, rows = _choose(sample, separator, options, blob.label, skip, needed)
    for number, line in enumerate(lines[: skip + len(sample)], 1):
        if number <= skip or number in out:
            _check_comment(line, separator, quoted, rows, f"{blob.label}, line {number}")
    if names is not None:
        first = _rows([names], separator, quoted, blob.label, skip)[0][1]
        where = f"{blob.label}, line {skip}"
        places = take_columns(first, dict(options.columns), where, needed)
        return Form(seen.encoding, separator, quoted, len(first), places, skip, comments)
    where = f"{blob.label}, line {rows[0][0]}"
    header, places, width = find_places(
        [row for _, row in rows], options, where, separator, needed
    )
    if header and len(rows) == 1:
        raise InputError(no_rating)
    begins = rows[1 if header else 0][0]
    comments = tuple(number for number in comments if number >= begins)
    return Form(seen.encoding, separator, quoted, width, places, begins - 1, comments)


def _preamble(lines: list[str], options: ReadOptions) -> tuple[int, str | None, str | None]:
    """Count the lines before the table; find the separator and the header that they may tell."""
    separator, names, skip = options.separator, None, 0
    content = [line for line in lines if line.strip()]
    mark = content[0][0] if content and content[0][0] in "#%" else ""
    if all(line.startswith(mark) for line in content):
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
    parts = re.split(r"[\s,;|]+|::", names or "")
    if not set(COLUMNS[:3]) <= set(find_columns(parts)) or len(parts) > 8:
        names = None  # a comment like others
    return skip, separator, names


def _check_above(sample: list[str], options: ReadOptions, label: str, skip: int) -> None:
    """Refuse lines above a header that names all columns, such as a report's title."""
    separator = re.escape(options.separator) if options.separator else r"[\t;|,]"
    parted = [re.split(separator, line[:2000]) for line in sample[:20]]
    above = [i for i, names in enumerate(parted) if len(find_columns(names, COLUMNS[:3])) == 3]
    first = next(number for number, line in enumerate(sample) if line.strip())
    if above and above[0] > first:
        raise InputError(
            f"{label}, line {skip + above[0] + 1}: it looks like the header; remove the lines "
            "above it."
        )


def _rows(sample: list[str], separator: str, quoted: bool, label: str, skip: int) -> list[Row]:
    """Split the lines of a sample into rows, up to the first that cannot be split."""
    lines = (line + "\n" for line in sample)
    rows = []
    try:
        for row in split_rows(lines, separator, quoted, label, skip):
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
    above, first = next((i, line) for i, line in enumerate(sample) if line.strip())
    where = f"{label}, line {skip + above + 1}"
    for separator in [asked] if asked else ["\t", "::", ";", "|", ",", " "]:
        if separator not in first and not (separator == " " and "\t" in first):
            continue
        either = separator == " " and any('"' in line for line in sample)
        for quoted in [True, False] if either else [separator in ",;"]:
            try:
                rows = _rows(sample, separator, quoted, label, skip)
            except InputError:
                if tried or separator != ",":
                    continue
                raise
            if rows and len(rows[0][1]) > 1:
                rank = _rank([row for _, row in rows], options, needed)
                tried.append((rank, separator, quoted, rows))
    if not tried:
        if asked:
            raise InputError(f"{where}: no {clip(asked)} stands in it; give the right --sep.")
        listed = f"{', '.join(needed[:-1])} and {needed[-1]}"
        raise InputError(
            f"{where}: no tab, comma, semicolon, '::', '|' or white space stands between the "
            f"fields; write {listed} as CSV or TSV, or give --sep."
        )
    best = max(rank for rank, *_ in tried)
    chosen = [one for one in tried if one[0] == best]
    if best == 2 and len({one[1] for one in chosen if one[1] != " "}) > 1:
        both = " or ".join(clip(one[1]) for one in chosen[:2])
        raise InputError(f"{where}: {both} may stand between the fields; say which with --sep.")
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
    ends_empty = all(not row[-1].strip() for row in rows)
    even = len(widths) == 1 and len(first) - ends_empty >= len(needed)
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
    found = _rows([line], separator, quoted, where, 0) if line[:1] in ("#", "%") else []
    fields = found[0][1] if found else []
    if len(fields) == len(rows[-1][1]) > 2 and NUMBER.fullmatch(fields[2].strip()):
        raise InputError(
            f"{where}: it may be a comment, or a rating by somebody whose id begins with "
            f"{line[0]!r}; remove the line, or the sign."
        )
