"""From the command line of a training run to its ratings, split and plan."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from d2l_autorec import runtime
from d2l_autorec.data.formats import Ratings, read_ratings
from d2l_autorec.data.options import ReadOptions
from d2l_autorec.data.protocols import NAMES, check_name, named_split, with_test_file
from d2l_autorec.data.sources import load_ml100k
from d2l_autorec.errors import InputError
from d2l_autorec.models.recipes import RECIPES, find_recipe, for_size
from d2l_autorec.progress import tell
from d2l_autorec.training import checkpoint, resume, run
from d2l_autorec.training.draws import has_mxnet
from d2l_autorec.training.engines import choose_engine
from d2l_autorec.training.memory import Size, check_memory, shared_here
from d2l_autorec.training.plan import TEST_FILE, Plan, check, check_batch_size, check_engine

_PATHS = ("data", "tensorboard", "test")


@dataclass(frozen=True)
class Asked:
    """The options given on the command line of a training run; None or empty where not given.

    The default recipe is the chapter's for MovieLens 100K, "default" for other ratings.
    """

    recipe: str | None = None  # name or TOML file
    changes: dict[str, Any] = field(default_factory=dict)  # fields of the recipe
    plan: dict[str, Any] = field(default_factory=dict)  # other fields of the plan
    data: Path | None = None  # MovieLens 100K by default
    devices: str | None = None  # as `d2l_autorec.runtime.parse_devices` reads it
    out: Path | None = None  # the run's folder; under ``runs`` by default
    save: bool = False  # leave the model in ``model`` below the run's folder
    tensorboard: Path | None = None  # where to log
    reading: ReadOptions = field(default_factory=ReadOptions)  # of both files of ratings
    test: Path | None = None  # ratings to score with, in place of a split

    def kept(self) -> dict[str, Any]:
        """Return what a checkpoint keeps beside the plan."""
        paths = {name: vars(self)[name] for name in _PATHS}
        kept = {name: str(path.resolve()) if path else None for name, path in paths.items()}
        other = {"devices": self.devices, "save": self.save, "reading": self.reading.as_json()}
        return {**kept, **other}

    @classmethod
    def from_kept(cls, kept: dict[str, Any], folder: Path) -> Asked:
        """Return what the run in a folder was asked for, from what `kept` has returned."""
        try:
            texts = [kept["data"], kept["tensorboard"], kept["devices"], kept.get("test")]
            if not all(text is None or isinstance(text, str) for text in texts):
                raise TypeError("options")
            own: dict[str, Any] = {name: Path(kept[name]) for name in _PATHS if kept.get(name)}
            if "reading" in kept:
                own["reading"] = ReadOptions.from_json(kept["reading"])
            return cls(devices=kept["devices"], out=folder, save=bool(kept["save"]), **own)
        except (KeyError, TypeError, AttributeError):
            raise InputError(
                f"{folder / checkpoint.NAME} was not made by the train command; resume it in "
                "Python, as it was started."
            ) from None

    def check_split(self) -> None:
        """Raise an InputError if options of the split contradict each other."""
        split = self.plan.get("split")
        if split is not None:
            check_name(split)
            if self.test is not None:
                raise InputError("--split and --test exclude each other; give one of them.")
        if "test_ratio" in self.plan and (self.test or split not in (None, "random", "time")):
            way = "--test" if self.test else f"--split {split}"
            raise InputError(
                f"--test-ratio is for --split random and time, and {way} says itself what is held "
                "out; leave it out."
            )


def make_plan(asked: Asked, ratings: Ratings) -> tuple[Plan, str | None]:
    """Return the plan for the ratings, and a notice of what was chosen by default."""
    name = asked.recipe or ("default" if asked.data else "chapter")
    shape = ratings.num_users, ratings.num_items
    found = for_size(find_recipe(name), len(ratings.table), *shape)
    recipe, notice = found.recipe, None
    if asked.recipe is None and asked.data:
        notice = f"Recipe: {found.name} (the chapter's is --recipe chapter)."
    elif name in RECIPES and name != found.name:
        notice = f"Recipe: {found.name}, for which {name} stands with as many ratings as these."
    by_lam = any(part.lam is not None for part in recipe.parts)
    if "wd" in asked.changes and by_lam and "lam" not in asked.changes:
        raise InputError("--wd: this recipe decays weights by λ; give --lam.")
    recipe, engine = resume.changed(recipe, asked.changes), asked.plan.get("engine")
    if engine is None:
        dense = recipe == RECIPES["chapter"] and not asked.data
        dense = (dense or asked.devices not in (None, "cpu")) and has_mxnet()
        engine = "fast" if dense else choose_engine(len(ratings.table), shape[0] * shape[1])
    settings = {"all_ratings": asked.save, **with_whole_path(asked.plan)}
    if asked.test is not None:
        settings["split"] = TEST_FILE
    plan = Plan(**{**settings, "recipe": recipe, "engine": engine})
    if plan.all_ratings and not asked.save:
        raise InputError("--all-ratings is for the model that --save keeps; give --save too.")
    if "batch_size" in asked.changes:
        check_batch_size(plan, ratings)
    return plan, notice


def with_whole_path(settings: dict[str, Any]) -> dict[str, Any]:
    """Return fields of a plan with the absolute path of a split's file."""
    split = settings.get("split", "random")
    whole = {} if split in NAMES else {"split": str(Path(split).resolve())}
    return {**settings, **whole}


