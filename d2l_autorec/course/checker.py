"""Checks a student's AutoRec: asks its process for arrays, and judges them here.

What is contained, and what is not
----------------------------------
The submission runs in a process of its own, with a temporary folder as its home, without the
environment of the checker, with limits on time, memory and file size; see
`d2l_autorec.course.containment`. The verdict cannot be forged by what a submission prints or
writes, nor by changing MXNet or the program that runs it: that process sends arrays for inputs
and parameters that are drawn anew, and the right answers are worked out on this side. Full marks
take the right numbers, and who sends those has computed them. Points for behaviour alone (masks,
dropout) could be had by code that answers in the network's place, which is more work than the
network.

On Linux 5.13 and later the kernel keeps the submission from writing outside its folder, from
reading home folders and this package's solutions (Landlock), and on x86-64 and aarch64 from
sockets, new processes and signals (seccomp). Elsewhere Python's audit hook refuses the same to
ordinary Python code, but not to code that sets out to break the interpreter, nor to C libraries
that open files by themselves; macOS does not hold the limit of memory. `Report.held` names what
held. Not contained anywhere: the load on the processor until the time is up, and the disk space
that many files of 64 MiB take until then. Where submissions are hostile and the kernel holds
nothing, run the checker in a container.
"""

from __future__ import annotations

import math
import secrets
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from d2l_autorec.course import judge
from d2l_autorec.course.report import CHECKS, NOT_REACHED, RIGHT, WRONG, Finding, Report
from d2l_autorec.course.sandbox import Ended, Sandbox
from d2l_autorec.errors import InputError, plain

SECONDS = 60.0
MOVIELENS_SECONDS = 240.0
MEMORY = 2 << 30  # bytes
MAX_SOURCE = 1 << 20  # bytes

_MAX_ARRAYS = 64  # of parameters
_LESSON = "04-autorec"
_BATCH, _HIDDEN, _USERS, _ITEMS = 5, 4, 7, 11


def check_file(
    path: str | Path,
    seconds: float = SECONDS,
    memory: int = MEMORY,
    seed: int | None = None,
    movielens: bool = False,
) -> Report:
    """Check a file that defines ``AutoRec`` and ``evaluator``, as the chapter does.

    Parameters
    ----------
    path : str or Path
        A Python file. It is copied; its folder is not at hand when it runs.
    seconds : float
        Time for all that the submission does.
    memory : int
        Bytes that it may use beyond what MXNet takes.
    seed : int, optional
        Of the arrays. Drawn anew by default, so that the answers cannot be known beforehand.
    movielens : bool
        Train on MovieLens 100K, too, for which there are `MOVIELENS_SECONDS` more. It must be in
        the cache.

    Returns
    -------
    Report

    Raises
    ------
    InputError
        If the file cannot be read, or is no Python file.
    """
    path = Path(path)
    if path.suffix != ".py":
        raise InputError(f"{path}: give a Python file, with a name that ends in .py.")
    try:
        size = path.stat().st_size
        if not path.is_file():
            raise InputError(f"{path}: this is no file.")
        if size > MAX_SOURCE:
            raise InputError(f"{path}: {size:,} bytes are too many for a submission.")
        with path.open("rb"):
            pass
    except OSError as error:
        raise InputError(f"{path}: it cannot be read ({error.strerror}).") from None

    def load(sandbox: Sandbox) -> dict[str, Any]:
        copy = sandbox.folder / "submission.py"
        shutil.copyfile(path, copy)
        return sandbox.ask("load", path=str(copy))[0]

    return _check(path.name, load, seconds, memory, seed, movielens)


