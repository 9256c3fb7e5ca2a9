"""The texts of a ratings file -> ids, codes for them, and pairs of a user and an item."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Callable

import numpy as np

from d2l_autorec.data.delimited import texts_of
from d2l_autorec.data.options import ReadOptions
from d2l_autorec.errors import InputError, clip

if TYPE_CHECKING:
    import pandas as pd

MAX_ID = 256

_WHOLE = re.compile("0|-?[1-9][0-9]{0,17}", re.ASCII)
_WHOLE_FLOAT = re.compile(r"(0|-?[1-9][0-9]{0,17})\.0+", re.ASCII)


def id_codes(column: pd.Series, where: Callable[[int], str]) -> tuple[np.ndarray, np.ndarray, int]:
    """Turn a column of ids, categories of strings, into codes from 0.

    Where all are whole numbers, ``101.0`` is the number 101. ``where`` names a record's line.
    Raises an InputError if an id is empty, too long, or goes over several lines.

    Returns
    -------
    codes : numpy.ndarray of int32
    ids : numpy.ndarray
        The id of each code, sorted: int64 by size if all are whole numbers, else strings.
    merged : int
        How many ids were written in two ways.
    """
    codes = column.cat.codes.to_numpy()
    used = np.zeros(len(column.cat.categories), bool)
    used[codes] = True
    texts = [text for text, is_used in zip(texts_of(column), used) if is_used]
    if len(texts) < len(used):  # pandas would sort all rows for this
        codes = (np.cumsum(used, dtype=np.int32) - 1)[codes]
    for i, text in enumerate(texts):
        if not 0 < len(text) <= MAX_ID:
            fault, remedy = "is no id", f"write 1 to {MAX_ID} characters"
        elif "\n" in text or "\r" in text:
            fault, remedy = "goes over several lines", "look for an unclosed quote"
        else:
            continue
        row = column.index[np.argmax(codes == i)]
        if not text and row == column.index[-1]:
            remedy += ", or remove the line if it is one of totals"
        raise InputError(f"{where(row)}: the {column.name} {clip(text)} {fault}; {remedy}.")
    before = len(set(texts))
    whole = [_WHOLE_FLOAT.fullmatch(text) for text in texts]
    # Only what int() writes back unchanged is a number: "007" and "7" are two people.
    if all(match or _WHOLE.fullmatch(text) for match, text in zip(whole, texts)):
        texts = [match[1] if match else text for match, text in zip(whole, texts)]
    labels = np.array(texts, dtype=object)
    if all(_WHOLE.fullmatch(text) for text in texts):
        labels = labels.astype(np.int64)
    ids, position = np.unique(labels, return_inverse=True)
    return position.astype(np.int32)[codes], ids, before - len(ids)


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


def without_duplicates(
    table: pd.DataFrame,
    ids: list[np.ndarray],
    rows: np.ndarray,
    where: Callable[[int], str],
    options: ReadOptions,
    timed: bool,
    notices: list[str],
) -> tuple[pd.DataFrame, int]:
    """Keep one rating of each pair of user and item, in the place of the latest."""
    pairs = table["item"].to_numpy().astype(np.int64)
    pairs *= len(ids[0])
    pairs += table["user"].to_numpy()
    rising = np.sort(pairs)
    if (rising[1:] > rising[:-1]).all():  # which takes less memory than to hash them
        return table, 0
    import pandas as pd

    pair = pd.Series(pairs)
    row = int(np.argmax(pair.duplicated().to_numpy()))
    user, item = ids[0][table["user"].iloc[row]], ids[1][table["item"].iloc[row]]
    said = f"{where(rows[row])}: user {clip(user)} has rated item {clip(item)} before"
    if options.duplicates == "error":
        raise InputError(f"{said}; keep one rating of each pair.")
    kept = "last"
    order = np.arange(len(table))
    if timed:
        order, kept = np.argsort(table["timestamp"].to_numpy(), kind="stable"), "latest"
    stays = np.sort(order[~pair.iloc[order].duplicated(keep="last").to_numpy()])
    if options.duplicates == "mean":
        kept = "mean"
        mean = table["rating"].astype("float64").groupby(pair.to_numpy()).mean()
        table = table.assign(rating=mean.loc[pair].to_numpy(np.float32))
    went = len(table) - len(stays)
    notices.append(f"{said}; of each such pair the {kept} rating was kept, and {went:,} went.")
    return table.iloc[stays].reset_index(drop=True), went
