"""The student's process: does what the checker asks, and sends back arrays. It judges nothing.

Run as a program, with one argument: JSON with the paths and limits. It knows no right answer:
those are worked out by the checker, from arrays that are drawn anew each time. So nothing that a
submission does in here, to this program or to MXNet, gives a wrong network full marks, short of
computing what a right one would.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import sys
import traceback
from collections.abc import Callable
from typing import Any

NAME = "submission"


def main() -> None:
    """Close the door, then answer until the checker hangs up."""
    settings = json.loads(sys.argv[1])
    requests = os.fdopen(os.dup(0), "rb")
    replies = os.fdopen(os.dup(1), "wb")
    null = os.open(os.devnull, os.O_RDWR)
    for standard in range(3):  # what a submission prints goes nowhere
        os.dup2(null, standard)
    sys.argv = [NAME]
    sys.path[:] = settings["path"]

    # with the package comes what makes MXNet run on today's Python
    from d2l_autorec.course import containment, kernel

    places = [settings[name] for name in ("writable", "readable", "hidden", "shown")]
    held = []
    # before MXNet is loaded, so that all its threads are bound, too
    if settings["kernel"]:
        held += ["landlock"] * kernel.restrict_files(*places)
        held += ["seccomp"] * kernel.restrict_calls()

    from d2l_autorec.course import wire

    try:
        worker = _worker()
    except Exception as error:
        wire.send(replies, {"failed": f"{type(error).__name__}: {error}"}, {})
        return
    held += containment.limit(settings["memory"], settings["seconds"])
    refused = containment.watch(*places)
    held.append("hook")
    wire.send(replies, {"held": held}, {})
    del containment, kernel, places, settings
    while True:
        try:
            fields, arrays = wire.receive(requests)
        except wire.BrokenChannel:
            return
        answer, results = _answer(getattr(worker, fields.pop("do")), fields, arrays)
        wire.send(replies, {**answer, "refused": refused()}, results)


def _answer(
    method: Callable[..., Any], fields: dict[str, Any], arrays: dict[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Call one method; what the student's code raises becomes part of the answer."""
    try:
        return method(**fields, **arrays)
    except BaseException as error:  # SystemExit and KeyboardInterrupt, too
        return {"error": describe(error)}, {}


def describe(error: BaseException) -> dict[str, Any]:
    """Say of what type an error is, what it says and which line of the submission it is from."""
    kinds = [kind.__name__ for kind in type(error).__mro__]
    try:
        said = error.msg if isinstance(error, SyntaxError) else str(error)
        lines = [line.strip() for line in said.splitlines() if line.strip()]
    except BaseException:
        lines = []
    # MXNet's errors begin with a traceback through C++
    text = next((line for line in lines if "Error: " in line), lines[0] if lines else "")
    line = getattr(error, "lineno", None) if isinstance(error, SyntaxError) else None
    for frame, number in traceback.walk_tb(error.__traceback__):
        if os.path.basename(frame.f_code.co_filename) == f"{NAME}.py":
            line = number
    missing = getattr(error, "name", None) if isinstance(error, ImportError) else None
    return {"kinds": kinds, "text": text[:300], "line": line, "missing": missing}


