"""Pairs of user and item that have been rated more than once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Callable

import numpy as np

from d2l_autorec.data.options import ReadOptions
from d2l_autorec.errors import InputError, clip

if TYPE_CHECKING:
    import pandas as pd


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
    rising = np.sort(_pairs(table, len(ids[0])))
    if (rising[1:] > rising[:-1]).all():  # which takes less memory than to hash them
        return table, 0
    import pandas as pd

    pair = pd.Series(_pairs(table, len(ids[0])))
    row = int(np.argmax(pair.duplicated().to_numpy()))
    user, item = ids[0][table["user"].iloc[row]], ids[1][table["item"].iloc[row]]
    said = f"{where(int(rows[row]))}: user {clip(user)} has rated item {clip(item)} before"
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


def _pairs(table: pd.DataFrame, num_users: int) -> np.ndarray:
    pair = table["item"].to_numpy().astype(np.int64)
    pair *= num_users
    pair += table["user"].to_numpy()
    return pair
