"""Attacks on training runs: checkpoints, resumes, kills, exports, and leakage."""

from __future__ import annotations

import functools
import io
import json
import os
import signal
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.attack.files import BLEND, SMALL, toy_model, toy_ratings
from benchmarks.attack.frame import (
    Area,
    Draws,
    done_or_refused,
    mutate_array,
    mutate_bytes,
    mutate_json,
    one_of,
    require,
)
from d2l_autorec.atomic import sweep
from d2l_autorec.data.formats import Ratings
from d2l_autorec.models.activations import ACTIVATIONS
from d2l_autorec.models.trained import TrainedModel
from d2l_autorec.serving.export import export_onnx
from d2l_autorec.serving.recommend import recommend
from d2l_autorec.training import checkpoint, run
from d2l_autorec.training.plan import Plan


def some_plan(draws: Draws, engine: str | None = None) -> Plan:
    """Draw a plan with checkpoints."""
    validated = draws.random() < 0.6
    recipe = SMALL.but(
        hidden=one_of(draws, ((3,), (4, 2, 3))),
        by=one_of(draws, ("item", "user")),
        num_epochs=int(draws.integers(2, 7)),
        batch_size=int(draws.integers(2, 6)),
        dropout=one_of(draws, (0.0, 0.3)),
        input_dropout=one_of(draws, (0.0, 0.2)),
        targets=one_of(draws, ("stars", "mean", "biases")),
        schedule=one_of(draws, ("constant", "cosine")),
        draws=one_of(draws, ("numpy", "mxnet")),
        lr=0.05,
        val_ratio=0.3 if validated else 0.0,
        patience=3 if validated else None,
        refit=validated and draws.random() < 0.5,
    )
    return Plan(
        recipe,
        engine or one_of(draws, ("fast", "sparse")),
        seed=int(draws.integers(99)),
        checkpoint_every=int(draws.integers(1, 3)),
    )


def stopped(
    ratings: Ratings, plan: Plan, folder: Path, epochs: int, former: Any = None
) -> tuple[TrainedModel, run.Result, list[Any]] | None:
    """Train, and stop after some epochs as after Ctrl-C; what it came to if it ended before."""
    asked = iter(range(1, 10**6))
    keep = checkpoint.Keep(folder, {}, former, lambda: next(asked) >= epochs)
    try:
        return run.train(ratings, plan, keep=keep)
    except KeyboardInterrupt:
        return None


def same(ours: TrainedModel, theirs: TrainedModel) -> bool:
    """Whether two models have the same bits and the same history but for the time it took."""
    histories = [[replace(e, seconds=0.0) for e in model.history] for model in (ours, theirs)]
    return histories[0] == histories[1] and all(
        np.array_equal(a.weights[name], b.weights[name])
        for a, b in zip(ours.networks, theirs.networks)
        for name in a.weights
    )


def attack_resume(draws: Draws, folder: Path) -> None:
    ratings, plan = toy_ratings(draws, 12, 9), some_plan(draws)
    whole = run.train(ratings, plan, keep=checkpoint.Keep(folder))
    (folder / checkpoint.NAME).unlink()
    former = None
    for _ in range(40):
        done = stopped(ratings, plan, folder, int(draws.integers(1, 4)), former)
        if done is not None:
            require(same(done[0], whole[0]), "other bits after a resume")
            require(done[1].test_rmse == whole[1].test_rmse, "another RMSE after a resume")
            return
        former = checkpoint.load(folder)
    require(False, "a run that never ends")


@functools.cache
def kept_checkpoints() -> tuple[tuple[Ratings, bytes, TrainedModel], ...]:
    """Make the checkpoints that are attacked: of both engines, in each phase of a run."""
    import tempfile

    found, draws = [], np.random.default_rng(1)
    for engine in ("fast", "sparse"):
        for changes, epochs in (
            ({}, 2),
            ({"val_ratio": 0.3, "patience": 3}, 2),
            ({"val_ratio": 0.3, "refit": True}, 2),
            ({"val_ratio": 0.3, "refit": True}, 5),
        ):
            ratings = toy_ratings(draws)
            recipe = SMALL.but(num_epochs=4, hidden=(4, 3), dropout=0.2, **changes)
            plan = Plan(recipe, engine, checkpoint_every=1)
            whole = run.train(ratings, plan)[0]
            with tempfile.TemporaryDirectory() as folder:
                stopped(ratings, plan, Path(folder), epochs)
                content = (Path(folder) / checkpoint.NAME).read_bytes()
            found.append((ratings, content, whole))
    return tuple(found)


