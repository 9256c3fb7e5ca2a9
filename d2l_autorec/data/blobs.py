"""Untrusted files: opened lazily, read in chunks, and refused before they fill memory.

A ratings file may lie in a folder, in a zip archive or compressed. All three become a `Blob`,
which can be opened repeatedly, so that nothing is extracted to disk or held whole in memory.
"""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import lzma
import os
import re
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, Callable, cast

from d2l_autorec.errors import InputError, plain
from d2l_autorec.packages import require
from d2l_autorec.paths import open_file, require_file

MAX_LINE = 1024**2
MAX_UNPACKED = 2 * 1024**3
MAX_RATIO = 200
RATIO_COUNTS_FROM = 16 * 1024**2

# zipfile, gzip and lzma raise all of these on bytes that went astray.
_DAMAGE = (
    *(zipfile.BadZipFile, gzip.BadGzipFile, zlib.error, lzma.LZMAError, struct.error),
    *(EOFError, ValueError, LookupError, OverflowError, MemoryError),
)


@dataclass(frozen=True)
class Blob:
    """Bytes that can be opened."""

    label: str  # what messages call them
    name: str  # the bare file name
    open: Callable[[], BinaryIO]
    packed: int = 0  # size in bytes of what they are unpacked from, 0 where nothing is
    stamp: Callable[[], object] = lambda: None  # another value once the file on disk is another


def file_blob(path: Path) -> Blob:
    """Make a blob of a file; a compressed one is read through gzip, bzip2, xz or Zstandard."""
    blob = Blob(str(path), path.name, lambda: open_file(path), stamp=partial(_stamp, path))
    return unpacked(blob)


def _stamp(path: Path) -> object:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


@contextmanager
def unchanged(blob: Blob) -> Iterator[None]:
    """Raise an InputError if a file, which is read more than once, was changed meanwhile."""
    before = blob.stamp()
    try:
        yield
    except Exception:
        if blob.stamp() == before:
            raise
    if blob.stamp() != before:
        raise InputError(f"{blob.label} was changed while it was read; read it again.") from None


def unpacked(blob: Blob) -> Blob:
    """Unpack one layer of compression, detected by the first bytes or the file's extension."""
    with readable(blob.label), blob.open() as stream:
        head = stream.read(16)
        for suffix, (magic, opener) in _PACKED.items():
            if blob.name.endswith(suffix) or re.match(magic, head):
                packed = stream.seek(0, io.SEEK_END)
                opened = cast(Callable[[], BinaryIO], partial(_Unpacking, blob, opener))
                name = blob.name.removesuffix(suffix)
                return Blob(blob.label, name, opened, packed, blob.stamp)
    return blob


class _Unpacking(io.BufferedReader):
    """The unpacked content of a compressed stream. Closing it closes that stream too."""

    def __init__(self, blob: Blob, opener: Callable[[BinaryIO], Any]) -> None:
        self._packed = blob.open()
        super().__init__(opener(self._packed))

    def close(self) -> None:
        """Close both streams."""
        super().close()
        self._packed.close()


class _Zstandard(io.RawIOBase):
    """A reader that, unlike zstandard's own, notices a truncated file."""

    def __init__(self, packed: BinaryIO) -> None:
        what = f"{getattr(packed, 'name', 'The file')} is packed with Zstandard, which"
        zstandard = require("zstandard", "zst", what, ", or unpack it")
        self._new = zstandard.ZstdDecompressor().decompressobj
        self._errors = zstandard.ZstdError
        self._frame, self._packed, self._left = self._new(), packed, b""

    def readable(self) -> bool:
        """Say that it can be read."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer."""
        try:
            while not self._left:
                chunk = self._frame.unused_data or self._packed.read(1024)  # small: may swell
                if not chunk:
                    if not self._frame.eof:
                        raise EOFError("the file ends before the end of the data")
                    return 0
                if self._frame.eof:
                    self._frame = self._new()
                self._left = self._frame.decompress(chunk)
        except self._errors as error:
            raise EOFError(str(error)) from error
        size = min(len(buffer), len(self._left))
        buffer[:size], self._left = self._left[:size], self._left[size:]
        return size