def check(
    AutoRec: type,
    evaluator: Callable[..., Any],
    seconds: float = SECONDS,
    memory: int = MEMORY,
    seed: int | None = None,
    movielens: bool = False,
) -> Report:
    """Check a class and a function from a notebook, in a process of their own.

    Parameters
    ----------
    AutoRec : type
        ``AutoRec(num_hidden, num_users, dropout)``, a ``gluon.Block``.
    evaluator : callable
        ``evaluator(network, inter_matrix, test_data, devices)`` returns the RMSE.
    seconds, memory, seed, movielens
        As for `check_file`.

    Returns
    -------
    Report

    Raises
    ------
    InputError
        If they hold something that cannot be sent to another process, or cloudpickle, which
        sends them, is not installed.
    """
    try:
        import cloudpickle
    except ModuleNotFoundError:
        raise InputError(
            "cloudpickle, which sends your class to its own process, is not installed: "
            "install it, or write the code to a file and run d2l-autorec check on it."
        ) from None
    homes = {getattr(thing, "__module__", None) for thing in (AutoRec, evaluator)}
    modules = [sys.modules[home] for home in homes if home in sys.modules and home != "__main__"]
    registered = []
    try:
        for module in modules:
            cloudpickle.register_pickle_by_value(module)
            registered.append(module)
        pickled = cloudpickle.dumps({"AutoRec": AutoRec, "evaluator": evaluator})
    except Exception as error:
        raise InputError(
            f"AutoRec or evaluator cannot be sent to another process ({plain(error)}): let them "
            "use only what they are given, modules and plain numbers."
        ) from None
    finally:
        for module in registered:
            cloudpickle.unregister_pickle_by_value(module)

    def load(sandbox: Sandbox) -> dict[str, Any]:
        return sandbox.ask("load", {"pickled": np.frombuffer(pickled, np.uint8)})[0]

    name = str(getattr(AutoRec, "__name__", "AutoRec"))
    return _check(name, load, seconds, memory, seed, movielens)


def _check(
    name: str,
    load: Callable[[Sandbox], dict[str, Any]],
    seconds: float,
    memory: int,
    seed: int | None,
    movielens: bool,
) -> Report:
    matrices = _movielens() if movielens else None
    seed = secrets.randbits(32) if seed is None else seed
    threads = 1
    if movielens:
        from d2l_autorec.runtime import num_threads

        threads = num_threads()
        seconds += MOVIELENS_SECONDS
    with Sandbox(seconds, memory, threads) as sandbox:
        examination = _Examination(sandbox, np.random.default_rng(seed), matrices)
        examination.run(load)
        findings = examination.in_order()
        return Report(name, findings, sandbox.refused, sandbox.held, seed)


def _movielens() -> tuple[np.ndarray, np.ndarray]:
    """MovieLens 100K from the cache, split as in the chapter's runs."""
    from d2l_autorec.config import CHAPTER
    from d2l_autorec.data import sources
    from d2l_autorec.data.matrices import interaction_matrix
    from d2l_autorec.data.split import holdout_split

    file = sources.cache_folder() / "ml-100k" / "u.data"
    if not file.is_file():
        raise InputError(
            "--movielens: MovieLens 100K is not in the cache; `d2l-autorec reproduce` brings it."
        )
    found = sources.load_ml100k(file, quiet=True)
    rows = holdout_split(len(found.table), CHAPTER.test_ratio, 0)
    train, held_out = (
        interaction_matrix(found.table.iloc[part], found.num_users, found.num_items)
        for part in rows
    )
    return train, held_out


class _Stop(Exception):
    """The rest of a check cannot be looked at; the message says why."""


class _Nothing(Exception):
    """There is nothing to look at."""


