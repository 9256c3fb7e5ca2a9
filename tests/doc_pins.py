"""Where each number of README.md and docs/ comes from.

`PINS` ties a text with numbers to cells of ``results/``. `ALLOWED` lists the numbers that stand in
no table, with the reason. White space does not count.
"""

from __future__ import annotations

import io
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Union

import pandas as pd

from d2l_autorec.experiments.headline import SEARCHED, SHORT

ROOT = Path(__file__).parents[1]
NUMBER = re.compile(r"(?<![\w./])(?<!\w-)\d[\d,]*(?:\.\d+)?(?![\w/-]|\.\d)")
"""A number on its own: not part of a name, a version or a path."""

Read = Callable[[str], str]
"""Takes a path below results/ and returns the text of the file."""


def stored(path: str) -> str:
    """Read a file of ``results/``."""
    return (ROOT / "results" / path).read_text(encoding="utf-8")


class _Shown:
    """What is stored in a file, and how the document shows it."""

    def text(self, read: Read) -> str:
        """Return it as the document shows it."""
        return self.shown(self.raw(read))


@dataclass(frozen=True)
class Cell(_Shown):
    """One cell of a CSV file: the row in which some columns have given values, and a column."""

    file: str
    row: dict[str, str]
    column: str
    shown: Callable[[str], str] = str

    def raw(self, read: Read) -> str:
        """Return the cell as it is stored."""
        table = pd.read_csv(io.StringIO(read(self.file)), dtype=str, keep_default_na=False)
        for name, value in self.row.items():
            table = table[table[name] == value]
        assert len(table) == 1, f"{self.file}: {len(table)} rows with {self.row}"
        return str(table[self.column].item())


@dataclass(frozen=True)
class Value(_Shown):
    """One value of a JSON file, by its path of keys."""

    file: str
    keys: tuple[str, ...]
    shown: Callable[[str], str] = str

    def raw(self, read: Read) -> str:
        """Return the value as it is stored."""
        found = json.loads(read(self.file))
        for key in self.keys:
            found = found[key]
        return str(found)


@dataclass(frozen=True)
class Duration:
    """How long an experiment takes, from the help of its command."""

    command: str

    def text(self, read: Read) -> str:
        """Return what the help says."""
        from d2l_autorec.cli import experiments

        command = getattr(experiments, self.command)
        return re.search(r"\(about (.+?) on two cores", command.__doc__)[1]


Source = Union[Cell, Value, Duration]


@dataclass(frozen=True)
class Pin:
    """A text of the document with a ``{}`` for each source."""

    words: str
    sources: tuple[Source, ...]

    def text(self, read: Read) -> str:
        """Return the text with its numbers."""
        return self.words.format(*(source.text(read) for source in self.sources))

    def spans(self, document: str, read: Read) -> list[tuple[int, int]]:
        """Return where the numbers are in a document that has the text once."""
        place = document.index(self.text(read))
        found = []
        for words, source in zip(self.words.split("{}"), self.sources):
            place += len(words)
            found.append((place, place + len(source.text(read))))
            place = found[-1][1]
        return found


def number(form: str) -> Callable[[str], str]:
    """Return a function that formats a number."""
    return lambda text: f"{float(text):{form}}"


def _said(words: str, text: str) -> str:
    """Return the number that a text has in some words."""
    return re.search(words.format(r"([\d.]+)"), text)[1]


def unsigned(text: str) -> str:
    """Drop the sign and the number of runs of a difference."""
    return re.sub(r" \(\d+\)$", "", text).lstrip("+-")


def below_zero(text: str) -> str:
    """Drop the sign of a difference that the document calls a loss or a gain."""
    assert text.startswith("-")
    return unsigned(text)


def _less(model: str) -> Cell:
    return Cell("compare/summary.csv", {"model": model}, "less AutoRec", unsigned)


def _run(key: str, shown: Callable[[str], str] = str) -> Value:
    return Value("reproduce/run.json", ("result", key), shown)


def _half_range(text: str) -> str:
    low, high = map(float, text.split(" to "))
    return f"{(high - low) / 2:.3f}"


def _count(text: str) -> str:
    """Return the number of runs in ``mean ± half-width (n)``."""
    return re.search(r"\((\d+)\)", text)[1]


