"""Ranking measures over lists of recommendations, as trec_eval computes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any

from d2l_autorec.packages import require

MEASURES = ("ndcg", "recall", "mrr")


def ir_measures() -> ModuleType:
    """Import the library."""
    otherwise = ", or leave them out with -k 0"
    return require("ir_measures", "ranking", "A measure of ranking", otherwise)


def rank_users(
    lists: Mapping[Any, Sequence[Any]], relevant: Mapping[Any, Sequence[Any]], k: int
) -> dict[Any, dict[str, float]]:
    """Measure each user's list of recommendations.

    NDCG, recall and the reciprocal rank of the first relevant item are those of trec_eval
    (pytrec_eval, through ir_measures), with a gain of 1 for each relevant item. trec_eval reorders
    items of equal score by their names; here the order of the list alone counts.

    Parameters
    ----------
    lists, relevant : mapping
        For each user the items recommended, the best first, and the relevant items, at least one.
        Users without relevant items are not measured.
    k : int
        Length of the lists; what is behind the k-th item does not count.

    Returns
    -------
    dict of dict
        For each user of ``relevant`` the values of `MEASURES`, all at k.
    """
    library = ir_measures()
    measures = {library.nDCG @ k: "ndcg", library.R @ k: "recall", library.RR: "mrr"}
    named = {str(number): user for number, user in enumerate(relevant)}
    judged = {name: {str(i): 1 for i in relevant[user]} for name, user in named.items()}
    run = {
        name: {str(item): float(k - rank) for rank, item in enumerate(lists.get(user, ())[:k])}
        for name, user in named.items()
    }
    values: dict[Any, dict[str, float]] = {user: {} for user in relevant}
    for found in library.iter_calc(list(measures), judged, run):
        values[named[found.query_id]][measures[found.measure]] = float(found.value)
    return values
