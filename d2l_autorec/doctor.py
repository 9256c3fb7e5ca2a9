"""Can this machine run the package? Each check says what it found and, if need be, the remedy.

What is looked at is loaded in a process of its own, so that the checks also work where that fails.
"""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterator
from dataclasses import dataclass

from d2l_autorec import compat, packages, stack
from d2l_autorec.errors import InputError

# What `install_requires` brings: modules, and the names of packages that differ from them.
_SHOWN = ("numpy", "scipy", "pandas", "matplotlib", "numba")
LIBRARIES = (*_SHOWN, "matplotlib_inline", "IPython", "requests", "platformdirs", "rich", "typer")
_PACKAGES = {"matplotlib_inline": "matplotlib-inline", "IPython": "ipython"}


@dataclass(frozen=True)
class Check:
    """One thing looked at, what is there, and what to do about it."""

    name: str
    found: str
    remedy: str = ""  # a command stands behind ``Run:``; empty if nothing needs doing


def check_python(version: tuple[int, ...] = sys.version_info[:3]) -> Check:
    """Python 3.9 or later; for the chapter `compat.mxnet_remedy` knows the last."""
    found = f"{'.'.join(map(str, version))} on {platform.system()} {platform.machine()}"
    if version >= (3, 9):
        return Check("Python", found)
    return Check("Python", found, "Python 3.9 or later is needed: make a new environment with it.")


def check_libraries(names: tuple[str, ...] = LIBRARIES) -> Check:
    """Load the libraries that the package itself asks for."""
    code = """
import importlib, sys
for name in sys.argv[1:]:
    try:
        importlib.import_module(name)
    except Exception as error:
        print(name, type(error).__name__, str(error).partition("\\n")[0], sep="\\t")
"""
    run, said = stack.run_python(code, *names)
    failed = [line.split("\t", 2) for line in run.stdout.splitlines() if line.count("\t") == 2]
    if not failed and run.returncode:  # the process itself died, with signal or exit
        said = said or f"exit code {run.returncode}"
        return Check("libraries", said, "Make a new environment and install d2l-autorec in it.")
    if not failed:
        versions = (f"{name} {stack.installed(name)}" for name in _SHOWN if name in names)
        return Check("libraries", f"{', '.join(versions)} and others load")
    wanted = " ".join(_PACKAGES.get(name, name) for name, *_ in failed)
    name, kind, message = failed[0]
    found = f"{name} is not installed" if kind == "ModuleNotFoundError" else f"{name}: {message}"
    return Check("libraries", found, f"Run: {packages.install_command()} --upgrade {wanted}")


def check_mxnet() -> Check:
    """MXNet, from the CPU wheel or one of the CUDA wheels, all of which install `mxnet`."""
    found = stack.find_mxnet()
    if found is None:
        return Check("MXNet", "not installed", compat.mxnet_remedy())
    wheel, version = found
    remedy = "" if version.startswith("1.9.") else f"1.9.1 is needed. Run: {stack.COMMAND}"
    return Check("MXNet", f"{wheel} {version}", remedy)


def check_d2l() -> Check:
    """The book's own package."""
    version = stack.installed("d2l")
    if version and version.startswith("1.0."):
        return Check("d2l", version)
    remedy = compat.mxnet_remedy()
    if stack.COMMAND in remedy:
        remedy = f"1.0.3 is needed. Run: {stack.COMMAND}"
    return Check("d2l", version or "not installed", remedy)


def check_load() -> Check:
    """Load MXNet's C library: it needs system libraries that its wheels do not bring along."""
    error = stack.load_error(stack.mxnet_folder())
    remedy = stack.load_remedy(error) if error else ""
    return Check("MXNet's C library", error or "loads", remedy)


def check_import() -> Check:
    """Import MXNet and d2l as this package does: what the other checks may have missed."""
    code = "from d2l_autorec import compat; compat.install(); from d2l import mxnet"
    run, said = stack.run_python(code)
    if run.returncode == 0:
        return Check("import of MXNet and d2l", "works")
    remedy = f"Make a new environment, install d2l-autorec in it. Run: {stack.COMMAND}"
    return Check("import of MXNet and d2l", said or "no message", remedy)


def checks() -> Iterator[tuple[str, list[Check]]]:
    """Yield each part of the package with its checks, in the order in which to mend faults."""
    first = "The package, without MXNet (a saved model, its questions, reports):"
    yield first, [check_python(), check_libraries()]
    chapter = [check_mxnet(), check_d2l()]
    if not chapter[0].remedy:
        chapter.append(check_load())
    if not any(check.remedy for check in chapter):
        chapter.append(check_import())
    yield "The chapter and training, with MXNet:", chapter


def preflight() -> None:
    """Raise an InputError with the first remedy, where a command that needs MXNet cannot run."""
    for check in (check_python(), check_mxnet(), check_d2l()):
        if check.remedy:
            raise InputError(f"{check.name}: {check.found}. {check.remedy}")
