"""The runs of the experiment ``paper``: what is trained on a split and scored on it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from d2l_autorec.data.formats import Ratings, read_ratings
from d2l_autorec.data.sources import load_ml100k
from d2l_autorec.experiments import paper_variants as variants
from d2l_autorec.experiments.contenders import CONTENDERS
from d2l_autorec.experiments.parts import RANGE, Part
from d2l_autorec.models.recipe import Recipe
from d2l_autorec.training.blend import blend_weights, side_values, stacked
from d2l_autorec.training.fit import fit_network


@lru_cache(maxsize=2)
def load(data: Path | None) -> Ratings:
    """Return the ratings of a file, or MovieLens 100K."""
    return load_ml100k(quiet=True) if data is None else read_ratings(data)


def split_parts(ratings: Ratings, seed: int) -> tuple[Part, Part, Part, Part]:
    """Return the parts for training, for validation, both, and for test."""
    whole, test = Part.whole(ratings).divide(seed, 0.1)
    train, held_out = whole.divide(seed)
    return train, held_out, whole, test


def run_one(
    data: Path | None, job: Mapping[str, Any], stop: int | None = None
) -> dict[str, float]:
    """Train and score one variant on validation ratings or, trained on these too, on test."""
    start, ratings, seed = time.perf_counter(), load(data), int(job["split"])
    there = variants.protocol(len(ratings.table)) + variants.QUESTIONS
    variant = next(v for v in there if (v.part, v.name) == (job["part"], job["variant"]))
    train, held_out, whole, test = split_parts(ratings, seed)
    known, asked = (train, held_out) if job["scored_on"] == "validation" else (whole, test)
    recipe = replace(variant.recipe, lam=float(job["lam"]))
    initial = pretrained(known.matrix, recipe, seed, stop) if variant.pretrained else None
    fitted = fit_network(known.matrix, recipe, seed, stop=stop, initial=initial)
    rmse = asked.rmse(asked.predicted(fitted.predict))
    return {"rmse": rmse, "seconds": round(time.perf_counter() - start, 1)}


def pretrained(
    ratings: sparse.csr_matrix, recipe: Recipe, seed: int, stop: int | None = None
) -> dict[str, np.ndarray]:
    """Train a network with three hidden layers greedily, layer by layer.

    An AutoRec with the first hidden layer learns the ratings. An autoencoder with the second
    learns its codes, and is put between its two layers. `fit_network` begins with these weights.
    """
    wide, narrow, _ = recipe.architecture.hidden
    outer = fit_network(ratings, variants.OUTER.but(hidden=(wide,)), seed, stop=stop)
    codes = sparse.csr_matrix(outer.hidden(0)[-1])  # (num_items, wide), all above zero
    inner = fit_network(codes, variants.INNER.but(hidden=(narrow,)), seed, stop=stop)
    first, second = (model.networks[0].weights for model in (outer, inner))
    layers = ((first, 0), (second, 0), (second, 1), (first, 1))
    return {
        f"{place}.{kind}": weights[f"{layer}.{kind}"]
        for place, (weights, layer) in enumerate(layers)
        for kind in ("weight", "bias")
    }


def try_one(
    data: Path | None, job: Mapping[str, Any], stop: int | None = None
) -> dict[str, float]:
    """Score a recipe on the first split's validation ratings, at its best epoch."""
    start, ratings = time.perf_counter(), load(data)
    train, held_out, *_ = split_parts(ratings, 0)
    recipe = variants.TRIED[job["recipe"]]
    fitted = fit_network(train.matrix, recipe, 0, validation=held_out.matrix, stop=stop)
    rmse = held_out.rmse(held_out.predicted(fitted.predict))
    seconds = round(time.perf_counter() - start, 1)
    return {"rmse": rmse, "epoch": fitted.epoch, "seconds": seconds}


def reach(data: Path | None, job: Mapping[str, Any], stop: int | None = None) -> dict[str, float]:
    """Fit the networks of the blend, and score each of them and the blend."""
    fits = _fit_members(data, job, variants.REACH, stop)
    weights = blend_weights(list(fits.beside), fits.held_out.stars)
    scores = {name: fits.test.rmse(guess) for name, guess in zip(variants.REACH, fits.asked)}
    scores["blend"] = fits.rmse(weights @ fits.asked)
    return {**scores, **{f"weight: {n}": float(w) for n, w in zip(variants.REACH, weights)}}


def stack(data: Path | None, job: Mapping[str, Any], stop: int | None = None) -> dict[str, float]:
    """Fit the networks of the stack; score it, and their blend of fixed weights."""
    fits = _fit_members(data, job, variants.STACKED, stop)

    def sides(known: Part, asked: Part) -> np.ndarray:
        of_items, of_users = side_values(known.matrix)
        return np.hstack([of_items[asked.table["item"]], of_users[asked.table["user"]]])

    beside_it, asked = sides(fits.train, fits.held_out), sides(fits.whole, fits.test)
    guess = stacked(fits.beside, beside_it, fits.held_out.stars, fits.asked, asked)
    weights = blend_weights(list(fits.beside), fits.held_out.stars)
    return {"stack": fits.rmse(guess), "fixed weights": fits.rmse(weights @ fits.asked)}


def other(data: Path | None, job: Mapping[str, Any]) -> dict[str, float]:
    """Fit and score another library's model."""
    start, ratings, seed = time.perf_counter(), load(data), int(job["split"])
    train, held_out, _, asked = split_parts(ratings, seed)
    known = Part(ratings, np.concatenate([train.rows, held_out.rows]))
    predict = CONTENDERS[job["model"]].make()(known.table, known.shape, seed)
    rmse = asked.rmse(asked.predicted(predict).clip(*RANGE))
    return {"rmse": rmse, "seconds": round(time.perf_counter() - start, 1)}


@dataclass(frozen=True)
class Fits:
    """The parts of a split, and what some networks predict.

    Attributes
    ----------
    train, held_out, whole, test : Part
        From `split_parts`.
    beside : numpy.ndarray, shape (num_networks, num_held_out)
        Predictions of the validation ratings, trained beside them.
    asked : numpy.ndarray, shape (num_networks, num_test)
        Predictions of the test ratings, trained on everything else.
    """

    train: Part
    held_out: Part
    whole: Part
    test: Part
    beside: np.ndarray
    asked: np.ndarray

    def rmse(self, predicted: np.ndarray) -> float:
        """Score predictions of the test ratings, which are clipped."""
        return self.test.rmse(predicted.clip(*RANGE))


def _fit_members(
    data: Path | None, job: Mapping[str, Any], recipes: Mapping[str, Recipe], stop: int | None
) -> Fits:
    """Train each network beside validation ratings, and up to its best epoch on these too."""
    seed = int(job["split"])
    train, held_out, whole, test = split_parts(load(data), seed)
    beside, asked = [], []
    for recipe in recipes.values():
        chosen = fit_network(train.matrix, recipe, seed, validation=held_out.matrix, stop=stop)
        again = fit_network(whole.matrix, recipe, seed, stop=chosen.epoch)
        beside.append(held_out.predicted(chosen.predict))
        asked.append(test.predicted(again.predict))
    return Fits(train, held_out, whole, test, np.stack(beside), np.stack(asked))
