"""Checkpoints, from which a run can be resumed after its process has died.

A checkpoint is one file, ``checkpoint.npz`` in the run's folder, in NumPy's own format without
pickles: arrays, and a text in JSON. It is written at the end of an epoch. A run cannot be resumed
in the middle of an epoch with the same draws, since the state of MXNet's generator cannot be read.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from d2l_autorec.atomic import write_atomic, write_npz
from d2l_autorec.data.blobs import readable
from d2l_autorec.data.npz import read_stored_npz
from d2l_autorec.errors import InputError
from d2l_autorec.paths import kind, open_file, require_file
from d2l_autorec.runtime import num_threads
from d2l_autorec.training.blend import Weighed
from d2l_autorec.training.checked import checked_fields
from d2l_autorec.training.history import Epoch
from d2l_autorec.training.plan import Plan
from d2l_autorec.training.stopping import BestEpoch

if TYPE_CHECKING:
    from d2l_autorec.training.distributed.group import Group
    from d2l_autorec.training.engines import Engine

NAME = "checkpoint.npz"
FORMAT = 3


@dataclass(frozen=True)
class Checkpoint:
    """The state of a run at the end of an epoch."""

    plan: Plan
    options: dict[str, Any]  # what else the run's command was given, for that command to read
    data_digest: str  # as in the result; the data must be the same when the run goes on
    split_digest: str
    chosen: tuple[Epoch, ...]  # of the training that chose the epoch, once that is over
    history: tuple[Epoch, ...]  # the epochs so far, of the training at hand
    step: int  # updates made
    computed_with: tuple[tuple[int, int], ...]  # threads and workers at first and at each change
    seconds: float  # spent so far, evaluation included
    rest: np.ndarray  # rows that filled no batch yet, int64
    arrays: dict[str, np.ndarray]  # weights and Adam's moments
    best_weights: dict[str, np.ndarray]  # of the epoch that is best on validation ratings, if any
    scored: dict[str, Any] | None = None  # `run.Scored.to_dict`, in training on all ratings
    weight: float = 1.0  # of a network trained again, in a blend that has no other
    gain: float = 1.0  # of it; see `d2l_autorec.models.biases.Scale`
    val_rmse: float | None = None  # of both, before it is trained again


@dataclass
class Keep:
    """Where a run writes its checkpoints, and the checkpoint that it resumes from."""

    folder: Path
    options: dict[str, Any] = field(default_factory=dict)  # of the checkpoint: values for JSON
    former: Checkpoint | None = None  # where an earlier process has come to
    stopping: Callable[[], bool] = field(default=lambda: False)
    """Asked after every epoch: True to leave a checkpoint and raise KeyboardInterrupt."""


class Keeper:
    """Writes the checkpoints of a run; none without a `Keep`.

    The run began at ``start``, by ``time.perf_counter``; the digests of data and split must be
    those of the former checkpoint. Of a group's workers only the first writes; the others send
    what is written. ``scored`` is as in `Checkpoint`.

    Attributes
    ----------
    former : Checkpoint or None
        What the training of the network at hand goes on from.
    chosen : sequence of Epoch
        As in `Checkpoint`.
    weighed : Weighed
        What the validation ratings say of the network that is trained again.
    stops : bool
        Whether the run is to end after this epoch.
    """

    def __init__(
        self,
        keep: Keep | None,
        plan: Plan,
        digests: tuple[str, str],
        start: float,
        group: Group | None = None,
        scored: dict[str, Any] | None = None,
    ) -> None:
        self.keep, self.plan, self.digests = keep, plan, digests
        self.start, self.scored, self.stops = start, scored, False
        self.writes = group is None or group.is_first
        former = self.former = keep.former if keep else None
        if former is not None:
            check_data(former, *digests)
        self.chosen: Sequence[Epoch] = former.chosen if former else ()
        self.weighed = Weighed()
        if former is not None:
            self.weighed = Weighed((former.weight,), former.gain, former.val_rmse)
        self.computed_with = computed_with_so_far(former, group)

    @property
    def chosen_epoch(self) -> int:
        """The epoch that the network is trained again up to."""
        return BestEpoch(None, [epoch.rmse or 0.0 for epoch in self.chosen]).best

    def begin_refit(self, chosen: Sequence[Epoch], weighed: Weighed) -> None:
        """Record the epochs of which one has been chosen, and what came of the choice."""
        if not self.chosen:
            self.chosen, self.weighed, self.former = tuple(chosen), weighed, None

    def after(self, history: list[Epoch], best: BestEpoch, engine: Engine, is_over: bool) -> None:
        """Write a checkpoint after an epoch, if one is due; all workers call this."""
        if self.keep is None:
            return
        self.stops = self.keep.stopping()
        if not (self.stops or is_over or len(history) % self.plan.checkpoint_every == 0):
            return
        arrays, best_weights = engine.whole(best.weights)
        if self.writes:
            reached = Checkpoint(
                self.plan,
                self.keep.options,
                *self.digests,
                chosen=tuple(self.chosen),
                history=tuple(history),
                step=engine.state.step,
                computed_with=self.computed_with,
                seconds=time.perf_counter() - self.start,
                rest=engine.batches.rest,
                arrays=arrays,
                best_weights=best_weights,
                scored=self.scored,
                weight=float(self.weighed.weights[0]),
                gain=self.weighed.gain,
                val_rmse=self.weighed.rmse,
            )
            save(self.keep.folder, reached)


def computed_with(group: Group | None) -> tuple[int, int]:
    """Return the numbers of threads and of workers, on which the last bits depend."""
    return num_threads(), group.num_workers if group else 1


def computed_with_so_far(
    former: Checkpoint | None, group: Group | None
) -> tuple[tuple[int, int], ...]:
    """Return all these numbers of a run, from the first ones to those of this process."""
    before, now = former.computed_with if former else (), computed_with(group)
    return before if before[-1:] == (now,) else (*before, now)


def save(folder: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint. The former one stays until the new one is complete."""
    described = dict(vars(checkpoint))
    arrays = {"rest": described.pop("rest")}
    for group in ("arrays", "best_weights"):
        arrays.update({f"{group}/{name}": a for name, a in described.pop(group).items()})
    described["plan"] = checkpoint.plan.to_dict()
    for name in ("chosen", "history"):
        described[name] = [asdict(epoch) for epoch in described[name]]
    text = json.dumps({"format": FORMAT, **described}).encode()
    arrays["description"] = np.frombuffer(text, np.uint8)
    try:
        write_atomic(folder / NAME, lambda file: write_npz(file, arrays))
    except OSError as error:
        then = "start the run again"
        if (folder / NAME).exists():
            then = "go on with --resume from the former one, which stays"
        raise InputError(
            f"The checkpoint {folder / NAME} cannot be written ({error.strerror or error}); "
            f"make room or make the folder writable, then {then}."
        ) from None


