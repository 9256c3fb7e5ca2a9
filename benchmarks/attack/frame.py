"""What an attack is made of: areas, tries with seeds of their own, and what counts as survived."""

from __future__ import annotations

import math
import signal
import tempfile
import time
import traceback
import warnings
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from d2l_autorec.errors import InputError

SECONDS = 120  # that a try may take

Draws = np.random.Generator
T = TypeVar("T")


class NotSurvived(Exception):
    """A try that broke a promise; the message says which."""


@dataclass(frozen=True)
class Area:
    """A kind of attack.

    The function takes a generator and an empty folder, makes one try, and raises what is wrong. It
    returns how many tries it was, where that is not one.
    """

    name: str
    promise: str  # which holds in every try, for the table
    number: int  # tries of a whole attack
    attack: Callable[[Draws, Path], int | None]


@dataclass
class Outcome:
    """What became of an area's tries; ``lost`` says of each that did not survive why."""

    area: Area
    tried: int = 0
    lost: list[str] = field(default_factory=list)

    @property
    def survived(self) -> int:
        """How many tries broke no promise."""
        return self.tried - len(self.lost)


def draws_of(area: Area, seed: int, number: int) -> Draws:
    """Return the generator of one try, which can be made again by itself."""
    return np.random.default_rng([seed, zlib.crc32(area.name.encode()), number])


def attack(
    area: Area,
    seed: int,
    numbers: range,
    report: Callable[[str], None],
    seconds: float = math.inf,
) -> Outcome:
    """Make the tries of these numbers in an area, and none after so many seconds.

    What does not survive is reported at once.
    """
    outcome, start = Outcome(area), time.monotonic()
    for number in numbers:
        if time.monotonic() - start > seconds:
            break
        made = 1
        with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                with limited(SECONDS):
                    made = area.attack(draws_of(area, seed, number), Path(folder)) or 1
            except Exception as error:
                last = traceback.extract_tb(error.__traceback__)[-1]
                where = f"{Path(last.filename).name}:{last.lineno}"
                said = f"{type(error).__name__} at {where}: {' '.join(str(error).split())}"
                outcome.lost.append(f"{area.name} {number}: {said[:400]}")
                report(outcome.lost[-1])
        outcome.tried += made
    return outcome


@contextmanager
def limited(seconds: int) -> Iterator[None]:
    """Raise a TimeoutError where something takes longer; in the main thread."""

    def ring(number: int, frame: object) -> None:
        raise TimeoutError(f"it took longer than {seconds} seconds")

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def done_or_refused(work: Callable[[], T]) -> T | None:
    """Do something; None where it was refused with one sentence. Anything else is raised."""
    try:
        return work()
    except InputError as error:
        sentence = str(error)
        if not sentence.strip() or "\n" in sentence or len(sentence) > 4000:
            raise NotSurvived(f"no sentence: {sentence[:200]!r}") from error
        return None


def require(holds: Any, promise: str) -> None:
    """Raise NotSurvived unless a promise holds."""
    if not holds:
        raise NotSurvived(promise)


def one_of(draws: Draws, values: Any) -> Any:
    """Draw one of some values, which may be of different types."""
    values = list(values)
    return values[int(draws.integers(len(values)))]