_BOOK = Value("reproduce/run.json", ("book", "test_rmse"))
_STUDY = {"of the chapter's run": "mean ± half-width of its 95% interval (runs)"}

_HEADLINE = (
    Pin("| the book, one split | {} |", (_BOOK,)),
    Pin(
        "| the chapter's code, other splits | {} |", (Cell("study/summary.csv", _STUDY, "value"),)
    ),
    *(
        Pin(
            f"| on the same ratings: {model} | {{}} |",
            (
                Cell("best/nested.csv", {"recipes": "blend, searched inside"}, "test RMSE")
                if model == SEARCHED
                else Cell("compare/summary.csv", {"model": model}, "random RMSE"),
            ),
        )
        for model in SHORT
    ),
    Pin("**Is {} right?**", (_BOOK,)),
    Pin("`d2l-autorec study` | is {} right? |", (_BOOK,)),
)

_RATIOS = pd.read_csv(io.StringIO(stored("benchmark/ratios.csv")), dtype=str)
_COSTS = tuple(
    Pin(
        f"| {what} |{' {} |' * (1 + isinstance(target, str))}",
        tuple(
            Cell("benchmark/ratios.csv", {"ratio": what}, column)
            for column in ("measured", "to reach")[: 1 + isinstance(target, str)]
        ),
    )
    for what, target in zip(_RATIOS["ratio"], _RATIOS["to reach"])
)

_DURATIONS = tuple(
    Pin(f"| {asks} | {{}} | [`", (Duration(command),))
    for command, asks in {
        "study": "is 0.901 right?",
        "compare": "does AutoRec beat matrix factorization?",
        "canonical": "what do the models reach on the splits of the literature?",
        "exercises": "what are the answers to the book's three exercises?",
        "best": "how low can the RMSE of an AutoRec get?",
        "fidelity": "what does each departure from the formula cost?",
        "foldin": "how good are predictions for a new user?",
        "own_data": "how good are the recipes on other ratings?",
        "updating": "how good is a model that is updated?",
    }.items()
)

_TEXT = (
    Pin(
        "`own-data` has {} splits of Amazon's electronics",
        (
            Cell(
                "own-data/summary.csv",
                {"set": "Amazon-Electronics", "model": "AutoRec, recipe blend"},
                "less plain biases",
                lambda text: _said(r"\({}\)", text),
            ),
        ),
    ),
    Pin(
        "An epoch took {} s, all of `train`, with 25 epochs, {} s and {} GB",
        (
            Value("netflix/experiment.json", ("answer",), lambda text: _said("takes {} s", text)),
            Cell("netflix/steps.csv", {"command": "train"}, "seconds", number(".0f")),
            Cell("netflix/steps.csv", {"command": "train"}, "peak_gb"),
        ),
    ),
    Pin(
        "its deep network's too: {}.",
        (Cell("paper/depth.csv", {"hidden layers": "500, 100, 500, pre-trained"}, "test RMSE"),),
    ),
    Pin(
        "tested here are worse by {}.",
        (
            Cell(
                "best/nested.csv",
                {"recipes": "blend, searched inside"},
                "less as published",
                below_zero,
            ),
        ),
    ),
    Pin(
        "The split alone moves it by ±{}",
        (
            Cell(
                "study/summary.csv",
                {"of the chapter's run": "95% prediction interval of one more run"},
                "value",
                _half_range,
            ),
        ),
    ),
    Pin(
        "it beats the book's by {}, and by {} where that is tuned",
        (_less("MF, the book's"), _less("MF, the book's, tuned")),
    ),
    Pin(
        "the same model gains {},",
        (
            Cell(
                "best/summary.csv",
                {"step": "+ epoch chosen on validation ratings"},
                "less the step above",
                unsigned,
            ),
        ),
    ),
    Pin(
        "the test RMSE of a single AutoRec changes by {}, and that of a blend by {}.",
        tuple(
            Cell("best/nested.csv", {"recipes": f"{kind}, searched inside"}, "less as published")
            for kind in ("single", "blend")
        ),
    ),
    Pin(
        "the blend has {} there, and {} with its recipes searched inside",
        tuple(
            Cell("canonical/u1.csv", {"model": model}, "test RMSE on u1")
            for model in ("AutoRec, ours at best", "AutoRec, blend, searched inside")
        ),
    ),
    Pin(
        "test RMSE {} {}",
        (Value("reproduce/run.json", ("book", "test_rmse")), _run("test_rmse", number(".3f"))),
    ),
    Pin(
        "train loss as d2l prints it {} {}",
        (Value("reproduce/run.json", ("book", "printed_train_loss")), _run("printed_train_loss")),
    ),
    Pin(
        "it gave 32 clients {} answers a second for MovieLens 100K, 99 of 100 within {} ms",
        tuple(
            Cell(
                "serving/table.csv", {"size": "ML-100K", "question": "all"}, column, number(".0f")
            )
            for column in ("per_second", "p99_ms")
        ),
    ),
    Pin("train loss, mean of a batch {}", (_run("train_loss", number(".4f")),)),
    Pin(
        "matrix cells per second {} million",
        (_run("cells_per_second", lambda text: f"{float(text) / 1e6:.1f}"),),
    ),
    Pin("rows (items) per second {}", (_run("rows_per_second", number(",.0f")),)),
    Pin(
        "epochs {} {} devices",
        (Value("reproduce/run.json", ("settings", "num_epochs")), _run("num_epochs")),
    ),
    Pin("seed {} seconds {} ```", (_run("seed"), _run("seconds", number(".1f")))),
)