class _Examination:
    """The questions, in order. A check that fails does not stop those that do not need it."""

    def __init__(
        self,
        sandbox: Sandbox,
        rng: np.random.Generator,
        matrices: tuple[np.ndarray, np.ndarray] | None,
    ) -> None:
        self.sandbox, self.rng, self.matrices = sandbox, rng, matrices
        self.findings: dict[str, Finding] = {}
        self.gone = ""  # the check in which the process ended
        self.given: dict[str, Any] = {}

    def run(self, load: Callable[[Sandbox], dict[str, Any]]) -> None:
        """Look at everything."""
        self.rows = judge.ratings(self.rng, _BATCH, _USERS, 0.5)
        self.do("file", lambda: self.file(load))
        for name in ("class", "shape", "activation", "mask", "gradient", "prediction", "dropout"):
            self.do(name, getattr(self, name if name != "class" else "build"))
        self.do("training", self.training)
        self.do("rows", self.evaluator_rows)
        self.do("score", self.evaluator_score)
        self.do("devices", self.devices)
        if self.matrices is not None:
            self.do("movielens", self.movielens)

    def in_order(self) -> list[Finding]:
        """Return all findings."""
        return [self.findings[name] for name in CHECKS if name in self.findings]

    def do(self, name: str, look: Callable[[], str | None]) -> None:
        """Make one check and keep what it found."""
        state, message = NOT_REACHED, ""
        missing = [need for need in CHECKS[name].needs if self.findings[need].state != RIGHT]
        if self.gone:
            message = f'The process ended in "{CHECKS[self.gone].title}".'
        elif missing:
            message = f'It needs "{CHECKS[missing[0]].title}".'
        else:
            try:
                message = look() or ""
            except _Nothing as error:
                self.findings[name] = Finding(name, NOT_REACHED, str(error))
                return
            except Ended as error:
                self.gone = name
                message = self.ended(error)
            except _Stop as error:
                message = str(error)
            except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
                # the judges take what fits the question; only a forged answer does not
                message = f"What came back does not fit the question ({type(error).__name__})."
            state = WRONG if message else RIGHT
            if message:
                message = f"{plain(message)} See lesson {_LESSON}, {CHECKS[name].see}."
        self.findings[name] = Finding(name, state, message)

    def ended(self, error: Ended) -> str:
        """Say how the process ended."""
        if error.reason == "late":
            return (
                f"There was no answer within {self.sandbox.seconds:g} seconds. A loop that does "
                "not end looks like this."
            )
        if error.reason == "garbled":
            return "What came back was no answer. The submission wrote to the checker's channel."
        if error.code == 0:
            return (
                "The process ended itself, with exit code 0. A submission returns; it never exits."
            )
        if error.code is None:
            return "The process closed all 2 of its channels, and can give no answer."
        how = f"signal {-error.code}" if error.code < 0 else f"exit code {error.code}"
        return (
            f"The process ended early ({how}). It exited by itself, crashed or ran out of its "
            f"{self.sandbox.memory / 2**30:.3g} GB of memory."
        )

    def ask(
        self, where: str, do: str, arrays: dict[str, Any] | None = None, **fields: Any
    ) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """Ask the process; what the submission raised ends the check."""
        answer, results = self.sandbox.ask(do, arrays, **fields)
        if "error" in answer:
            raise _Stop(judge.error(_mapping(answer["error"]), where))
        return answer, results

    def outputs(self, rows: np.ndarray, training: bool, times: int = 1, device: int = 0) -> Any:
        """Outputs of the network for the same rows, `times` times."""
        where = "forward, in training," if training else "forward, in prediction,"
        settings = {"training": training, "times": times, "device": device}
        results = self.ask(where, "forward", {"rows": rows}, **settings)[1]
        return [_array(results, f"o{i}") for i in range(times)]

    def make(self, num_hidden: int, num_users: int, dropout: float, num_devices: int = 1) -> None:
        """Build a network."""
        sizes = {"num_hidden": num_hidden, "num_users": num_users, "dropout": dropout}
        self.build_with(num_devices=num_devices, sigma=0.3, **sizes)

    def build_with(self, **settings: Any) -> None:
        """Build a network with these arguments; its first parameters come from our seed."""
        self.ask("AutoRec(...)", "build", None, seed=int(self.rng.integers(2**31)), **settings)

    def fill(self, rows: np.ndarray) -> list[np.ndarray]:
        """Give the network parameters of our own; a first row tells their shapes."""
        self.outputs(rows, False)
        told = self.ask("AutoRec", "shapes")[0].get("shapes")
        try:
            shapes = [tuple(int(size) for size in shape) for shape in told or ()]
            fine = len(shapes) <= _MAX_ARRAYS and all(
                len(shape) < 5 and min(shape, default=1) > 0 and math.prod(shape) < 1e6
                for shape in shapes
            )
        except (TypeError, ValueError, OverflowError):
            fine = False
        if not fine or not shapes:
            raise _Stop(
                "The network has 0 parameters that MXNet knows of. What is not registered with "
                "the block is never trained."
            )
        values = judge.values(self.rng, shapes)
        self.ask("AutoRec", "put", {f"p{i}": value for i, value in enumerate(values)})
        return values

    def file(self, load: Callable[[Sandbox], dict[str, Any]]) -> str | None:
        answer = load(self.sandbox)
        if "error" in answer:
            return judge.error(_mapping(answer["error"]), "The file")
        self.given = answer
        if not answer.get("class") and not answer.get("evaluator"):
            return "The file defines 0 of the 2 names that are looked for: AutoRec and evaluator."
        if not answer.get("class"):
            return "1 of 2 names is missing: no class is called AutoRec."
        if not answer.get("evaluator"):
            return "1 of 2 names is missing: no function is called evaluator."
        return None

    def build(self) -> str | None:
        if not self.given.get("class"):
            raise _Nothing("It needs a class called AutoRec.")
        if not self.given.get("block"):
            return (
                "AutoRec has 0 Gluon blocks among its base classes. What is no block has no "
                "parameters that a trainer finds."
            )
        self.make(_HIDDEN, _USERS, 0.0)
        return None

    def shape(self) -> str | None:
        output = self.outputs(self.rows, False)[0]
        message = judge.shape(self.rows, output)
        if message is None:
            message = judge.shape(self.rows, self.outputs(self.rows, True)[0])
        if message is None:  # a batch is no part of the network
            message = judge.shape(self.rows[:2], self.outputs(self.rows[:2], False)[0])
        return message

    def activation(self) -> str | None:
        self.parameters = self.fill(self.rows)
        output = self.outputs(self.rows, False)[0]
        return judge.activation(self.rows, output, self.parameters, _HIDDEN)

    def mask(self) -> str | None:
        return judge.mask(
            self.rows, self.outputs(self.rows, True)[0], self.outputs(self.rows, False)[0]
        )

    def gradient(self) -> str | None:
        head = self.rng.uniform(1, 2, self.rows.shape).astype("f4")
        both = []
        for part in (self.rows == 0, self.rows > 0):
            arrays = {"rows": self.rows, "head": head * part}
            grads = self.ask("The gradient", "gradient", arrays)[1]
            both.append([array for name, array in sorted(grads.items())])
        return judge.gradient(*both)

    def prediction(self) -> str | None:
        return judge.prediction(self.rows, self.outputs(self.rows, False)[0])

    def dropout(self) -> str | None:
        hidden = 32
        self.make(hidden, _USERS, 0.5)
        parameters = self.fill(self.rows)
        predictions = self.outputs(self.rows, False, 3)
        trainings = self.outputs(self.rows, True, 4)
        away = 0.0
        if self.findings["activation"].state == RIGHT:
            away = judge.dissect(self.rows, predictions[0], parameters, hidden)[1]
        return judge.dropout(predictions, trainings, away)

    def train(self, train: np.ndarray, **settings: Any) -> np.ndarray:
        """Predictions of the trained network for all entries."""
        seed = int(self.rng.integers(2**31))
        results = self.ask("Training", "train", {"rows": train}, seed=seed, **settings)[1]
        predicted = _array(results, "predictions")
        if predicted.shape != train.shape:
            raise _Stop(f"After training, {train.shape} rows gave an output {predicted.shape}.")
        return predicted

    def training(self) -> str | None:
        train, held_out = judge.synthetic(self.rng, 160, 60)
        self.make(16, train.shape[1], 0.05)
        predicted = self.train(train, epochs=40, batch=40, lr=0.02, wd=1e-5)
        return judge.trained(predicted, train, held_out)

    def movielens(self) -> str | None:
        from d2l_autorec.config import CHAPTER as book

        assert self.matrices is not None
        train, held_out = self.matrices
        self.build_with(
            num_hidden=book.num_hidden,
            num_users=train.shape[1],
            dropout=book.dropout_rate,
            num_devices=1,
            sigma=book.sigma,
        )
        settings = {"batch": book.batch_size, "lr": book.lr, "wd": book.wd}
        return judge.movielens(self.train(train, epochs=book.num_epochs, **settings), held_out)

    def probe(self, num_devices: int) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """Call the evaluator with a network that is known."""
        arrays = {"rows": self.matrix, "held_out": self.held_out, **self.known}
        answer, results = self.sandbox.ask("evaluate", arrays, batch=4, num_devices=num_devices)
        calls = [results[f"c{i}"] for i in range(len(results)) if f"c{i}" in results]
        return answer, {**results, "calls": calls}  # type: ignore[dict-item]

    def evaluator_rows(self) -> str | None:
        if not self.given.get("evaluator"):
            raise _Nothing("It needs a function called evaluator.")
        both = judge.ratings(self.rng, _ITEMS, _USERS, 0.6)
        held = (both > 0) & (self.rng.random(both.shape) < 0.4)
        held[np.arange(4), (both > 0).argmax(1)[:4]] = True
        self.matrix, self.held_out = both * ~held, both * held
        self.known = {
            "slope": self.rng.standard_normal((_USERS, _USERS)) / 4,
            "offset": self.rng.uniform(2, 4, _USERS),
        }
        answer, results = self.probe(1)
        modes = answer.get("training")
        modes = [bool(mode) for mode in modes] if isinstance(modes, list) else []
        message = judge.rows_shown(results["calls"], modes, self.matrix, self.held_out)  # type: ignore[arg-type]
        if "error" in answer and (message is None or not results["calls"] or "of the" in message):
            message = judge.error(_mapping(answer["error"]), "The evaluator")
        self.scored = answer, results
        return message

    def evaluator_score(self) -> str | None:
        answer, results = self.scored
        value = _number(answer, results)
        predicted = self.matrix @ self.known["slope"] + self.known["offset"]
        return judge.score(value, predicted, self.matrix, self.held_out, 4)

    def devices(self) -> str | None:
        self.make(_HIDDEN, _USERS, 0.0, 2)
        self.fill(self.rows)
        outputs = [self.outputs(self.rows, False, device=device)[0] for device in (0, 1)]
        answer, results = self.probe(2)
        if "error" in answer:
            return judge.error(_mapping(answer["error"]), "The evaluator, on two devices,")
        used = answer.get("devices")
        used = [str(device) for device in used] if isinstance(used, list) else []
        value, one = _number(answer, results), _number(*self.scored)
        message = judge.devices(outputs, used, value, one)
        if message is None:  # the two halves together
            answer, results = self.sandbox.ask(
                "evaluate",
                {"rows": self.matrix, "held_out": self.held_out},
                batch=4,
                num_devices=2,
            )
            if "error" in answer:
                return judge.error(_mapping(answer["error"]), "The evaluator, with your network,")
            predicted = self.outputs(self.matrix, False)[0]
            one = judge.rmse(predicted, self.held_out)
            message = judge.devices(outputs, used, _number(answer, results), one)
        return message


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _array(results: dict[str, np.ndarray], name: str) -> np.ndarray:
    if name not in results:
        raise Ended("garbled")
    return results[name]


def _number(answer: dict[str, Any], results: dict[str, np.ndarray]) -> float:
    """What an evaluator returned, as a number."""
    value = results.get("value")
    if value is None or value.size != 1:
        kind = str(answer.get("type", "nothing"))[:80]
        raise _Stop(f"The evaluator returned an object of type {kind}. An RMSE is 1 number.")
    return float(value.reshape(()))


__all__ = ["Report", "check", "check_file"]
