"""From any ratings table to a trained model, its folder and its answers; or one sentence."""

import warnings

import numpy as np
import pandas as pd
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from d2l_autorec.data.formats import read_ratings
from d2l_autorec.errors import InputError
from d2l_autorec.models.recipes import RECIPES
from d2l_autorec.serving.explain import explain
from d2l_autorec.serving.folder import load_model, make_model, save_model
from d2l_autorec.serving.foldin import new_user
from d2l_autorec.serving.recommend import predict, recommend
from d2l_autorec.serving.similar import similar
from d2l_autorec.training import run

IDS = st.sampled_from(["a", "b", "=1+1", "\x1b[31mc", "é", "<b>d</b>", "-7", "12", "../e", "[f]"])
RATINGS = st.sampled_from([1.0, 4.5, 5.0, 0.0, -3.0, 1e6])
ROWS = st.lists(st.tuples(IDS, IDS, RATINGS), min_size=1, max_size=30)


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    rows=ROWS,
    name=st.sampled_from(["chapter", "default", "blend"]),
    by=st.sampled_from(["item", "user"]),
    seed=st.integers(0, 9),
)
def test_any_table_is_trained_on_kept_and_asked(rows, name, by, seed, tmp_path_factory):
    folder = tmp_path_factory.mktemp("any")
    pd.DataFrame(rows, columns=["user", "item", "rating"]).to_csv(folder / "a.csv", index=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of pairs that are rated twice
        ratings = read_ratings(folder / "a.csv", allow_nonpositive=True)
    recipe = RECIPES[name].but(by=by, hidden=(2,), batch_size=1, num_epochs=1)
    asked = run.Plan(recipe, "sparse", test_ratio=0.3, seed=seed)
    try:
        trained, result, _ = run.train(ratings, asked)
    except InputError as error:
        assert "none is left to train on or to score with" in str(error)
        return
    train_rows = run.split(ratings, asked)[0]
    save_model(folder / "model", make_model(trained, ratings, run.record(asked, result)))
    model = load_model(folder / "model")
    last = {(user, item): np.float32(rating) for user, item, rating in rows}
    trained = ratings.table.iloc[train_rows]
    pairs = list(zip(ratings.user_ids[trained["user"]], ratings.item_ids[trained["item"]]))
    known = predict(model, *zip(*pairs))
    assert known["rating"].tolist() == [last[str(user), str(item)] for user, item in pairs]
    assert (model.low, model.high) == (known["rating"].min(), known["rating"].max())
    table = recommend(model, min_ratings=0, n=99)
    assert set(zip(table["user"], table["item"])) == every_pair(model) - set(pairs)
    assert table["prediction"].between(np.float32(model.low), np.float32(model.high)).all()
    user, item = pairs[0]
    assert len(explain(model, user, item).table) == known["num_read"].iloc[0]
    for what, name in (("user", user), ("item", item)):
        assert name not in similar(model, what, name, min_ratings=0)[what].tolist()
    own = pd.DataFrame({"item": [item], "rating": [last[str(user), str(item)]]})
    assert item not in new_user(model, own)["item"].tolist()


def every_pair(model):
    return {(user, item) for user in model.user_ids for item in model.item_ids}
