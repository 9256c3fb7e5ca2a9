"""Conversion of ids to codes, and of codes to columns of tables."""

from __future__ import annotations

import difflib
import re
import warnings
from collections.abc import Iterable
from typing import Any

import numpy as np

from d2l_autorec.errors import InputError, clip
from d2l_autorec.serving.model import TITLE_COLUMNS, Model

_NEAR = 1000


class UnknownIdError(InputError):
    """The model was not trained on this user or item."""


def find_codes(model: Model, what: str, wanted: Iterable[Any]) -> np.ndarray:
    """Find the codes of users or items, (len(wanted),).

    The ids wanted are as the ratings file has them; numbers may be written as strings. An
    `UnknownIdError` names the first unknown id, and those nearest to it.
    """
    wanted = list(wanted)
    codes = known_codes(model, what, wanted)
    if (codes < 0).any():
        unknown = str(wanted[int(np.argmax(codes < 0))])
        raise UnknownIdError(
            f"The model knows no {what} {clip(unknown)}; {_hint(model, what, unknown)}."
        )
    return codes


def known_codes(model: Model, what: str, wanted: Iterable[Any]) -> np.ndarray:
    """Find the codes of users or items; -1 for an id that the model does not know."""
    code_of = model.user_codes if what == "user" else model.item_codes
    return np.array([code_of.get(str(name), -1) for name in wanted], np.int64)


def known_or_warned(
    model: Model, wanted: Iterable[Any], called: str, none_is_fine: bool = False
) -> np.ndarray:
    """Find the codes of the items that the model knows; a UserWarning lists the others.

    Messages call them ``called``, a plural. Where no item is known an InputError is raised, unless
    ``none_is_fine``.
    """
    wanted = list(wanted)
    codes = known_codes(model, "item", wanted)
    unknown = [str(name) for name, code in zip(wanted, codes) if code < 0]
    if unknown:
        listed, near = first_of(map(clip, unknown), 3), _hint(model, "item", unknown[0])
        if len(unknown) == len(wanted) and not none_is_fine:
            raise InputError(
                f"The model knows none of the {len(wanted)} {called}, {listed}; {near}."
            )
        warnings.warn(
            f"The model does not know {len(unknown)} of the {len(wanted)} {called}, which are "
            f"left out: {listed}; {near}.",
            stacklevel=3,
        )
    return codes[codes >= 0]


def first_of(names: Iterable[str], most: int) -> str:
    """List the first names, and say by dots that there are more."""
    names = list(names)
    return ", ".join(names[:most]) + (", ..." if len(names) > most else "")


def _hint(model: Model, what: str, unknown: str) -> str:
    ids = model.user_ids if what == "user" else model.item_ids
    if what == "item" and model.items is not None and re.search(r"[^\W\d]", unknown):
        titles = model.items["title"].fillna("")
        found = titles[titles.str.contains(unknown.strip(), case=False, regex=False)][:3]
        if len(found):
            named = ", ".join(f"{ids[code]} ({clip(title)})" for code, title in found.items())
            return f"ids of titles like it: {named}"
    if ids.dtype.kind == "i":
        if not re.fullmatch("-?[0-9]{1,18}", unknown.strip()):
            return f"its ids are whole numbers from {ids[0]} to {ids[-1]}"
        distance = np.abs(ids - int(unknown))
        near = [str(name) for name in ids[np.sort(np.argsort(distance, kind="stable")[:3])]]
    else:
        at = int(np.searchsorted(ids, unknown))
        begun_alike = ids[max(at - _NEAR, 0) : at + _NEAR]  # of all ids it would take long
        near = difflib.get_close_matches(unknown, begun_alike.tolist(), 3)
        near = [clip(name) for name in near or ids[max(at - 1, 0) : at + 2].tolist()]
    return f"the nearest {'ids are' if len(near) > 1 else 'id is'} {', '.join(near)}"


def item_columns(model: Model, codes: np.ndarray) -> dict[str, Any]:
    """Return the columns ``item`` and, where titles are known, ``title``, ``year``, ``genres``."""
    columns: dict[str, Any] = {"item": model.item_ids[codes]}
    if model.items is not None:
        columns |= {name: model.items[name].array[codes] for name in TITLE_COLUMNS}
    return columns


def id_columns(model: Model, what: str, codes: np.ndarray) -> dict[str, Any]:
    """Return `item_columns`, or the column ``user``."""
    return item_columns(model, codes) if what == "item" else {"user": model.user_ids[codes]}