def attack_checkpoint(draws: Draws, folder: Path) -> None:
    ratings, content, whole = one_of(draws, kept_checkpoints())
    path = folder / checkpoint.NAME
    way = int(draws.integers(4))
    if way == 0:
        content = mutate_bytes(draws, content)
    else:
        with np.load(io.BytesIO(content)) as file:
            arrays = dict(file)
        said = json.loads(arrays["description"].tobytes())
        if way == 1:
            said = mutate_json(draws, said)
        elif way == 2:
            part = one_of(draws, ("plan", "history", "step", "chosen", "computed_with", "options"))
            said[part] = mutate_json(draws, said[part])
        else:
            key = one_of(draws, [name for name in arrays if name != "description"])
            what = draws.random()
            if what < 0.2:
                del arrays[key]
            elif what < 0.3:
                arrays[one_of(draws, ("x", "arrays/x", "best_weights/0"))] = arrays[key]
            else:
                arrays[key] = mutate_array(draws, arrays[key])
        arrays["description"] = np.frombuffer(json.dumps(said).encode(), np.uint8)
        made = io.BytesIO()
        np.savez(made, **arrays)
        content = made.getvalue()
    path.write_bytes(content)
    former = done_or_refused(lambda: checkpoint.load(folder))
    require(path.read_bytes() == content, "the checkpoint was changed")
    if former is None or former.plan.recipe.num_epochs > 40:  # which is a longer run
        return
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    keep = checkpoint.Keep(elsewhere, {}, former)
    done = done_or_refused(lambda: run.train(ratings, former.plan, keep=keep))
    if done is not None:
        require(np.isfinite(done[1].test_rmse), "an RMSE that is not finite")
        if way == 0:
            require(same(done[0], whole), "damage that was not seen")


def attack_kill(draws: Draws, folder: Path) -> int:
    """Kill a run at random moments until it comes to its end; compare it with one in one go."""
    ratings = toy_ratings(draws, 40, 30)
    plan = some_plan(draws)
    plan = replace(plan, checkpoint_every=1, recipe=plan.recipe.but(num_epochs=30))
    whole = run.train(ratings, plan, keep=checkpoint.Keep(folder))
    (folder / checkpoint.NAME).unlink()
    kills, needed = 0, whole[1].total_seconds
    while True:
        child = os.fork()
        if not child:
            _train_and_leave(ratings, plan, folder)
        if kills < 6:
            time.sleep(draws.uniform(0, 0.5) * needed)
            os.kill(child, signal.SIGKILL)
        status = os.waitpid(child, 0)[1]
        if not os.WIFSIGNALED(status):
            break
        kills += 1
    require(status == 0, (folder / "fault").read_text() if (folder / "fault").exists() else "?")
    weights = _hex(whole[0])
    require((folder / "net.json").read_text() == weights, "other bits after kills")
    return max(kills, 1)


def _hex(model: TrainedModel) -> str:
    return json.dumps([values.tobytes().hex() for values in model.networks[0].weights.values()])


def _train_and_leave(ratings: Ratings, plan: Plan, folder: Path) -> None:
    try:
        signal.alarm(0)
        sweep(folder)
        there = (folder / checkpoint.NAME).exists()
        former = checkpoint.load(folder) if there else None
        model, *_ = run.train(ratings, plan, keep=checkpoint.Keep(folder, {}, former))
        (folder / "net.json").write_text(_hex(model))
        os._exit(0)
    except BaseException as error:
        (folder / "fault").write_text(repr(error))
        os._exit(1)