_PACKED: dict[str, tuple[bytes, Callable[[BinaryIO], Any]]] = {
    ".gz": (rb"\x1f\x8b", lambda packed: gzip.GzipFile(fileobj=packed)),
    ".bz2": (rb"BZh[1-9]1AY&SY", bz2.BZ2File),
    ".xz": (rb"\xfd7zXZ\0", lzma.LZMAFile),
    ".zst": (rb"\x28\xb5\x2f\xfd", _Zstandard),
}


def blob_digest(blob: Blob) -> str:
    """SHA-256 of a blob's bytes, in hex."""
    digest = hashlib.sha256()
    with blob.open() as stream:
        while chunk := stream.read(1024**2):
            digest.update(chunk)
    return digest.hexdigest()


@contextmanager
def readable(label: str) -> Iterator[None]:
    """Turn what the system, gzip and zipfile raise on a damaged file into one sentence."""
    try:
        yield
    except InputError:
        raise
    except _DAMAGE as error:
        raise InputError(
            f"{label} is damaged or cut short ({_words(error)}); fetch or copy the file again."
        ) from error
    except RuntimeError as error:  # encrypted, or packed in a way that zipfile does not know
        raise InputError(
            f"{label} cannot be unpacked ({_words(error)}); pack it again as a plain zip."
        ) from error
    except OSError as error:
        reason = error.strerror or _words(error)
        raise InputError(
            f"{label} cannot be read ({reason}); check the path and its rights."
        ) from error


def _words(error: Exception) -> str:
    return " ".join(plain(error).split())


def open_archive(file: Path | bytes, label: str) -> dict[str, Blob]:
    """List the files of a zip archive, on disk or in memory, by their full names inside it.

    Nothing is unpacked. Messages call the archive ``label``. Raises an InputError if it is no zip
    archive or a truncated one, if a member's path leads out of the archive, or if a member unpacks
    to more than 2 GiB or to more than 200 times its packed size.
    """

    def opener() -> zipfile.ZipFile:
        if isinstance(file, Path):
            require_file(file)
        return zipfile.ZipFile(io.BytesIO(file) if isinstance(file, bytes) else file)

    with readable(label), opener() as archive:
        members = [info for info in archive.infolist() if not info.is_dir()]
    for info in members:
        _check_member(info, label)

    def member(name: str) -> BinaryIO:
        return cast(BinaryIO, opener().open(name))

    stamp = partial(_stamp, file) if isinstance(file, Path) else lambda: None
    return {
        name: Blob(
            f"{label}:{plain(name)}", PurePosixPath(name).name, partial(member, name), stamp=stamp
        )
        for name in (info.filename for info in members)
    }


def _check_member(info: zipfile.ZipInfo, label: str) -> None:
    path, shown = info.filename.replace("\\", "/"), repr(info.filename[:80])
    if path.startswith("/") or re.match(r"[A-Za-z]:", path) or ".." in path.split("/"):
        raise InputError(
            f"{label} holds {shown}, a path that leads out of the archive; "
            "fetch the archive from its publisher."
        )
    if stat.S_ISLNK(info.external_attr >> 16):
        raise InputError(
            f"{label} holds a link, {shown}, in place of a file; pack the file itself."
        )
    if swells(info.file_size, info.compress_size):
        ratio = info.file_size / max(info.compress_size, 1)
        raise InputError(
            f"{label} holds {shown}, which would unpack to {info.file_size:,} bytes "
            f"({ratio:.0f} times its packed size); unpack it yourself if you trust it."
        )


def swells(size: int, packed: int) -> bool:
    """Return whether an unpacked size is too large, or its compression ratio implausible."""
    return size > MAX_UNPACKED or (size > RATIO_COUNTS_FROM and size > MAX_RATIO * packed)
