"""Can this machine run the package? Each check says what it found and, if need be, the remedy.

The checks import none of the packages they look at, so that they also work where those fail.
"""

from __future__ import annotations

import ctypes
import platform
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata

from d2l_autorec.errors import InputError

REINSTALL = "python -m pip install -c constraints.txt -e ."
WHEELS = {("Linux", "x86_64"), ("Linux", "aarch64"), ("Darwin", "x86_64")}  # mxnet 1.9.1


@dataclass(frozen=True)
class Check:
    """One thing looked at.

    Attributes
    ----------
    name : str
        What was looked at.
    found : str
        What is there.
    remedy : str
        What to do about it; empty if nothing needs doing.
    """

    name: str
    found: str
    remedy: str = ""


def installed(package: str) -> str | None:
    """Return the version of a package that is installed, None if it is not."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _release(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:2] if part.isdigit())


def check_python(version: tuple[int, ...] = sys.version_info[:3]) -> Check:
    """Python 3.9 to 3.11: numpy 1.23.5, the newest MXNet works with, exists for no later one."""
    found = ".".join(map(str, version))
    if (3, 9) <= version < (3, 12):
        return Check("Python", found)
    return Check(
        "Python", found, "Python 3.9 to 3.11 is needed: install 3.11 and make a new environment."
    )


def check_platform(system: str = platform.system(), machine: str = platform.machine()) -> Check:
    """A platform that MXNet 1.9.1 has a wheel for."""
    found = f"{system} {machine}"
    if (system, machine) in WHEELS:
        return Check("platform", found)
    remedy = {
        "Windows": "MXNet 1.9.1 has no Windows wheel: use WSL 2 or a Linux container.",
        "Darwin": "MXNet 1.9.1 has no wheel for Apple silicon: use a Linux container.",
    }
    other = "MXNet 1.9.1 has wheels for Linux x86_64 and aarch64 only: use one of these."
    return Check("platform", found, remedy.get(system, other))


def check_libraries(system: str = platform.system()) -> Check:
    """The two system libraries that the Linux wheel expects and does not bring along."""
    packages = {"libgomp.so.1": "libgomp1"}
    if platform.machine() == "x86_64":
        packages["libquadmath.so.0"] = "libquadmath0"
    missing = []
    for library, package in packages.items() if system == "Linux" else ():
        try:
            ctypes.CDLL(library)
        except OSError:
            missing.append(package)
    if not missing:
        return Check("system libraries", "present")
    names = " ".join(missing)
    return Check("system libraries", f"no {names}", f"Run: apt-get install {names}")


def check_mxnet() -> Check:
    """MXNet, from the CPU wheel or one of the CUDA wheels, all of which install `mxnet`."""
    for wheel in ("mxnet", "mxnet-cu112", "mxnet-cu110", "mxnet-cu102", "mxnet-cu101"):
        version = installed(wheel)
        if version:
            remedy = "" if version.startswith("1.9.") else f"1.9.1 is needed. Run: {REINSTALL}"
            return Check("MXNet", f"{wheel} {version}", remedy)
    return Check("MXNet", "not installed", f"Run: {REINSTALL}")


def _older(name: str, bound: tuple[int, int], remedy: str) -> Check:
    """Check that a package is there and older than `bound`."""
    version = installed(name.lower())
    if version and _release(version) < bound:
        return Check(name, version)
    return Check(name, version or "not installed", remedy)


def check_numpy() -> Check:
    """NumPy before 1.24, which dropped the `np.bool` that MXNet uses."""
    return _older("NumPy", (1, 24), "MXNet needs 1.23. Run: pip install numpy==1.23.5")


def check_ipython() -> Check:
    """IPython before 9, which dropped what matplotlib 3.7 asks of it."""
    return _older("IPython", (9, 0), "d2l needs 8. Run: pip install 'ipython<9'")


def check_d2l() -> Check:
    """The book's own package."""
    version = installed("d2l")
    if version and version.startswith("1.0."):
        return Check("d2l", version)
    return Check("d2l", version or "not installed", f"1.0.3 is needed. Run: {REINSTALL}")


def quick_checks() -> Iterator[Check]:
    """Yield the checks that take no time, in the order in which faults should be mended."""
    yield check_python()
    yield check_platform()
    yield check_libraries()
    yield check_numpy()
    yield check_ipython()
    yield check_mxnet()
    yield check_d2l()


def check_import() -> Check:
    """Import MXNet and d2l in a process of their own: what the other checks may have missed."""
    code = "import os; os.environ['MPLBACKEND'] = 'agg'; from d2l import mxnet"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    if run.returncode == 0:
        return Check("import of MXNet and d2l", "works")
    reason = (run.stderr.strip().splitlines() or ["no message"])[-1]
    return Check("import of MXNet and d2l", reason, f"Make a new environment. Then: {REINSTALL}")


def preflight() -> None:
    """Stop with one sentence where a command could only end in a stack trace.

    Raises
    ------
    InputError
        Naming the first check that fails and its remedy.
    """
    for check in quick_checks():
        if check.remedy:
            raise InputError(f"{check.name}: {check.found}. {check.remedy}")
