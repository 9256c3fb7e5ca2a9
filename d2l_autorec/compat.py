"""Let MXNet 1.9.1 run on the Python and the NumPy of today.

MXNet ended in 2023. Its wheel is a C library that knows neither Python nor NumPy, and Python code
around it that names what the two have removed since. ``import d2l_autorec`` installs an import
hook; it costs nothing until somebody imports MXNet. Then

- while MXNet loads, NumPy has the names that MXNet looks up (`lent_names`), and stand-ins replace
  ``distutils``, which Python 3.12 lacks, and ``scipy.stats``, which is slow. All go afterwards;
- once it is loaded, the four modules of MXNet that look such a name up later get a view of NumPy
  of their own, and operator parameters become the text that they were with NumPy 1 (`as_text`).

Nobody else's NumPy changes, in its names or in how it prints. Where nothing is missing, nothing is
done. Where MXNet or d2l is not installed, importing it raises `MissingMXNet`, which says what to
do on this platform; looking for it with ``importlib.util.find_spec`` still finds None.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import platform
import re
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType, SimpleNamespace
from typing import Any

from d2l_autorec.errors import InputError

__all__ = ["MissingMXNet", "as_text", "install", "lent_names", "mxnet_remedy"]

_PYTHONS = ((3, 9), (3, 14))  # the first and the last that MXNet was seen to run on
_WHEELS = {("Linux", "x86_64"), ("Linux", "aarch64"), ("Darwin", "x86_64")}  # mxnet 1.9.1
_TITLES = {"mxnet": "MXNet", "d2l": "d2l, the book's own package,"}

# MXNet's modules that look up a name of NumPy when they are called: the name they know NumPy by.
_LATE = {
    "mxnet.gluon.contrib.estimator.event_handler": "np",  # Inf, in EarlyStoppingHandler
    "mxnet.ndarray.numpy._op": "_np",  # compat, in pad
    "mxnet.symbol.numpy._symbol": "_np",  # compat, in pad
    "mxnet.test_utils": "np",  # int, in chi_square_check
}
# MXNet's modules that write operator parameters and shapes as text, each with `str`.
_WRITERS = ("mxnet._ctypes.ndarray", "mxnet._ctypes.symbol", "mxnet.symbol.symbol")


class MissingMXNet(ModuleNotFoundError, InputError):
    """MXNet or d2l is not installed, or does not load.

    The message is a sentence with the remedy on this platform. Code that tries the import and
    goes on without sees the ``ModuleNotFoundError`` that Python raises, ``name`` included.
    """


def mxnet_remedy(
    system: str | None = None, machine: str | None = None, version: tuple[int, ...] | None = None
) -> str:
    """Say in one sentence what to do on a platform where MXNet is not installed.

    The platform is named as `platform.system`, `platform.machine` and ``sys.version_info`` name
    it; it is this one by default.
    """
    system, machine = system or platform.system(), machine or platform.machine()
    version = version or sys.version_info[:2]
    if system == "Windows":
        return (
            "MXNet does not exist for Windows: install d2l-autorec inside WSL 2, or use the "
            "container that the README describes."
        )
    if system == "Darwin" and machine == "arm64":
        return (
            "For Apple silicon only Anaconda has MXNet: install d2l-autorec in an environment "
            "made with `conda create -n autorec -c defaults python=3.10 py-mxnet=1.9.1`, or use "
            "the container that the README describes."
        )
    if (system, machine) not in _WHEELS:
        use = "use Linux on x86_64 or aarch64, or a Mac."
        return f"MXNet does not exist for {system} {machine}: {use}"
    if not _PYTHONS[0] <= version[:2] <= _PYTHONS[1]:
        first, last = (".".join(map(str, end)) for end in _PYTHONS)
        return (
            f"MXNet was tried with Python {first} to {last}: make an environment with "
            "`uv venv --python 3.13`, where uv brings that Python, and install d2l-autorec in it."
        )
    return "Run: d2l-autorec install-mxnet"


def install() -> None:
    """Install the import hook, once; make up for it where MXNet is loaded already."""
    if not any(type(finder) is _Finder for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())
        if "mxnet" in sys.modules:
            _mend()


class _Finder:
    """Finds MXNet where the other finders find it, and loads it with what it needs."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name not in _TITLES:
            return None
        others = [finder for finder in sys.meta_path if finder is not self]
        found = (finder.find_spec(name, path, target) for finder in others)
        spec = next((spec for spec in found if spec is not None), None)
        if spec is None and _is_import():
            raise MissingMXNet(f"{_TITLES[name]} is not installed. {mxnet_remedy()}", name=name)
        if name == "mxnet" and spec is not None and spec.loader is not None:
            load = functools.partial(_load, spec.loader.exec_module)
            setattr(spec.loader, "exec_module", load)  # noqa: B010  (mypy knows it as a method)
        return spec


def _is_import() -> bool:
    """Whether a finder is asked because of an import, and not by `importlib.util.find_spec`."""
    frame = sys._getframe(2)
    while frame.f_back and frame.f_globals.get("__name__") == "importlib._bootstrap":
        frame = frame.f_back
    return frame.f_globals.get("__name__") != "importlib.util"