def snapshot(folder: Path) -> dict[str, bytes]:
    """Return all files below a folder with their contents."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


_NUMBERS = ("nan", "inf", "-inf", "1e999", "1e39", "-1", "0", "00", "1.0", "1,5", "٣", "²")
_LETTERS = ("é", "\u202e", "\u2028", "\x1b[31m", '"', '""', "'", "#")
_LONG = ("a" * 257, "x" * 5000, "9" * 400, "-9223372036854775809", "18446744073709551616")
_WORDS = ("=1+1", "../..", "null", "True")
_SIGNS = ("\r", "\n", "\t", "::", ";", ",,", "{", "}", "[", "\\")
_LAST = ("\U0001f600", "1_000", "0x10", "1 2")
TEXTS = ("", " ", "\0", "\ufeff", *_NUMBERS, *_LETTERS, *_LONG, *_WORDS, *_SIGNS, *_LAST)
"""Hostile fields of a text file."""

_WHOLE = (0, -1, 1, 2, 2**31, 2**53 + 1, 2**63, 2**64, 10**30)
_REAL = (0.5, -0.5, 1e39, 1e300, 1e-320, float("nan"), float("inf"), -float("inf"))
_STRINGS = ("", "x", "0", "1", "\ud800", "../..", "a" * 1000)
_NESTED = ([], [[]], [1], [None], ["x"], {}, {"a": 1}, {"": {}})
VALUES = (None, True, False, *_WHOLE, *_REAL, *_STRINGS, *_NESTED, "item", "user", "sparse")
"""Hostile values of JSON."""


def mutate_json(draws: Draws, value: Any, depth: int = 0) -> Any:
    """Change one place somewhere in a JSON value: replace, remove, add, or repeat."""
    if isinstance(value, dict) and value and (depth == 0 or draws.random() < 0.8):
        value = dict(value)
        key = one_of(draws, value)
        way = draws.random()
        if way < 0.1:
            del value[key]
        elif way < 0.15:
            value[one_of(draws, ("x", "", "format", key + "2"))] = one_of(draws, VALUES)
        else:
            value[key] = mutate_json(draws, value[key], depth + 1)
        return value
    if isinstance(value, list) and value and draws.random() < 0.7:
        value = list(value)
        at = int(draws.integers(len(value)))
        way = draws.random()
        if way < 0.15:
            del value[at]
        elif way < 0.3:
            value.insert(at, value[at])
        elif way < 0.4:
            value.reverse()
        else:
            value[at] = mutate_json(draws, value[at], depth + 1)
        return value
    if isinstance(value, (int, float)) and not isinstance(value, bool) and draws.random() < 0.3:
        return one_of(draws, (value + 1, value - 1, -value, float(value), value * 2, str(value)))
    return one_of(draws, VALUES)


def mutate_bytes(draws: Draws, content: bytes) -> bytes:
    """Damage a file's bytes: flip, cut, repeat, remove or put in some."""
    data = bytearray(content)
    for _ in range(int(draws.integers(1, 4))):
        at = int(draws.integers(len(data))) if data else 0
        length = int(2 ** draws.uniform(0, 10))
        way = int(draws.integers(6))
        if way == 0 and data:
            data[at] ^= 1 << int(draws.integers(8))
        elif way == 1:
            del data[at:]
        elif way == 2:
            del data[at : at + length]
        elif way == 3:
            data[at:at] = data[at : at + length]
        elif way == 4:
            data[at:at] = draws.bytes(min(length, 64))
        else:
            data[at : at + length] = bytes(len(data[at : at + length]))
    return bytes(data)


def mutate_array(draws: Draws, array: np.ndarray) -> np.ndarray:
    """Change an array's shape, type or values."""
    if not array.ndim or array.dtype.kind not in "biuf":
        others = (np.array(None, object), np.zeros(3), np.array("x" * 99), array[None])
        return one_of(draws, others)
    ways: tuple[Callable[[], Any], ...] = (
        lambda: array.astype(one_of(draws, ("f8", "f2", ">f4", "i4", "i8", "c8", "U8", "?"))),
        lambda: array.reshape(-1),
        lambda: array[..., None],
        lambda: array[:0],
        lambda: array[: len(array) // 2],
        lambda: np.concatenate([array, array]),
        lambda: np.asfortranarray(array) if array.ndim > 1 else array[::-1].copy(),
        lambda: np.full_like(array, one_of(draws, (0, 1, 127))),
        lambda: -array,
        lambda: _with(draws, array, one_of(draws, (np.nan, np.inf, -np.inf, 3e38, -3e38, 1e-45))),
        lambda: np.array(None, object),
        lambda: array.T,
    )
    return one_of(draws, ways)()


def _with(draws: Draws, array: np.ndarray, value: float) -> np.ndarray:
    if array.dtype.kind != "f" or not array.size:
        return array
    array = array.copy()
    array.flat[int(draws.integers(array.size))] = value
    return array
