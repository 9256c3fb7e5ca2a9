"""The book's stack, MXNet 1.9.1 and d2l 1.0.3, added to the environment that runs this.

Their metadata refuses every NumPy that Python 3.12 can have, so they are installed without their
dependencies, which `d2l_autorec` has itself. MXNet's Linux wheels lack two system libraries, and
the one for aarch64 the Arm Performance Libraries, of which it uses BLAS, LAPACK and LAPACKE only:
OpenBLAS has all of these by the same names. ``libmxnet.so`` looks in its own folder first (RPATH
``${ORIGIN}``): what the loader does not find is put there, and nothing is installed as root.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import platform
import re
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from d2l_autorec import compat, packages
from d2l_autorec.atomic import write_atomic
from d2l_autorec.errors import InputError, refused

COMMAND = "d2l-autorec install-mxnet"
MXNET, D2L = "1.9.1", "1.0.3"

# Whatever the wheel is called, the package that it installs is `mxnet`.
MXNET_WHEELS = ("mxnet", "mxnet-cu112", "mxnet-cu110", "mxnet-cu102", "mxnet-cu101")

_HASHES = {
    f"mxnet=={MXNET}": (
        "65d5dac162c87a14d138d888b54494d515036d9047ae804ff51f770bd02197a6",  # Linux x86_64
        "5e51a0c05d99f8f1b3b5e7c02170be57af2e6edb3ad9af2cb9551ace3e22942c",  # Linux aarch64
        "73c045f65ad05fe9ca3c4202e10471703b57231f8ac8b05d973ec2ab362178fb",  # macOS x86_64
    ),
    f"d2l=={D2L}": ("c625a01e66eb5d793a7e0a6f8582b1e1e35dfad02b5e77f3d2ab299d07177ba6",),
}


@dataclass(frozen=True)
class Library:
    """A system library and the wheel on PyPI that a copy of it is taken from."""

    requirement: str  # the wheel's name and version
    wheel: str  # its SHA-256
    member: str  # the library's name in it
    digest: str  # the library's SHA-256


_GOMP_AARCH64 = Library(
    "pykdtree==1.4.3",
    "bd3a4454b8f86ce22f7b92b4bc53e309817b0d3602afff8c9a17fde1bd6dd3f0",
    "pykdtree.libs/libgomp-947d5fa1.so.1.0.0",
    "dc3231f8fd4cadc46d8659c3b8dd811ae33174749e86807f16f61ead6ee59bfd",
)
_SCIPY_AARCH64 = (
    "scipy==1.10.1",
    "aaea0a6be54462ec027de54fca511540980d1e9eea68b2d5c1dbfe084797be35",
)

# By the name that the loader asks for and by the machine. All run with glibc 2.28 and later.
_LIBRARIES = {
    ("libgomp.so.1", "x86_64"): Library(
        "pykdtree==1.4.3",
        "44d2e1b6a3d02b5cf9646bf754931fdacb869cefd328242766e1dc0be909cca1",
        "pykdtree.libs/libgomp-870cb1d0.so.1.0.0",
        "4dae993cb6da9101fc2cfef827306dd03b892011d2e2789c8e44828ca9f2583c",
    ),
    ("libgomp.so.1", "aarch64"): _GOMP_AARCH64,
    # the Arm Performance Libraries: OpenBLAS, and the Fortran library that this build of it needs
    ("libarmpl_lp64_mp.so", "aarch64"): Library(
        *_SCIPY_AARCH64,
        "scipy.libs/libopenblasp-r0-dff490c2.3.18.so",
        "4c93ea099b2e32085bebea3aa514e46d11a5fae7c93a3f2e48bc491568fdaae7",
    ),
    ("libgfortran-daac5196.so.5.0.0", "aarch64"): Library(
        *_SCIPY_AARCH64,
        "scipy.libs/libgfortran-daac5196.so.5.0.0",
        "73b06dc7d12c5d4e37fe8ba67aa9ab440bb794e79adff58ae894b3d457e71bd7",
    ),
    # their faster versions of functions that the C library has too: any library will do
    ("libamath.so", "aarch64"): _GOMP_AARCH64,
    ("libastring.so", "aarch64"): _GOMP_AARCH64,
    ("libquadmath.so.0", "x86_64"): Library(
        "pymsis==0.13.0",
        "8e657760a91661c0e2862460172a7cb6a47e4252dcb1bf61940b09e37dbb07e5",
        "pymsis.libs/libquadmath-2284e583.so.0.0.0",
        "570b1bc35e2f2e178f5233a8c9dddca076ecb47c5c65fa09f8bd3951989cb481",
    ),
}


def installed(package: str) -> str | None:
    """Return the version of a package that is installed, None if it is not."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def find_mxnet() -> tuple[str, str] | None:
    """Return name and version of the wheel that MXNet was installed from, None without MXNet."""
    found = ((wheel, installed(wheel)) for wheel in MXNET_WHEELS)
    return next(((wheel, version) for wheel, version in found if version), None)


