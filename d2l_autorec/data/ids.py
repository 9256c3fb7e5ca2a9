"""The texts of a ratings file -> ids, and codes for them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Callable

import numpy as np

from d2l_autorec.data.delimited import recoded
from d2l_autorec.errors import InputError, clip

if TYPE_CHECKING:
    import pandas as pd

MAX_ID = 256

_WHOLE = re.compile("0|-?[1-9][0-9]{0,17}", re.ASCII)
_WHOLE_FLOAT = re.compile(r"(0|-?[1-9][0-9]{0,17})\.0+", re.ASCII)


def id_codes(column: pd.Series, where: Callable[[int], str]) -> tuple[np.ndarray, np.ndarray, int]:
    """Turn a column of ids into codes from 0.

    Parameters
    ----------
    column : pandas.Series
        Categories of strings. Where all are whole numbers, ``101.0`` is the number 101.
    where : callable
        Names a record's line.

    Returns
    -------
    codes : numpy.ndarray of int32
    ids : numpy.ndarray
        The id of each code, sorted: int64 by size if all are whole numbers, else strings.
    merged : int
        How many ids were written in two ways.

    Raises
    ------
    InputError
        If an id is empty, too long, or goes over several lines.
    """
    codes = column.cat.codes.to_numpy()
    used = np.zeros(len(column.cat.categories) + 1, bool)
    used[codes] = True
    if not used[:-1].all():  # pandas sorts all rows for this
        column = column.cat.remove_unused_categories()
        codes = column.cat.codes.to_numpy()
    texts = [str(text).strip() for text in column.cat.categories]
    for i, text in enumerate(texts):
        if not 0 < len(text) <= MAX_ID:
            fault, remedy = "is no id", f"write 1 to {MAX_ID} characters"
        elif "\n" in text or "\r" in text:
            fault, remedy = "goes over several lines", "look for an unclosed quote"
        else:
            continue
        row = int(column.index[np.argmax(codes == i)])
        if not text and row == column.index[-1]:
            remedy += ", or remove the line if it is one of totals"
        raise InputError(f"{where(row)}: the {column.name} {clip(text)} {fault}; {remedy}.")
    before = len(set(texts))
    whole = [_WHOLE_FLOAT.fullmatch(text) for text in texts]
    # Only what int() writes back unchanged is a number: "007" and "7" are two people.
    if all(match or _WHOLE.fullmatch(text) for match, text in zip(whole, texts)):
        texts = [match[1] if match else text for match, text in zip(whole, texts)]
    column = recoded(column, texts)
    labels = np.array(list(column.cat.categories), dtype=object)
    if all(_WHOLE.fullmatch(text) for text in labels):
        labels = labels.astype(np.int64)
    ids, position = np.unique(labels, return_inverse=True)
    codes = position.astype(np.int32)[column.cat.codes.to_numpy()]
    return codes, ids, before - len(ids)


def alike(ids: np.ndarray, column: str) -> list[str]:
    """Say which ids differ as 101 and 101.0 do, or have been rounded; unless all are whole."""
    if ids.dtype.kind == "i":
        return []
    whole = {text for text in ids if re.fullmatch(r"-?[0-9]+", text)}
    both = [text for text in ids if re.fullmatch(r"-?[0-9]+\.0", text) and text[:-2] in whole]
    said = []
    if both:
        said.append(
            f"{len(both):,} {column}s differ from another as {both[0]} and {both[0][:-2]} do."
        )
    rounded = [text for text in ids if re.fullmatch(r"[0-9][.,][0-9]+E\+[0-9]{2}", text)]
    if rounded:
        said.append(
            f"{len(rounded):,} {column}s are written like {rounded[0]}, as spreadsheets round "
            "long numbers, and different ones may be one here; export that column as text."
        )
    return said
