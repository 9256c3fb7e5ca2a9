"""The two engines behind one face, for a run that may be interrupted between two epochs."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse

from d2l_autorec.errors import InputError
from d2l_autorec.models.architecture import Architecture
from d2l_autorec.models.biases import Scale, shrunken_means
from d2l_autorec.models.recipe import Recipe
from d2l_autorec.training.batches import RolloverBatches, rollover_batches
from d2l_autorec.training.draws import Draws, GlobalDraws, NumPyDraws, has_mxnet
from d2l_autorec.training.history import Epoch
from d2l_autorec.training.updates import Updates

if TYPE_CHECKING:
    from d2l_autorec.training.dense import DenseState
    from d2l_autorec.training.distributed.group import Group
    from d2l_autorec.training.sparse import SparseState

ENGINES = ("fast", "sparse")
_DENSE_SHARE = 0.25  # of cells rated, from which on dense matrices are quicker

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Compute:
    """What a network is trained with.

    Attributes
    ----------
    engine : {"fast", "sparse"}
        Dense matrices in MXNet, or the sparse engine.
    devices : tuple of mxnet.Context
        For the dense engine; one CPU where there is none.
    group : Group or None
        The workers to share the work with; the result is the same on all of them.
    """

    engine: str = "sparse"
    devices: tuple[Any, ...] = ()
    group: Group | None = None


@dataclass(frozen=True)
class Engine:
    """A network that is ready to be trained.

    Attributes
    ----------
    state : DenseState or SparseState
        What changes in training.
    batches : RolloverBatches
    epochs : callable
        Takes a number of epochs and gives the generator that trains them.
    whole : callable
        Takes a copy of weights; gives what a checkpoint is to hold: all arrays of the state, and
        those weights, whole. All workers call it.
    draws : Draws
    """

    state: DenseState | SparseState
    batches: RolloverBatches
    epochs: Callable[[int], Generator[Epoch, None, None]]
    whole: Callable[[Arrays], tuple[Arrays, Arrays]]
    draws: Draws


@dataclass(frozen=True)
class Beginning:
    """Where a network's batches begin.

    Attributes
    ----------
    epoch_seed : int or None
        The draws are seeded anew for each epoch, from this and its number.
    rest : numpy.ndarray or None
        Rows that an earlier process had left over.
    epoch : int
        Epochs that it had been through.
    """

    epoch_seed: int | None = None
    rest: np.ndarray | None = None
    epoch: int = 0


def choose_engine(num_ratings: int, num_cells: int) -> str:
    """Return the engine that is quicker for a matrix: the sparse one, but for dense ratings."""
    return "fast" if num_ratings > _DENSE_SHARE * num_cells and has_mxnet() else "sparse"


def choose_draws(recipe: Recipe, engine: str) -> str:
    """Return the draws that a recipe gets here: "mxnet" or "numpy"."""
    if engine == "fast":
        return "mxnet"
    return "numpy" if recipe.draws == "numpy" or not has_mxnet() else "mxnet"


def array_shapes(
    engine: str, architecture: Architecture, num_cols: int
) -> tuple[dict[str, tuple[int, ...]], dict[str, tuple[int, ...]]]:
    """Return names and shapes of what `Engine.whole` gives: all arrays, and the weights."""
    if engine == "sparse":
        from d2l_autorec.training.sparse.state import array_shapes

        shapes = array_shapes(architecture, num_cols)
        return shapes, {n: shape for n, shape in shapes.items() if not n.endswith("_moments")}
    layers = architecture.weight_shapes(num_cols).values()
    weights = {f"{i}": shape for i, shape in enumerate(layers)}
    moments = {f"{i}_{m}": shape for i, shape in weights.items() for m in ("mean", "var")}
    return {**weights, **moments}, weights


def make_engine(
    recipe: Recipe,
    scale: Scale,
    train: sparse.csr_matrix,
    held_out: sparse.csr_matrix | None,
    seed: int,
    compute: Compute,
    beginning: Beginning,
) -> Engine:
    """Draw initial weights, and make the engine ready.

    Parameters
    ----------
    recipe : Recipe
        Of one network, for these ratings.
    scale : Scale
        What the matrices have been made with.
    train, held_out : scipy.sparse.csr_matrix
        What the network reads, and what is scored after each epoch; (num_rows, num_cols).
    seed : int
    compute : Compute
    beginning : Beginning

    Raises
    ------
    InputError
        If the dense engine is asked for and MXNet is not there.
    """
    num_rows, num_cols = train.shape
    draws: Draws = GlobalDraws()
    if choose_draws(recipe, compute.engine) == "numpy":
        draws = NumPyDraws(seed)
    elif recipe.draws != "book":
        draws.seed(seed)
    make = _dense if compute.engine == "fast" else _sparse
    if compute.engine == "fast" and not has_mxnet():
        raise InputError("The engine fast needs MXNet, which is not here; use the engine sparse.")
    first_bias = None
    if recipe.start == "mean":
        mean = float(train.data.mean())
        first_bias = mean + shrunken_means(train.indices, train.data - mean, num_cols)
    clip = None
    if isinstance(recipe.clip, tuple) and recipe.targets != "biases":
        low, high = ((end - scale.mean) / scale.unit for end in recipe.clip)
        clip = (low, high)
    batches = rollover_batches(
        num_rows, recipe.batch_size, beginning.rest, beginning.epoch_seed, beginning.epoch, draws
    )
    updates = Updates.of(recipe, num_rows, scale.unit)
    loop = {
        "lr": updates.lr,
        "wd": updates.wd,
        "objective": updates.objective,
        "decay_biases": updates.decay_biases,
        "clip": clip,
        "batches": batches,
        "group": compute.group,
    }
    return make(recipe, train, held_out, updates, compute, draws, first_bias, batches, loop)


def _dense(
    recipe: Recipe,
    train: Any,
    held_out: Any,
    updates: Updates,
    compute: Compute,
    draws: Draws,
    first_bias: np.ndarray | None,
    batches: RolloverBatches,
    loop: dict[str, Any],
) -> Engine:
    import mxnet as mx

    from d2l_autorec.models.autorec import AutoRec, initialize
    from d2l_autorec.training.dense import DenseState, train_fast

    devices = list(compute.devices) or [mx.cpu()]
    net = AutoRec(train.shape[1], recipe.architecture)
    initialize(net, recipe.init, devices)
    if first_bias is not None:
        net.dense_layers()[-1].bias.set_data(mx.np.array(first_bias))
    state = DenseState(net, devices, updates, compute.group)
    return Engine(
        state,
        batches,
        lambda count: train_fast(
            net, train, held_out, num_epochs=count, state=state, devices=devices, **loop
        ),
        lambda weights: (state.arrays(), weights),
        draws,
    )


def _sparse(
    recipe: Recipe,
    train: Any,
    held_out: Any,
    updates: Updates,
    compute: Compute,
    draws: Draws,
    first_bias: np.ndarray | None,
    batches: RolloverBatches,
    loop: dict[str, Any],
) -> Engine:
    from d2l_autorec.training.sparse import SparseState, train_sparse
    from d2l_autorec.training.sparse.state import own_columns

    group = compute.group
    if isinstance(draws, NumPyDraws):
        state = SparseState.new(recipe.architecture, train.shape[1], draws, recipe.init)
    else:
        from d2l_autorec.models.autorec import AutoRec, initialize

        net = AutoRec(train.shape[1], recipe.architecture)
        initialize(net, recipe.init)
        state = SparseState.from_net(net)
    if first_bias is not None:
        state.out_bias[:, 0] = first_bias

    def whole(weights: Arrays) -> tuple[Arrays, Arrays]:
        if group is not None:
            span = own_columns(group, train)
            state.gather(group, span, moments=True)
            for name in ("V", "W", "out_bias"):
                if weights:
                    group.gather(weights[name], *span)
        return state.arrays(), weights

    return Engine(
        state,
        batches,
        lambda count: train_sparse(None, train, held_out, num_epochs=count, state=state, **loop),
        whole,
        draws,
    )