def load(folder: Path) -> Checkpoint:
    """Read the checkpoint of an unfinished run."""
    path = folder / NAME
    with readable(str(path)):
        finished, there = kind(folder / "run.json"), kind(path)
    if finished:
        raise InputError(f"--resume {folder}: this run is finished; train a new one.")
    if not there:
        raise InputError(
            f"--resume {folder} has no {NAME}; name the folder of a run with --checkpoint-every."
        )
    require_file(path)
    damaged = InputError(f"{path} is damaged; start the run again in a new folder.")
    try:
        with readable(str(path)), open_file(path) as file:
            arrays = read_stored_npz(file)
        described = json.loads(arrays.pop("description").tobytes())
        written = described.pop("format")
        if written <= FORMAT == written:
            return Checkpoint(**checked_fields(described, arrays))
        which = "a newer" if written > FORMAT else "an older"
    except InputError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError):
        raise damaged from None
    raise InputError(f"{path} was written by {which} d2l-autorec; go on with that one.")


def check_data(checkpoint: Checkpoint, data_digest: str, split_digest: str) -> None:
    """Raise an InputError unless a resumed run has the ratings that it began with."""
    if checkpoint.data_digest != data_digest:
        raise InputError(
            f"--resume: the run began with ratings of digest {checkpoint.data_digest[:12]}... "
            f"and these have {data_digest[:12]}...; give the original file with --data."
        )
    if checkpoint.split_digest != split_digest:
        raise InputError("--resume: the ratings are split as the run did not; start a new one.")
