"""Ranking measures, by hand and against a second implementation."""

import math
import sys

import numpy as np
import pytest

from d2l_autorec.errors import InputError
from d2l_autorec.evaluation.ranking import rank_users

pytest.importorskip("ir_measures")

LOG = [1 / math.log2(rank + 1) for rank in range(1, 20)]


def test_three_users_by_hand():
    found = rank_users(
        {"ann": [7, 3, 5, 4], "bob": [1, 2, 3], "eve": []},
        {"ann": [3, 4, 9], "bob": [3], "eve": [1], "zoe": [2]},
        k=3,
    )
    # ann: of three relevant items the second on the list; the fourth is beyond k
    assert found["ann"]["ndcg"] == pytest.approx(LOG[1] / (LOG[0] + LOG[1] + LOG[2]))
    assert found["ann"]["recall"] == pytest.approx(1 / 3)
    assert found["ann"]["mrr"] == 1 / 2
    assert found["bob"] == {
        "ndcg": pytest.approx(LOG[2]),
        "recall": 1,
        "mrr": pytest.approx(1 / 3),
    }
    assert found["eve"] == found["zoe"] == {"ndcg": 0, "recall": 0, "mrr": 0}


def test_only_the_order_of_a_list_counts_and_not_the_names():
    """trec_eval breaks ties by name; the lists here leave no ties."""
    for best in (["a", "b", "c"], ["c", "b", "a"]):
        found = rank_users({1: best}, {1: [best[0]]}, k=3)
        assert found[1] == {"ndcg": 1, "recall": 1, "mrr": 1}


def test_against_sums_in_numpy():
    draws = np.random.default_rng(0)
    lists = {user: draws.permutation(30).tolist() for user in range(40)}
    relevant = {user: draws.choice(40, draws.integers(1, 12), False).tolist() for user in lists}
    found = rank_users(lists, relevant, k=10)
    for user, best in lists.items():
        hits = np.isin(best[:10], relevant[user])
        ideal = sum(LOG[: min(10, len(relevant[user]))])
        assert found[user]["ndcg"] == pytest.approx(hits @ np.array(LOG[:10]) / ideal)
        assert found[user]["recall"] == pytest.approx(hits.sum() / len(relevant[user]))
        first = 1 / (1 + np.argmax(hits)) if hits.any() else 0
        assert found[user]["mrr"] == pytest.approx(first)


def test_a_missing_library_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "ir_measures", None)
    with pytest.raises(InputError, match=r'needs ir_measures .*\[ranking\]", or leave'):
        rank_users({}, {}, 3)