@dataclass(frozen=True, eq=False)
class Prepared:
    """Ratings and a checked plan for them."""

    ratings: Ratings
    rows: run.Split | None  # to train and to test on; None where they are drawn as the plan says
    plan: Plan
    contexts: list[Any]  # MXNet's devices, for the dense engine


def prepare(
    asked: Asked,
    former: checkpoint.Checkpoint | None = None,
    quiet: bool = False,
    num_workers: int = 1,
) -> Prepared:
    """Read what a training run needs, and check it before anything is written."""
    if (former.plan.engine if former else asked.plan.get("engine")) == "fast":
        from d2l_autorec import doctor

        doctor.preflight()
    say = partial(tell, quiet=quiet)
    if asked.data:
        ratings = _read(asked.data, asked.reading, say)
    else:
        ratings = load_ml100k(quiet=quiet)
        say(ratings.understood.line() if ratings.understood else None)
    if ratings.understood is not None:
        ratings.understood.check_trainable()
    rows = None
    if asked.test is not None:
        ratings, rows = with_test_file(ratings, _read(asked.test, asked.reading, say))
        say(_strangers(ratings, rows))
    plan, notice = (former.plan, None) if former else make_plan(asked, ratings)
    say(notice)
    contexts: list[Any] = []
    check_engine(plan)
    if plan.engine == "fast":
        contexts, notice = runtime.parse_devices(asked.devices or "cpu")
        say(notice)
    elif asked.devices not in (None, "cpu"):
        raise InputError("--devices: the sparse engine runs on one CPU device; use cpu.")
    check(plan, ratings, max(len(contexts), 1), num_workers)
    if all(context.device_type == "cpu" for context in contexts):
        check_memory(plan, Size.of(ratings), shared_here(num_workers))
    _check_range(plan, ratings)
    if rows is None and plan.split != "random":
        rows = named_split(plan.split, ratings, plan.test_ratio)
    return Prepared(ratings, rows, plan, contexts)


def _read(path: Path, reading: ReadOptions, say: Callable[[str | None], None]) -> Ratings:
    ratings = read_ratings(path, reading, allow_nonpositive=True)
    say(ratings.understood.line() if ratings.understood else None)
    return ratings


def _strangers(ratings: Ratings, rows: run.Split) -> str | None:
    """Return a notice of the users and items in the test ratings without training ratings."""
    train, test = (ratings.table.iloc[part] for part in rows)
    counts = {
        what: len(np.setdiff1d(test[what].to_numpy(), train[what].to_numpy()))
        for what in ("user", "item")
    }
    if not any(counts.values()):
        return None
    said = " and ".join(f"{count:,} {what}s" for what, count in counts.items() if count)
    return (
        f"Of the test file, {said} have no training rating: they are predicted without a rating "
        "of their own (from the mean and the other side's bias, where the recipe has biases)."
    )


def _check_range(plan: Plan, ratings: Ratings) -> None:
    found = ratings.table["rating"].to_numpy()
    for part in (plan.recipe, *plan.recipe.members):
        if not isinstance(part.clip, tuple):
            continue
        low, high = part.clip
        if found.min() < np.float32(low) or found.max() > np.float32(high):
            raise InputError(
                f"--rating-range {low:g},{high:g} leaves out some of the ratings, which go from "
                f"{found.min():g} to {found.max():g}; give a wider one."
            )
