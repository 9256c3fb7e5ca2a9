"""MovieLens 100K from the network: GroupLens first, then the copy that pip can reach.

Each source returns the bytes of the files with their digests checked, or raises `FetchError`.
Nothing is written, except by pip to a temporary folder.
"""

from __future__ import annotations

import hashlib
import re
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Callable, Optional

from d2l_autorec import packages
from d2l_autorec.data import known
from d2l_autorec.data.blobs import Blob, open_archive, readable
from d2l_autorec.errors import InputError

CONNECT_SECONDS, READ_SECONDS, TOTAL_SECONDS, PIP_SECONDS = 5, 10, 60, 120
MAX_DOWNLOAD = 32 * 1024**2

Files = dict[str, bytes]
Advance = Callable[[int, Optional[int]], None]


class FetchError(Exception):
    """Why a source did not give the data."""


def check_digest(label: str, name: str, seen: str) -> None:
    """Raise an InputError if a file of MovieLens 100K is not, byte for byte, the published one."""
    if seen != known.DIGESTS[name]:
        raise InputError(
            f"{label} is not the {name} of {known.ML100K}: its SHA-256 should be "
            f"{known.DIGESTS[name]} but is {seen}; fetch the file again."
        )


@contextmanager
def progress(what: str, quiet: bool) -> Iterator[Advance]:
    """Show a progress bar on standard error during a download, if that is a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn())
    hidden = quiet or not console.is_terminal
    with Progress(*columns, console=console, disable=hidden, transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def from_grouplens(quiet: bool) -> Files:
    """Fetch ``u.data`` and ``u.item`` out of GroupLens's ``ml-100k.zip``."""
    import requests

    try:
        with progress("MovieLens 100K from GroupLens", quiet) as advance:
            content = _download(known.GROUPLENS_URL, advance)
    except requests.RequestException as error:
        reason = type(error).__name__
        if error.response is not None:
            reason = f"HTTP status {error.response.status_code}"
        raise FetchError(f"no answer ({reason})") from error
    seen = hashlib.sha1(content, usedforsecurity=False).hexdigest()
    if seen != known.GROUPLENS_SHA1:
        raise FetchError(
            f"ml-100k.zip has the SHA-1 {seen} where {known.GROUPLENS_SHA1} was expected"
        )
    members = open_archive(content, "ml-100k.zip")
    return _take(members, {"u.data": "ml-100k/u.data", "u.item": "ml-100k/u.item"})


def _download(url: str, advance: Advance) -> bytes:
    """Fetch what is at an address within TOTAL_SECONDS.

    requests limits the wait for the next byte, not the whole, so that it works in a thread.
    """
    news: SimpleQueue[tuple[bytes, int | None] | BaseException | None] = SimpleQueue()
    left = threading.Event()
    threading.Thread(target=_receive, args=(url, news, left), daemon=True).start()
    deadline = time.monotonic() + TOTAL_SECONDS
    content = bytearray()
    try:
        while new := news.get(timeout=max(0.0, deadline - time.monotonic())):
            if isinstance(new, BaseException):
                raise new
            chunk, total = new
            content += chunk
            advance(len(content), total)
            if len(content) > MAX_DOWNLOAD:
                raise FetchError(f"the download is larger than {MAX_DOWNLOAD:,} bytes")
        return bytes(content)
    except Empty:
        raise FetchError(f"the download took longer than {TOTAL_SECONDS} s") from None
    finally:
        left.set()


def _receive(url: str, news: SimpleQueue[Any], left: threading.Event) -> None:
    """Put each chunk with the announced length into a queue, then None or the exception."""
    import requests

    waits = (CONNECT_SECONDS, READ_SECONDS)
    try:
        with requests.get(url, stream=True, timeout=waits) as reply:
            reply.raise_for_status()
            length = reply.headers.get("Content-Length", "")
            total = int(length) if re.fullmatch("[0-9]{1,15}", length) else None
            for chunk in reply.iter_content(16 * 1024):
                if left.is_set():
                    return
                news.put((chunk, total))
        news.put(None)
    except BaseException as error:
        news.put(error)


def from_pypi(quiet: bool) -> Files:
    """Fetch ``u.data`` and the titles out of recbole's wheel; none of its code is run.

    pip knows the index, mirror or folder that this machine is set up for.
    """
    with tempfile.TemporaryDirectory() as folder:
        choice = ("--no-deps", "--only-binary=:all:", "--timeout=10", "--dest", folder)
        try:
            with progress("MovieLens 100K from PyPI", quiet):
                packages.pip("download", *choice, known.WHEEL, timeout=PIP_SECONDS)
        except subprocess.TimeoutExpired as error:
            raise FetchError(f"pip took longer than {PIP_SECONDS} s") from error
        except InputError as error:
            raise FetchError(str(error)) from error
        wheels = sorted(Path(folder).glob("*.whl"))
        if not wheels:
            raise FetchError("pip brought no wheel")
        members = open_archive(wheels[0], wheels[0].name)
        inner = known.WHEEL_FOLDER
        wanted = {"u.data": f"{inner}/ml-100k.inter", "ml-100k.item": f"{inner}/ml-100k.item"}
        return _take(members, wanted)


def _take(members: dict[str, Blob], wanted: dict[str, str]) -> Files:
    """Read the wanted members, by their exact names, and check them."""
    files = {}
    for name, member in wanted.items():
        if member not in members:
            raise FetchError(f"it holds no {member}")
        blob = members[member]
        with readable(blob.label), blob.open() as stream:
            content = stream.read(MAX_DOWNLOAD)
        if member.endswith(".inter"):
            content = content.partition(b"\n")[2]  # recbole's header; u.data has none
        check_digest(blob.label, name, hashlib.sha256(content).hexdigest())
        files[name] = content
    return files


def fetch_ml100k(quiet: bool) -> tuple[Files, list[str]]:
    """Try each source in turn; return the files by their names in the cache, and what failed.

    There are no files if every source failed. A failure is the source's name and the reason.
    """
    failures: list[str] = []
    sources = {
        f"GroupLens ({known.GROUPLENS_URL})": from_grouplens,
        f"PyPI ({known.WHEEL}, through pip)": from_pypi,
    }
    for name, source in sources.items():
        try:
            return source(quiet), failures
        except (FetchError, InputError, OSError) as error:
            failures.append(f"{name}: {error}")
    return {}, failures
