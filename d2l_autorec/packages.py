"""The Python package index, reached as this machine is set up for it: with pip, or with uv."""

from __future__ import annotations

import functools
import importlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from importlib.machinery import PathFinder
from pathlib import Path
from types import ModuleType

from d2l_autorec.errors import InputError, plain

# What pip and uv say of an index that does not answer. pip then adds "No matching distribution".
_UNREACHABLE = re.compile(
    r"after connection broken by '?(?P<pip>[^\n]+?)'?: /"
    r"|(?P<status>HTTP error \d+[^\n]*|\d{3} (?:Client|Server) Error[^\n]*)"
    r"|(?P<file>(?:Read timed out|Connection aborted|Connection broken)[^\n]*)"
    r"|Failed to fetch: (?P<uv>[^\n]+)"
)


def _has_pip() -> bool:
    """Whether pip is installed. Asked through all finders, setuptools would give up distutils."""
    return PathFinder.find_spec("pip") is not None


@functools.cache
def _pip() -> tuple[str, ...]:
    """Return the command that is pip for this environment, which may have none of its own."""
    own = sys.executable
    if _has_pip():
        return own, "-m", "pip"
    if importlib.util.find_spec("uv"):
        return own, "-m", "uv", "tool", "run", "pip", "--python", own
    if uv := shutil.which("uv"):
        return uv, "tool", "run", "pip", "--python", own
    raise InputError(
        f"There is neither pip nor uv for {sys.executable}. "
        f"Run: {sys.executable} -m ensurepip, or install uv (https://docs.astral.sh/uv)"
    )


def install_command() -> str:
    """Return the words before a package's name that install it here, for a message."""
    return "python -m pip install" if _has_pip() else "uv pip install"


def require(name: str, extra: str, what: str, otherwise: str = "", least: int = 0) -> ModuleType:
    """Import an optional module, which an extra of this package installs.

    If it is missing, or its major version is below the least that will do, an InputError says
    what needs it, how to install it, and what can be done otherwise.
    """
    package = name.partition(".")[0]
    try:
        module = importlib.import_module(name)
        if least and int(sys.modules[package].__version__.split(".")[0]) < least:
            raise ImportError(f"{sys.modules[package].__version__} is too old")
    except ImportError as error:
        raise InputError(
            f"{what} needs {package} ({error}); "
            f'run: {install_command()} "d2l-autorec[{extra}]"{otherwise}.'
        ) from error
    return module


def pip(*arguments: str, timeout: float | None = None) -> None:
    """Run pip for this environment, without questions, for ``timeout`` seconds at most.

    If it fails, an InputError tells an index that does not answer from one that lacks the package.
    """
    environment = dict(os.environ)
    index = os.environ.get("UV_DEFAULT_INDEX") or os.environ.get("UV_INDEX_URL")
    if _pip()[-1] == sys.executable and index:  # set up for uv: pip is to ask there as well
        environment.setdefault("PIP_INDEX_URL", index)
    options = ("--no-input", "--disable-pip-version-check", "--quiet", "--retries=2")
    run = subprocess.run(
        [*_pip(), *arguments[:1], *options, *arguments[1:]],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        env=environment,
        timeout=timeout,
    )
    if run.returncode:
        raise InputError(_reason(run.stdout + run.stderr))


def _reason(said: str) -> str:
    """Say in one sentence why pip failed."""
    if "externally-managed-environment" in said:
        return (
            "This Python belongs to the operating system, which lets nobody install into it: "
            "install d2l-autorec in a virtual environment, made with `python3 -m venv FOLDER`."
        )
    broken = list(_UNREACHABLE.finditer(said))
    if broken:
        why = plain(next(filter(None, broken[-1].groups())))
        why = re.sub(r"<[^>]*>[:,] |\w+Error\(['\"]?", "", why).rstrip("')")
        return (
            f"The package index cannot be reached ({why}): check the network, set HTTPS_PROXY "
            "behind a proxy, or PIP_INDEX_URL to a mirror."
        )
    lines = [line for line in said.splitlines() if line.strip()] or ["nothing"]
    errors = [line for line in lines if line.lower().startswith("error")] or lines
    return f"pip said: {plain(errors[-1])}"


def pip_wheels(command: str, wanted: Mapping[str, Sequence[str]], *options: str) -> None:
    """Let pip ``install`` or ``download`` wheels, without dependencies and without running code.

    ``wanted`` has the SHA-256 of all wheels that will do, by name and version as in ``name==1.0``.
    """
    lines = (
        " ".join([name, *(f"--hash=sha256:{digest}" for digest in digests)])
        for name, digests in wanted.items()
    )
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "wanted.txt"
        file.write_text("\n".join(lines) + "\n", encoding="utf-8")
        choice = ("--no-deps", "--only-binary=:all:", "--require-hashes", *options)
        pip(command, *choice, "--requirement", str(file))