def _load(load: Callable[[ModuleType], None], module: ModuleType) -> None:
    """Load MXNet, with all that it misses in place meanwhile."""
    for name in [name for name in sys.modules if name.startswith("mxnet.")]:
        del sys.modules[name]  # left by an import that failed, before this hook was there
    with _names(), _modules():
        try:
            load(module)
        except OSError as error:  # of the dynamic loader
            raise MissingMXNet(
                f"MXNet is installed and does not load ({error}). {mxnet_remedy()}", name="mxnet"
            ) from error
    _mend()


def lent_names() -> dict[str, Any]:
    """Return the names that MXNet 1.9.1 looks up in NumPy and that this NumPy lacks.

    Each means what it meant when NumPy had it.
    """
    import numpy as np

    names: dict[str, Any] = {
        # mxnet/numpy/utils.py passes on NumPy's constants under all their spellings.
        # NumPy 2.0 kept `inf` and `nan` only; signed zeros are written 0.0 and -0.0.
        "PZERO": 0.0,
        "NZERO": -0.0,
        "PINF": np.inf,
        "NINF": -np.inf,
        "NAN": np.nan,
        "NaN": np.nan,
        "Inf": np.inf,  # gluon's estimator starts from it, too
        # 1.24 took away the aliases of Python's own types; `bool` came back in 2.0 as a dtype.
        "bool": bool,
        "int": int,
        # mxnet/numpy_dispatch_protocol.py registers its functions under these; removed in 2.0,
        # where each had become a second name of another function.
        "alltrue": np.all,
        "sometrue": np.any,
        "product": np.prod,
        "round_": np.round,
        # mxnet/numpy/fallback.py passes these on.
        "in1d": lambda a, b, **settings: np.isin(np.ravel(a), b, **settings),  # removed in 2.4
        "trapz": getattr(np, "trapezoid", None),  # removed in 2.4
        "msort": functools.partial(np.sort, axis=0),  # removed in 2.0
        # The financial functions raise since NumPy 1.20 (NEP 32); 2.0 removed their names.
        **{name: _expired(name) for name in ("mirr", "npv", "pmt", "ppmt", "pv", "rate")},
        # mxnet.np.pad asks whether its mode is a `numpy.compat.basestring`; removed in 2.0.
        "compat": SimpleNamespace(basestring=str),
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # NumPy warns of names that it is about to remove
        return {name: value for name, value in names.items() if not hasattr(np, name)}


def _expired(name: str) -> Callable[..., Any]:
    def expired(*_: Any, **__: Any) -> Any:
        raise RuntimeError(f"{name} was removed from NumPy; the package numpy-financial has it.")

    return expired


@contextlib.contextmanager
def _names() -> Iterator[None]:
    """Lend NumPy the missing names."""
    import numpy as np

    lent = lent_names()
    vars(np).update(lent)
    try:
        yield
    finally:
        for name in lent:
            vars(np).pop(name, None)


@contextlib.contextmanager
def _modules() -> Iterator[None]:
    """Lend what MXNet needs only to compare NumPy's version and to quantize, if not loaded yet."""
    package, version = ModuleType("distutils"), ModuleType("distutils.version")
    vars(package).update(__path__=[], version=version)
    vars(version).update(LooseVersion=_Version, StrictVersion=_Version)
    lent = (package, version, _Later("scipy.stats"))
    for module in lent:
        sys.modules.setdefault(module.__name__, module)
    try:
        yield
    finally:
        for module in lent:
            if sys.modules.get(module.__name__) is module:
                del sys.modules[module.__name__]


class _Later(ModuleType):
    """A module that is loaded when a name is first looked up in it."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # which `inspect` asks of every module
            raise AttributeError(name)
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        return getattr(importlib.import_module(self.__name__), name)


class _Version:
    """A version by its numbers."""

    def __init__(self, text: str) -> None:
        self.numbers = [int(number) for number in re.findall(r"\d+", text)]

    def __ge__(self, other: _Version) -> bool:
        return self.numbers >= other.numbers


def _mend() -> None:
    """Mend the few places of a loaded MXNet that fail later, when they are called."""
    import numpy as np

    names = lent_names()
    if names:
        view = ModuleType("numpy")
        vars(view).update({**vars(np), **names})
        for module, alias in _LATE.items():
            if module in sys.modules:
                setattr(sys.modules[module], alias, view)
    for module in _WRITERS:
        if module in sys.modules and _is_numpy_2():
            # a global of the module stands before the builtin
            setattr(sys.modules[module], "str", _Text)  # noqa: B010


class _TextMeta(type):
    def __call__(cls, value: object) -> str:
        return as_text(value)

    def __instancecheck__(cls, value: object) -> bool:
        return isinstance(value, str)


class _Text(metaclass=_TextMeta):
    """`str` as MXNet is to see it: called, it is `as_text`; asked for a type, it is `str`."""


def as_text(value: object) -> str:
    """Write an operator parameter as `str` does with NumPy 1.

    NumPy 2 writes a number of its own inside of a tuple as ``np.int64(2)``, which MXNet's parser
    refuses.
    """
    text = str(value)
    if "np." not in text or isinstance(value, str) or not _is_numpy_2():
        return text
    import numpy as np

    settings: dict[str, Any] = {"legacy": "1.25"}  # which the stubs of NumPy 1 do not know
    with np.printoptions(**settings):
        return str(value)


def _is_numpy_2() -> bool:
    import numpy as np

    return int(np.__version__.split(".")[0]) >= 2
