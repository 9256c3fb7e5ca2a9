"""One interface to the two engines, for runs that may be interrupted between two epochs."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse

from d2l_autorec.errors import InputError
from d2l_autorec.models.architecture import Architecture
from d2l_autorec.models.biases import Scale
from d2l_autorec.models.recipe import Recipe
from d2l_autorec.models.trained import TrainedModel
from d2l_autorec.training.batches import RolloverBatches
from d2l_autorec.training.draws import Draws, GlobalDraws, NumPyDraws, has_mxnet
from d2l_autorec.training.history import Epoch
from d2l_autorec.training.job import Job, Updates, check_matrices

if TYPE_CHECKING:
    from d2l_autorec.training.checkpoint import Keeper
    from d2l_autorec.training.dense import DenseState
    from d2l_autorec.training.distributed.group import Group
    from d2l_autorec.training.sparse import SparseState

ENGINES = ("fast", "sparse")
_DENSE_SHARE = 0.25  # of cells rated, from which on dense matrices are quicker

Arrays = dict[str, np.ndarray]
Epochs = Callable[[int], Generator[Epoch, None, None]]
Whole = Callable[[Arrays], tuple[Arrays, Arrays]]


@dataclass(frozen=True)
class Compute:
    """How networks are trained, whatever the recipe.

    Attributes
    ----------
    engine : {"fast", "sparse"}
        Dense matrices in MXNet, or the sparse engine.
    devices : tuple of mxnet.Context
        For the dense engine; one CPU where there is none.
    group : Group or None
        The workers to share the work with; the result is the same on all of them.
    follow : callable
        Told of each epoch.
    watch : callable or None
        Told of each epoch, with the network as it is then.
    keeper : Keeper or None
        For the checkpoints of a recipe with one network.
    """

    engine: str = "sparse"
    devices: tuple[Any, ...] = ()
    group: Group | None = None
    follow: Callable[[Epoch], None] = lambda epoch: None
    watch: Callable[[Epoch, TrainedModel], None] | None = None
    keeper: Keeper | None = None


@dataclass(frozen=True)
class Engine:
    """A network that is ready to be trained.

    ``epochs`` takes a number of epochs and gives the generator that trains them. ``whole`` takes a
    copy of weights and gives what a checkpoint is to hold: all arrays of the state, and those
    weights, whole; all workers call it.
    """

    state: DenseState | SparseState
    epochs: Epochs
    whole: Whole
    batches: RolloverBatches


def choose_engine(num_ratings: int, num_cells: int) -> str:
    """Return the engine that is quicker for a matrix: the sparse one, but for dense ratings."""
    return "fast" if num_ratings > _DENSE_SHARE * num_cells and has_mxnet() else "sparse"


def choose_draws(recipe: Recipe, engine: str) -> str:
    """Return the source of a recipe's draws on this machine: "mxnet" or "numpy"."""
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
) -> Engine:
    """Draw initial weights and prepare the engine for the recipe of one network.

    The network reads ``train`` and is scored on ``held_out`` after each epoch, if on anything;
    both are (num_rows, num_cols), made with ``scale``. Where there are checkpoints, the batches go
    on from the former one.

    Raises
    ------
    InputError
        If the dense engine is asked for and MXNet is not there, or the matrices are damaged.
    """
    num_rows, num_cols = train.shape
    check_matrices(train, held_out, num_cols)
    if compute.engine == "fast" and not has_mxnet():
        raise InputError("The engine fast needs MXNet, which is not here; use the engine sparse.")
    draws: Draws = GlobalDraws()
    if choose_draws(recipe, compute.engine) == "numpy":
        draws = NumPyDraws(seed)
    elif recipe.draws != "book":
        draws.seed(seed)
    clip = None
    if isinstance(recipe.clip, tuple) and recipe.targets != "biases":
        low, high = ((end - scale.mean) / scale.unit for end in recipe.clip)
        clip = (low, high)
    keeper = compute.keeper
    former = keeper.former if keeper else None
    batches = RolloverBatches(
        num_rows,
        recipe.batch_size,
        former.rest if former else None,
        keeper.plan.seed if keeper else None,
        len(former.history) if former else 0,
        draws,
    )
    updates = Updates.of(recipe, num_rows, scale.unit if recipe.targets == "unit" else 1.0)
    job = Job(train, held_out, batches, updates, clip, compute.group)
    if compute.engine == "fast":
        return Engine(*_dense(recipe, job, compute.devices), batches)
    return Engine(*_sparse(recipe, job, draws, former is not None), batches)


def _dense(recipe: Recipe, job: Job, devices: Sequence[Any]) -> tuple[DenseState, Epochs, Whole]:
    import mxnet as mx

    from d2l_autorec.models.autorec import AutoRec, initialize
    from d2l_autorec.training.dense.loop import epochs
    from d2l_autorec.training.dense.state import DenseState

    devices = list(devices) or [mx.cpu()]
    net = AutoRec(job.train.shape[1], recipe.architecture)
    initialize(net, recipe.init, devices)
    if recipe.start == "mean":
        net.dense_layers()[-1].bias.set_data(mx.np.array(job.column_means()))
    state = DenseState(net, devices, job.updates, job.group)
    return state, partial(epochs, state, job), lambda weights: (state.arrays(), weights)


def _sparse(
    recipe: Recipe, job: Job, draws: Draws, resumed: bool
) -> tuple[SparseState, Epochs, Whole]:
    from d2l_autorec.training.sparse.columns import share_out
    from d2l_autorec.training.sparse.loop import epochs
    from d2l_autorec.training.sparse.state import SparseState

    job, num_cols = job.canonical(), job.train.shape[1]
    if resumed:
        state = SparseState.blank(recipe.architecture, num_cols, draws)
    elif isinstance(draws, NumPyDraws):
        state = SparseState.new(recipe.architecture, num_cols, draws, recipe.init)
    else:
        state = SparseState.from_mxnet(recipe.architecture, num_cols, recipe.init)
    if recipe.start == "mean":
        state.out_bias[:, 0] = job.column_means()
    threads = share_out(job.train, job.group)

    def whole(weights: Arrays) -> tuple[Arrays, Arrays]:
        state.gather(threads, moments=True)
        threads.gather(weights[name] for name in ("V", "W", "out_bias") if weights)
        return state.arrays(), weights

    return state, partial(epochs, state, job, threads), whole
