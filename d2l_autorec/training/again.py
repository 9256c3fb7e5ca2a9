"""Training a scored model again on all ratings, the test ratings included."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from d2l_autorec.errors import InputError
from d2l_autorec.models.network import Network
from d2l_autorec.models.recipe import Recipe
from d2l_autorec.models.trained import TrainedModel
from d2l_autorec.training.blend import damped, member_seeds
from d2l_autorec.training.checkpoint import Keeper, check_data
from d2l_autorec.training.engines import Compute
from d2l_autorec.training.fit import Place, fit_network, rating_range
from d2l_autorec.training.history import Epoch
from d2l_autorec.training.run import Plan, Result, computed_with_so_far

if TYPE_CHECKING:
    import pandas as pd

    from d2l_autorec.data.formats import Ratings
    from d2l_autorec.training.checkpoint import Keep
    from d2l_autorec.training.distributed.group import Group


@dataclass(frozen=True)
class Scored:
    """What training again on all ratings needs to know of the scored model.

    Attributes
    ----------
    recipe : Recipe
        As it was followed, with the weights of a blend.
    epochs : tuple of int
        Of each network.
    gains : tuple of float
        Of each network; see `d2l_autorec.models.biases.Scale`.
    result : Result
    history : tuple of Epoch
    """

    recipe: Recipe
    epochs: tuple[int, ...]
    gains: tuple[float, ...]
    result: Result
    history: tuple[Epoch, ...]

    @classmethod
    def of(cls, model: TrainedModel, result: Result, history: Sequence[Epoch]) -> Scored:
        """Make it from what `train` has returned."""
        epochs = tuple(network.epoch for network in model.networks)
        gains = tuple(network.scale.gain for network in model.networks)
        return cls(model.recipe, epochs, gains, result, tuple(history))

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for a checkpoint."""
        return {**asdict(self), "recipe": self.recipe.to_dict()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Scored:
        """Make it from what `to_dict` has returned.

        Raises
        ------
        InputError
            If it is none.
        """
        try:
            result = dict(values["result"])
            result["computed_with"] = tuple(map(tuple, result["computed_with"]))
            return cls(
                Recipe.from_dict(values["recipe"]),
                tuple(int(epoch) for epoch in values["epochs"]),
                tuple(float(gain) for gain in values["gains"]),
                Result(**result),
                tuple(Epoch(**epoch) for epoch in values["history"]),
            )
        except (KeyError, TypeError, ValueError, AttributeError):
            raise InputError(
                "The checkpoint does not say how the model was scored; start the run again in a "
                "new folder."
            ) from None


def train_on_all(
    ratings: Ratings,
    plan: Plan,
    scored: Scored,
    devices: Sequence[Any] = (),
    advance: Callable[[float, float | None], None] = lambda train_loss, rmse: None,
    group: Group | None = None,
    keep: Keep | None = None,
) -> TrainedModel:
    """Train a scored model again, on all ratings: those for validation and the test too.

    Epochs, gains and weights are those of the scored model. No ratings are left to score the new
    model with; the reported score is that of the scored model.

    Parameters
    ----------
    ratings : Ratings
    plan : Plan
    scored : Scored
    devices, advance, group, keep
        As for `train`. What ``keep`` goes on from counts if it stands in this training.

    Raises
    ------
    InputError
        As `train`.
    KeyboardInterrupt
        As `train`.
    """
    digests = ratings.digest, scored.result.split_digest
    former = keep.former if keep and keep.former and keep.former.scored else None
    if former is not None:
        check_data(former, *digests)
    if group is not None:
        group.agree("What train was told to do", repr((plan, former.step if former else 0)))
        group.agree("The model's epochs", repr(scored.epochs))
    keeper = None
    if plan.checkpoint_every:
        start = time.perf_counter() - (former.seconds if former else scored.result.total_seconds)
        with_these = computed_with_so_far(former, group)
        keeper = Keeper(keep, plan, *digests, start, with_these, not group or group.is_first)
        keeper.begin_on_all(scored.to_dict())

    def follow(epoch: Epoch) -> None:
        advance(epoch.train_loss, epoch.rmse)

    return fit_again(
        ratings.table,
        (ratings.num_users, ratings.num_items),
        plan.recipe,
        plan.seed,
        scored.epochs,
        scored.gains,
        scored.recipe.weights,
        compute=Compute(plan.engine, tuple(devices), group),
        follow=follow,
        keeper=keeper,
    )


def fit_again(
    table: pd.DataFrame,
    shape: tuple[int, int],
    recipe: Recipe,
    seed: int,
    epochs: Sequence[int],
    gains: Sequence[float],
    weights: Sequence[float] = (),
    *,
    compute: Compute | None = None,
    follow: Callable[[Epoch], None] = lambda epoch: None,
    keeper: Keeper | None = None,
) -> TrainedModel:
    """Train what a recipe says on all ratings, with the epochs, gains and weights chosen before.

    The networks have the seeds that `fit` gives them. Where the recipe's draws are the book's,
    which go on from the split, both generators are seeded, so that a run that was interrupted
    ends with the same bits.

    Parameters
    ----------
    table : pandas.DataFrame
        All ratings: ``user`` and ``item`` (codes from 0) and ``rating``.
    shape : (int, int)
        Number of users and of items.
    recipe : Recipe
    seed : int
    epochs, gains : sequences of int and of float
        One for each network of the scored model.
    weights : sequence of float
        Of a blend's members, as chosen; networks of weight zero are left out, as in the scored
        model.
    compute, follow, keeper
        As for `fit`.

    Raises
    ------
    InputError
        If the training diverges.
    """
    from d2l_autorec.data.matrices import interaction_csr

    whole = interaction_csr(table, *shape)
    recipe = replace(recipe, weights=tuple(weights)).for_ratings(*shape, rating_range(whole))
    seeds = member_seeds(seed, recipe.num_seeds)
    kept = [
        (place, part, weight)
        for place, (part, weight) in enumerate(zip(recipe.parts, weights or (1.0,)))
        if weight or len(recipe.parts) == 1
    ]
    networks: list[Network] = []
    factors: list[float] = []
    history: list[Epoch] = []
    places = [(p, part, weight, j) for p, part, weight in kept for j in range(len(seeds))]
    assert len(places) == len(epochs)
    for (place, part, weight, j), stop, gain in zip(places, epochs, gains):
        if part.draws == "book":
            part = replace(part, draws="mxnet")
        model = fit_network(
            whole,
            part,
            seeds[j],
            stop=stop,
            compute=compute,
            follow=follow,
            keeper=keeper,
            place=Place(place * len(seeds) + j + 1, True),
        )
        networks += damped(model, gain).networks
        factors.append(float(weight) / len(seeds))
        history += model.history
    return TrainedModel(recipe, tuple(networks), tuple(factors), whole, tuple(history))


def saved_record(plan: Plan, model: TrainedModel) -> dict[str, Any]:
    """Return what ``run.json`` says of the model that is saved."""
    which = "training ratings"
    if plan.all_ratings:
        which = "all ratings; the result is of the model trained on the training ratings alone"
    return {
        "trained_on": which,
        "num_ratings": int(model.ratings.nnz),
        "epochs": [network.epoch for network in model.networks],
    }