def attack_export(draws: Draws, folder: Path) -> None:
    import onnxruntime

    kind = int(draws.integers(4))
    recipe = SMALL.but(
        by=one_of(draws, ("item", "user")),
        hidden=one_of(draws, ((3,), (4, 2, 3))),
        encoder=one_of(draws, ACTIVATIONS),
        decoder=one_of(draws, ACTIVATIONS),
        lr=one_of(draws, (1e-3, 0.05, 1.0)),
    )
    if kind == 1:
        recipe = recipe.but(targets=one_of(draws, ("mean", "biases")))
    if kind == 2:
        recipe = recipe.but(num_seeds=2, clip=(1.0, 5.0), default=one_of(draws, (None, 3.0)))
    if kind == 3:
        recipe = BLEND
    users, items = int(draws.integers(3, 40)), int(draws.integers(3, 30))
    model = done_or_refused(lambda: toy_model(draws, recipe, users=users, items=items))
    if model is None:
        return
    if draws.random() < 0.5:  # ranges in which most or all predictions are clipped
        low = float(draws.uniform(-1, 6))
        model = replace(model, low=low, high=low + one_of(draws, (0.0, 0.1)))
    path = folder / "m.onnx"
    checked = done_or_refused(lambda: export_onnx(model, path))
    if checked is None:
        require(not path.exists(), "refused, and written")
        return
    session = onnxruntime.InferenceSession(path.read_bytes())
    score = _scores(session, model)
    expected = model.trained.score_users(np.arange(len(model.user_ids)))
    largest = max(1.0, float(np.abs(expected).max()))
    require(np.abs(score - expected).max() < 1e-5 * largest, "other scores")
    left_out = model.ratings.toarray().T != 0
    left_out |= (model.trained.counts("item") == 0)[None]
    score = np.where(left_out, -np.inf, score)
    table = recommend(model, n=5)
    for user, rows in table.groupby("user"):
        code = int(np.searchsorted(model.user_ids, user))
        best = np.argsort(-score[code], kind="stable")[: len(rows)]
        items = np.searchsorted(model.item_ids, rows["item"].to_numpy())
        apart = np.abs(expected[code, best] - expected[code, items])
        require((apart < 2e-5 * largest).all(), "other items than recommend's")


def _scores(session: Any, model: Any) -> np.ndarray:
    """Return onnxruntime's scores of all users and items."""
    users, items = len(model.user_ids), len(model.item_ids)
    if session.get_inputs()[0].name == "ratings":
        rows = model.trained.inputs[0].toarray()
        [score] = session.run(["score"], {"ratings": rows})
        return score if model.by == "user" else score.T
    user, item = np.indices((users, items)).reshape(2, -1)
    return session.run(["score"], {"users": user, "items": item})[0].reshape(users, items)


def attack_leakage(draws: Draws, folder: Path) -> None:
    """Change the test ratings: nothing that is trained may change."""
    ratings, plan = toy_ratings(draws, 12, 9), some_plan(draws)
    plan = replace(plan, checkpoint_every=0, recipe=plan.recipe.but(refit=False))
    one = run.train(ratings, plan)
    test = run.split(ratings, plan)[1]
    table = ratings.table.copy()
    stars = table["rating"].to_numpy().copy()
    low, high = np.delete(stars, test).min(), np.delete(stars, test).max()
    stars[test] = draws.uniform(low, high, len(test))
    other = run.train(replace(ratings, table=table.assign(rating=stars)), plan)
    for a, b in zip(one[0].networks, other[0].networks):
        equal = (np.array_equal(a.weights[name], b.weights[name]) for name in a.weights)
        require(all(equal), "test ratings were trained on")
    chosen = [[e.rmse for e in done[2] if e.scored == "validation"] for done in (one, other)]
    require(chosen[0] == chosen[1], "test ratings took part in a choice")


AREAS = (
    Area("checkpoints", "damage seen; a finite result, or one sentence", 1600, attack_checkpoint),
    Area("resumes", "the same bits as in one go", 150, attack_resume),
    Area("kills", "the same bits as in one go", 13, attack_kill),
    Area("exports", "scores and lists of recommend, or one sentence", 1200, attack_export),
    Area("leakage", "test ratings change nothing that is trained", 100, attack_leakage),
)
