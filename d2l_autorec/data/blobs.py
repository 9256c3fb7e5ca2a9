"""Files that may hold anything: opened lazily, read in chunks, refused before they fill memory.

A ratings file may lie in a folder, in a zip archive or gzipped. All three become a `Blob`, which
can be opened again and again, so that nothing is extracted and nothing is held whole.
"""

from __future__ import annotations

import codecs
import gzip
import hashlib
import io
import lzma
import re
import stat
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Callable, cast

import numpy as np

from d2l_autorec.errors import InputError, plain
from d2l_autorec.paths import open_file, require_file

MAX_LINE = 1024**2
MAX_UNPACKED = 2 * 1024**3
MAX_RATIO = 200
RATIO_COUNTS_FROM = 16 * 1024**2

# zipfile, gzip and lzma raise all of these on bytes that went astray.
_DAMAGE = (
    zipfile.BadZipFile,
    gzip.BadGzipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    EOFError,
    ValueError,
    LookupError,
    OverflowError,
    MemoryError,
)


@dataclass(frozen=True)
class Blob:
    """Bytes that can be opened; messages call them ``label``, ``name`` is the bare file name.

    ``packed`` is the size in bytes of what they are unpacked from, 0 where nothing is.
    """

    label: str
    name: str
    open: Callable[[], BinaryIO]
    packed: int = 0


@dataclass(frozen=True)
class Scan:
    """What one pass over a blob told: SHA-256 in hex, size in bytes, and its first chunk."""

    digest: str
    size: int
    head: bytes


def file_blob(path: Path) -> Blob:
    """Make a blob of a file; one ending in ``.gz`` is read through gzip."""
    if path.suffix == ".gz":
        with readable(str(path)):
            packed = path.stat().st_size

        def unpack() -> BinaryIO:
            require_file(path)
            return cast(BinaryIO, gzip.open(path, "rb"))

        return Blob(str(path), path.stem, unpack, packed)
    return Blob(str(path), path.name, lambda: open_file(path))


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
    """List a zip archive's files, after looking for what an honest archive does not have.

    Parameters
    ----------
    file : Path or bytes
        The archive, on disk or in memory.
    label : str
        What messages call it.

    Returns
    -------
    dict of str to Blob
        By the full name inside the archive; nothing has been unpacked.

    Raises
    ------
    InputError
        If it is no zip archive or a truncated one, if a member's path leads out of the archive, or
        if a member unpacks to more than 2 GiB or to more than 200 times its packed size.
    """

    def opener() -> zipfile.ZipFile:
        if isinstance(file, Path):
            require_file(file)
        return zipfile.ZipFile(io.BytesIO(file) if isinstance(file, bytes) else file)

    with readable(label), opener() as archive:
        members = [info for info in archive.infolist() if not info.is_dir()]
    for info in members:
        _check_member(info, label)

    def member(name: str) -> Callable[[], BinaryIO]:
        return lambda: cast(BinaryIO, opener().open(name))

    return {
        info.filename: Blob(
            f"{label}:{plain(info.filename)}",
            PurePosixPath(info.filename).name,
            member(info.filename),
        )
        for info in members
    }


def read_npz(path: Path, limit: int = MAX_UNPACKED) -> dict[str, np.ndarray]:
    """Read all arrays of an npz file; nothing is unpickled.

    Parameters
    ----------
    path : Path
    limit : int
        The largest size in bytes of all arrays, unpacked.

    Raises
    ------
    InputError
        If the file is no npz, is damaged, or is over the limit.
    """
    label = str(path)
    members = open_archive(path, label)
    arrays, size = {}, 0
    for name, blob in members.items():
        try:
            with readable(label), blob.open() as stream:
                array = np.lib.format.read_array(stream, allow_pickle=False)
        except (TypeError, SyntaxError, tokenize.TokenError) as error:  # from an array's header
            raise InputError(
                f"{label} is damaged or cut short ({error}); fetch or copy the file again."
            ) from error
        size += array.nbytes
        if size > limit:
            raise InputError(f"{label} holds more than {limit:,} bytes; save it again.")
        arrays[name[: -len(".npy")] if name.endswith(".npy") else name] = array
    return arrays