PINS = (*_HEADLINE, *_TEXT, *_COSTS, *_DURATIONS)

ALLOWED = {
    r"\(WWW 2015\)": "the year of the paper",
    r"half the width of the 95% interval": "the level of every interval",
    r":start-line: 4 :end-before: \"[^\"]*\"": "where an inclusion begins and ends",
    r"for the seeds 0 to 2;": "seeds, not results",
    r"in 500 hidden units|500 sigmoid units": "the chapter's setting",
    r"dense \(2 % of the cells, 1,000 items\)": "what for_size takes for dense",
    r"devices cpu\(0\)": "the name of a device",
    r"Python 3\.9 to 3\.14|--python 3\.12|Python 3\.9\.0 and later": "versions of Python",
    r"with NumPy 1 or 2, on Linux|refuses NumPy 2, with|emulated Debian 12": "versions",
    r"\| bare Debian, by `make fresh` .*?`make test`, passed( \| \d+){3}": "by a test of its own",
    r"in WSL 2 \| not tried|Windows and WSL 2|bare Debian 1(3|1, 12 and 13)": "versions",
    r"\| machine \| Python \| command .*? Debian 14 is": "results/fresh/table.md, held as a whole",
    r"python=3\.10 py-mxnet=1\.9\.1": "versions",
    r"Python 3\.12 also, with NumPy 1\.26 and pandas 2\.2": "versions",
    r"CUDA 11\.2, cuDNN 8|compute capabilities 5\.0, 6\.0, 7\.0, 8\.0 and 8\.6": "versions",
    r"\$ d2l-autorec (inspect|train|recommend|serve) .*?```": "output of a model that is not kept",
    r"run a set alone with `--splits 20`": "an option",
    r"gives a 95% interval": "the level of every interval",
    r"it gave 32 clients|for MovieLens 100K, 99 of 100 within": "how it was measured",
    r"--minutes 10 |`--folds 5`|`-k 10`": "options in examples",
    r"`--hidden 500,100,500`|`--val-ratio 0\.1`|`--checkpoint-every 1`|cpu:2 \| gpu \| gpu:0,1`"
    r"|launch --workers 2 --": "options in examples",
    r"sparse, batches of 1024: cost|2 workers of 1 thread over 1 process of 2": "names of cases",
    r"\$ d2l-autorec lab .*?```|address and `:8080`": "a port",
    r"with 5 hidden units, then with 1,000|with 50 hidden units to be quick": "settings to try",
    r"Up to 1,000 hidden units, 100 epochs and a dropout of 0\.9": "held by course/test_lab.py",
    r"the RMSE of 30 splits .*? to the RMSE\.": "measured with kernels that were not kept",
    r"medians of 5 rounds|a batch of 256 items|batches of 1024 share": "how it was measured",
    r"gives each command at most 16 GB of memory|with 25 epochs": "set in benchmarks/netflix.py",
    r"at least 1\.6 ms each time .*? Of that 1\.0 ms": "timed around the sum, in no table",
}
"""Regular expressions for numbers that stand in no table of ``results/``, and why."""