def mxnet_folder() -> Path:
    """Return the folder that MXNet lies in, without importing it; without MXNet, an InputError."""
    importlib.invalidate_caches()
    spec = importlib.util.find_spec("mxnet")
    if spec is None or not spec.submodule_search_locations:
        raise InputError(f"MXNet is not installed. {compat.mxnet_remedy()}")
    return Path(next(iter(spec.submodule_search_locations)))


def run_python(code: str, *arguments: str) -> tuple[subprocess.CompletedProcess[str], str]:
    """Run code in a process of its own; return the process and the last line of its errors."""
    words = [sys.executable, "-c", code, *arguments]
    environment = {**os.environ, "MPLBACKEND": "agg"}
    run = subprocess.run(
        words, capture_output=True, encoding="utf-8", errors="replace", env=environment
    )
    return run, (run.stderr.strip().splitlines() or [""])[-1]


def load_error(folder: Path) -> str:
    """Load MXNet's C library in a process of its own; return the loader's error, if any."""
    library = next(folder.glob("libmxnet.*"), folder / "libmxnet.so")
    code = (
        "import ctypes, sys\ntry: ctypes.CDLL(sys.argv[1])\nexcept OSError as e: sys.exit(str(e))"
    )
    run, said = run_python(code, str(library))
    return (said or "it ended without a message") if run.returncode else ""


def _missing_library(error: str) -> str:
    """Return the name of the shared library that a loader's message misses, or nothing."""
    match = re.match(r"(\S+\.so[.\d]*): cannot open shared object file", error)
    return match[1] if match else ""


def load_remedy(error: str, machine: str | None = None) -> str:
    """Say in one sentence what to do about an error of `load_error`, here or on some machine."""
    name = _missing_library(error)
    if (name, machine or platform.machine()) in _LIBRARIES:
        return f"Run: {COMMAND}"
    if name:
        return f"Install the system package that has {name}."
    return f"Make a new environment, install d2l-autorec in it, and there: {COMMAND}"


def install() -> list[str]:
    """Add MXNet and d2l, and the libraries that the loader does not find; say what was added.

    An InputError says that MXNet cannot be had on this platform, or what pip said.
    """
    added = _install_packages()
    folder = mxnet_folder()
    error = load_error(folder)
    while (name := _missing_library(error)) and not (folder / name).exists():
        library = _LIBRARIES.get((name, platform.machine()))
        if library is None:
            break
        _copy(library, folder / name)
        added.append(f"{name} (from {library.requirement})")
        error = load_error(folder)
    if error:
        raise InputError(f"MXNet is installed but does not load: {error}. {load_remedy(error)}")
    return added


def _install_packages() -> list[str]:
    """Install those of MXNet and d2l that are not there in the right version."""
    wanted = []
    mxnet = find_mxnet()
    if mxnet is None or not mxnet[1].startswith("1.9."):
        remedy = compat.mxnet_remedy()
        if COMMAND not in remedy:
            raise InputError(remedy)
        wanted.append(f"mxnet=={MXNET}")
    if installed("d2l") != D2L:
        wanted.append(f"d2l=={D2L}")
    if wanted:
        packages.pip_wheels("install", {name: _HASHES[name] for name in wanted})
    return wanted


def _copy(library: Library, path: Path) -> None:
    """Take a library out of its wheel."""
    # The wheel is for Python 3.11; the library in it does not know of Python.
    tags = ["--implementation=cp", "--python-version=3.11", "--abi=cp311"]
    tags += [f"--platform=manylinux{kind}_{platform.machine()}" for kind in ("2014", "_2_28")]
    with tempfile.TemporaryDirectory() as temporary:
        wanted = {library.requirement: (library.wheel,)}
        packages.pip_wheels("download", wanted, *tags, "--dest", temporary)
        with zipfile.ZipFile(next(Path(temporary).glob("*.whl"))) as archive:
            content = archive.read(library.member)
    if hashlib.sha256(content).hexdigest() != library.digest:
        raise InputError(f"{library.member} of {library.requirement} is not the expected file.")
    with refused(f"{path} cannot be written"):
        write_atomic(path, lambda file: file.write(content))
