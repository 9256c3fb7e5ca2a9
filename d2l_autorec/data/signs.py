"""Ratings that are written with signs: 80 %, 4/5, 4 stars and ★★★★☆ -> 80, 4, 4 and 4."""

from __future__ import annotations

import re
from collections.abc import Sequence

from d2l_autorec.data.rows import is_number

_STAR, _EMPTY = "[★⭐✭🌟*]\ufe0f?", "☆"
_BEHIND = re.compile(r"(?P<number>\S+?)\s*(?P<sign>%|/\s*[0-9]+|stars?)", re.IGNORECASE)
_DRAWN = re.compile(rf"(?P<full>(?:{_STAR})*)(?P<half>[½⯨]?)(?P<empty>{_EMPTY}*)")


def without_signs(texts: Sequence[str]) -> tuple[list[str], str] | None:
    """Return the texts as numbers where all of them are written with one sign, else None.

    Parameters
    ----------
    texts : sequence of str
        Different ratings, none of them empty.

    Returns
    -------
    numbers : list of str
    sign : str
        What was left out, for people: ``%``, ``/5``, ``stars``, or the drawn stars.
    """
    found = [_BEHIND.fullmatch(text) for text in texts]
    signs = {"".join(m["sign"].lower().split()).rstrip("s") for m in found if m}
    if texts and all(m and is_number(m["number"]) for m in found) and len(signs) == 1:
        sign = signs.pop()
        return [m["number"] for m in found if m], "stars" if sign == "star" else sign
    drawn = [_DRAWN.fullmatch(text.replace(" ", "")) for text in texts]
    if not texts or not all(m and m[0] for m in drawn):
        return None
    numbers = [
        f"{len(re.findall(_STAR, m['full'])) + (0.5 if m['half'] else 0):g}" for m in drawn if m
    ]
    return numbers, "stars, counted"