def _worker() -> Any:
    """Import MXNet, start its threads and make the object whose methods are asked for."""
    import mxnet as mx
    import numpy
    from mxnet import autograd, gluon, np, npx

    npx.set_np()
    for device in (mx.cpu(0), mx.cpu(1)):
        np.dot(np.ones((2, 2), ctx=device), np.ones((2, 2), ctx=device)).asnumpy()

    def numbers(array: Any, what: str) -> numpy.ndarray:
        if isinstance(array, (list, tuple)):
            raise TypeError(f"{what} is a {type(array).__name__} of {len(array)}, not one array")
        if not hasattr(array, "asnumpy"):
            raise TypeError(f"{what} is of type {type(array).__name__}, not an MXNet array")
        return array.asnumpy()

    def floats(array: Any, device: Any = None) -> Any:
        return np.array(array, dtype="float32", ctx=device or mx.cpu())

    class Probe(gluon.Block):
        """A network with a known answer, which notes what it is given."""

        def __init__(self, slope: Any, offset: Any) -> None:
            super().__init__()
            self.slope, self.offset = slope, offset
            self.calls: list[tuple[Any, str, bool]] = []

        def forward(self, rows: Any) -> Any:
            seen = numbers(rows, "the input of the network")
            self.calls.append((seen, str(rows.ctx), autograd.is_training()))
            if seen.ndim != 2 or seen.shape[1] != len(self.slope):
                raise ValueError(f"rows of {len(self.slope)} numbers, not an array {seen.shape}")
            return floats(seen @ self.slope + self.offset, rows.ctx)

    class Worker:
        def __init__(self) -> None:
            self.given: dict[str, Any] = {}
            self.network: Any = None
            self.devices: list[Any] = []

        def load(self, path: str = "", pickled: Any = None) -> Any:
            """Run the submission and look what it defines."""
            if pickled is not None:
                import pickle

                self.given = pickle.loads(pickled.tobytes())
            else:
                spec = importlib.util.spec_from_file_location(NAME, path)
                assert spec is not None and spec.loader is not None
                module = importlib.util.module_from_spec(spec)
                sys.modules[NAME] = module
                spec.loader.exec_module(module)
                self.given = vars(module)
            npx.set_np()
            network, evaluator = (self.given.get(name) for name in ("AutoRec", "evaluator"))
            block = isinstance(network, type) and issubclass(network, gluon.Block)
            is_class = isinstance(network, type)
            return {"class": is_class, "block": block, "evaluator": callable(evaluator)}, {}

        def build(self, arguments: list[Any], num_devices: int, sigma: float, seed: int) -> Any:
            """Make a network."""
            mx.random.seed(seed)
            network = self.given["AutoRec"](*arguments)
            self.devices = [mx.cpu(i) for i in range(num_devices)]
            network.initialize(ctx=self.devices, init=mx.init.Normal(sigma))
            self.network = network
            return {}, {}

        def shapes(self) -> Any:
            """Return the shapes of the parameters; they are known after a first row."""
            parameters = self.network.collect_params().values()
            return {"shapes": [list(parameter.shape or ()) for parameter in parameters]}, {}

        def put(self, **values: Any) -> Any:
            """Give the parameters values."""
            for i, parameter in enumerate(self.network.collect_params().values()):
                parameter.set_data(floats(values[f"p{i}"]))
            return {}, {}

        def forward(self, rows: Any, training: bool, device: int = 0, times: int = 1) -> Any:
            """Run the network on rows."""
            data = floats(rows, self.devices[device])
            outputs = {}
            for i in range(times):
                with autograd.record() if training else contextlib.nullcontext():
                    output = self.network(data)
                outputs[f"o{i}"] = numbers(output, "the output")
            return {}, outputs

        def gradient(self, rows: Any, head: Any) -> Any:
            """Return the gradients for given derivatives of the loss by the outputs."""
            data = floats(rows, self.devices[0])
            with autograd.record():
                output = self.network(data)
            output.backward(floats(head, self.devices[0]))
            parameters = self.network.collect_params().values()
            grads = {f"p{i}": p.grad(self.devices[0]).asnumpy() for i, p in enumerate(parameters)}
            return {}, grads

        def evaluate(
            self, rows: Any, held_out: Any, batch: int, num_devices: int, **probe: Any
        ) -> Any:
            """Call the evaluator, with the probe where one is given, else with the network."""
            network = Probe(**probe) if probe else self.network
            batches = gluon.data.DataLoader(floats(rows), batch_size=batch, last_batch="keep")
            devices = [mx.cpu(i) for i in range(num_devices)]
            answer: dict[str, Any] = {}
            results: dict[str, Any] = {}
            try:
                value = self.given["evaluator"](network, batches, floats(held_out), devices)
                answer["type"] = type(value).__name__
                if hasattr(value, "asnumpy"):
                    value = value.asnumpy()
                if not isinstance(value, str):
                    with contextlib.suppress(TypeError, ValueError):
                        results["value"] = numpy.float64(float(value))
            except BaseException as error:
                answer["error"] = describe(error)
            if probe:
                for i, (seen, _, _) in enumerate(network.calls):
                    results[f"c{i}"] = seen
                answer["devices"] = [device for _, device, _ in network.calls]
                answer["training"] = [training for _, _, training in network.calls]
            return answer, results

        def train(
            self, rows: Any, epochs: int, batch: int, lr: float, wd: float, seed: int
        ) -> Any:
            """Train the network as the book does; return what it then predicts for all rows."""
            mx.random.seed(seed)
            order = numpy.random.default_rng(seed)
            loss, settings = gluon.loss.L2Loss(), {"learning_rate": lr, "wd": wd}
            trainer = gluon.Trainer(self.network.collect_params(), "adam", settings)
            data, num_batches = floats(rows), -(-len(rows) // batch)
            for _ in range(epochs):
                for chosen in numpy.array_split(order.permutation(len(rows)), num_batches):
                    part = data[np.array(chosen)]
                    with autograd.record():
                        losses = loss(self.network(part), part)
                    losses.backward()
                    trainer.step(len(chosen))
            return {}, {"predictions": numbers(self.network(data), "the output")}

    return Worker()


if __name__ == "__main__":
    main()
