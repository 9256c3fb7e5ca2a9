"""What the checker asks of a submission's process, and what it makes of the answers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from d2l_autorec.course import judge, questions
from d2l_autorec.course.sandbox import Ended, Sandbox

_MAX_ARRAYS = 64  # of parameters


class Stop(Exception):
    """The rest of a check cannot be looked at; the message says why."""


class Dialogue:
    """Asks a submission's process; the generator draws the parameters of its network."""

    def __init__(self, sandbox: Sandbox, rng: np.random.Generator) -> None:
        self.sandbox, self.rng = sandbox, rng

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
            raise Stop(judge.error(mapping(answer["error"]), where))
        return answer, results

    def outputs(self, rows: np.ndarray, training: bool, times: int = 1, device: int = 0) -> Any:
        """Outputs of the network for the same rows, `times` times."""
        where = "forward, in training," if training else "forward, in prediction,"
        settings = {"training": training, "times": times, "device": device}
        results = self.ask(where, "forward", {"rows": rows}, **settings)[1]
        return [array(results, f"o{i}") for i in range(times)]

    def make(self, *arguments: float, num_devices: int = 1, sigma: float = 0.3) -> None:
        """Build a network; its first parameters come from our seed."""
        settings = {"num_devices": num_devices, "sigma": sigma, "seed": self.seed()}
        self.ask("AutoRec(...)", "build", None, arguments=arguments, **settings)

    def seed(self) -> int:
        """Draw what MXNet's generator starts from."""
        return int(self.rng.integers(2**31))

    def fill(self, rows: np.ndarray) -> list[np.ndarray]:
        """Give the network parameters of our own; a first row tells their shapes."""
        self.outputs(rows, False)
        told = self.ask("AutoRec", "shapes")[0].get("shapes")
        try:
            shapes = [tuple(int(size) for size in shape) for shape in told or ()]
            fine = [
                len(shape) < 5 and min(shape, default=1) > 0 and math.prod(shape) < 1e6
                for shape in shapes
            ]
        except (TypeError, ValueError, OverflowError):
            fine = []
        if not 0 < len(fine) <= _MAX_ARRAYS or not all(fine):
            raise Stop(
                "The network has 0 parameters that MXNet knows of. What is not registered with "
                "the block is never trained."
            )
        values = questions.values(self.rng, shapes)
        self.ask("AutoRec", "put", {f"p{i}": value for i, value in enumerate(values)})
        return values

    def train(self, train: np.ndarray, **settings: Any) -> np.ndarray:
        """Predictions of the trained network for all entries."""
        settings["seed"] = self.seed()
        results = self.ask("Training", "train", {"rows": train}, **settings)[1]
        predicted = array(results, "predictions")
        if predicted.shape != train.shape:
            raise Stop(f"After training, {train.shape} rows gave an output {predicted.shape}.")
        return predicted


def mapping(value: Any) -> dict[str, Any]:
    """Return a mapping, an empty one in place of anything else."""
    return value if isinstance(value, dict) else {}


def array(results: dict[str, np.ndarray], name: str) -> np.ndarray:
    """Return an array that must be there."""
    if name not in results:
        raise Ended("garbled")
    return results[name]


def number(answer: dict[str, Any], results: dict[str, np.ndarray]) -> float:
    """What an evaluator returned, as a number."""
    value = results.get("value")
    if value is None or value.size != 1:
        kind = str(answer.get("type", "nothing"))[:80]
        raise Stop(f"The evaluator returned an object of type {kind}. An RMSE is 1 number.")
    return float(value.reshape(()))