def _check_member(info: zipfile.ZipInfo, label: str) -> None:
    path = info.filename.replace("\\", "/")
    if path.startswith("/") or re.match(r"[A-Za-z]:", path) or ".." in path.split("/"):
        raise InputError(
            f"{label} holds {info.filename[:80]!r}, a path that leads out of the archive; "
            "fetch the archive from its publisher."
        )
    if stat.S_ISLNK(info.external_attr >> 16):
        raise InputError(
            f"{label} holds a link, {info.filename[:80]!r}, in place of a file; "
            "pack the file itself."
        )
    if info.file_size > MAX_UNPACKED or swells(info.file_size, info.compress_size):
        ratio = info.file_size / max(info.compress_size, 1)
        raise InputError(
            f"{label} holds {info.filename[:80]!r}, which would unpack to "
            f"{info.file_size:,} bytes ({ratio:.0f} times its packed size); unpack it yourself "
            "if you trust it."
        )


def swells(size: int, packed: int) -> bool:
    """Whether so many bytes unpack from so few as no honest file's do."""
    return size > RATIO_COUNTS_FROM and size > MAX_RATIO * packed


def scan(blob: Blob, utf8: bool = True, limit: int = MAX_UNPACKED) -> Scan:
    """Read a blob once in chunks of 1 MiB: take its digest, and refuse what cannot be a text.

    Parameters
    ----------
    blob : Blob
        The file.
    utf8 : bool
        Whether its text must be UTF-8.
    limit : int
        The largest size in bytes, unpacked.

    Raises
    ------
    InputError
        If the blob is empty, damaged, over the limit or 200 times its packed size, holds a zero
        byte or a line over 1 MiB, or is not UTF-8 where it must be. The sentence names the line.
    """
    digest, size, lines, carried, head = hashlib.sha256(), 0, 0, 0, b""
    decoder = codecs.getincrementaldecoder("utf-8")()
    with readable(blob.label), blob.open() as stream:
        while chunk := stream.read(MAX_LINE):
            head = head or chunk
            digest.update(chunk)
            size += len(chunk)
            if size > limit:
                raise InputError(f"{blob.label} holds more than {limit:,} bytes; split the file.")
            if blob.packed and swells(size, blob.packed):
                raise InputError(
                    f"{blob.label} unpacks to more than {MAX_RATIO} times its size; unpack it "
                    "yourself if you trust it."
                )
            zero = chunk.find(b"\0")
            if zero >= 0:
                line = lines + chunk.count(b"\n", 0, zero) + 1
                raise InputError(
                    f"{blob.label}, line {line}: it holds a "
                    "zero byte, so it is no text file; save it as CSV in UTF-8."
                )
            first = chunk.find(b"\n")
            carried += len(chunk) if first < 0 else first
            if carried > MAX_LINE:
                raise InputError(
                    f"{blob.label}, line {lines + 1}: the line is longer than {MAX_LINE:,} bytes; "
                    "write one rating on each line."
                )
            if first >= 0:
                carried = len(chunk) - chunk.rfind(b"\n") - 1
            if utf8:
                _check_utf8(blob, decoder, chunk, lines)
            lines += chunk.count(b"\n")
    if utf8:
        _check_utf8(blob, decoder, b"", lines, final=True)
    if not size or (size <= MAX_LINE and not head.strip()):
        raise InputError(f"{blob.label} is empty; give a file with one rating on each line.")
    return Scan(digest.hexdigest(), size, head)


def _check_utf8(
    blob: Blob,
    decoder: codecs.IncrementalDecoder,
    chunk: bytes,
    lines: int,
    final: bool = False,
) -> None:
    try:
        decoder.decode(chunk, final)
    except UnicodeDecodeError as error:
        # error.object is the chunk with the unfinished character before it, which has no newline
        line = lines + error.object.count(b"\n", 0, error.start) + 1
        raise InputError(
            f"{blob.label}, line {line}: byte 0x{error.object[error.start]:02x} is not UTF-8; "
            "save the file as UTF-8."
        ) from error
