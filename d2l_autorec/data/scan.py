"""One pass over a text file: compute its digest, detect its encoding, refuse binary files."""

from __future__ import annotations

import codecs
import hashlib
import io
import re
from array import array
from dataclasses import dataclass

from d2l_autorec.data.blobs import MAX_LINE, MAX_RATIO, MAX_UNPACKED, Blob, readable, swells
from d2l_autorec.errors import InputError

MAX_COMMENTS = 100_000


@dataclass(frozen=True)
class Scan:
    """The results of one pass over a blob."""

    digest: str  # SHA-256 of its bytes, in hex
    size: int  # in bytes
    head: str  # its first chunk, decoded; lines end with a line feed
    encoding: str  # as Python names it
    comments: tuple[int, ...]  # lines that begin with #, from 1; of very many, the first


def scan(blob: Blob, encoding: str | None = None, limit: int = MAX_UNPACKED) -> Scan:
    """Read a blob once in chunks of 1 MiB, compute its digest, and refuse what is not text.

    Without an encoding it is UTF-16 or UTF-32 where the first bytes say so, else UTF-8, else
    Latin-1 or Windows-1252 where the bytes look like words of those. Raises an InputError if the
    blob is empty, damaged, over the limit of bytes or 200 times its packed size, holds a zero byte
    or a line over 1 MiB, or is not in that encoding. The sentence names the line.
    """
    with readable(blob.label), blob.open() as stream:
        start = stream.read(256)
    chosen = encoding or _encoding_of(start)
    try:
        return _scan(blob, chosen, limit)
    except _Undecodable as error:
        guess = None if encoding or chosen != "utf-8-sig" else _western(blob)
        if guess is None:
            byte, line = error.args
            raise InputError(
                f"{blob.label}, line {line}: byte 0x{byte:02x} is not "
                f"{chosen.replace('-sig', '').upper()}; save the file as UTF-8, or name its "
                "encoding with --encoding."
            ) from None
        return _scan(blob, guess, limit)


def read_text(blob: Blob, seen: Scan) -> str:
    """Read the whole text of a blob that has been scanned."""
    with readable(blob.label), blob.open() as stream:
        return stream.read().decode(seen.encoding)


class _Undecodable(Exception):
    """A byte that is not in the encoding, and its line."""


def _encoding_of(start: bytes) -> str:
    for mark, encoding in (
        (codecs.BOM_UTF32_LE, "utf-32"),
        (codecs.BOM_UTF32_BE, "utf-32"),
        (codecs.BOM_UTF16_LE, "utf-16"),
        (codecs.BOM_UTF16_BE, "utf-16"),
    ):
        if start.startswith(mark):
            return encoding
    even, odd = set(start[::2]), set(start[1::2])
    if len(start) > 3 and {0} in (even, odd) and even != odd:
        return "utf-16-le" if odd == {0} else "utf-16-be"
    return "utf-8-sig"


# Bytes that Latin-1 text has not: three beyond ASCII in a row (another alphabet), what looks like
# UTF-8 (damaged text), what Windows-1252 leaves free, and a letter amid digits and separators.
_NOT_WESTERN = re.compile(
    rb"[\x80-\xff]{3}|[\xc2-\xf4][\x80-\xbf]|[\x81\x8d\x8f\x90\x9d]"
    rb"|(?<![A-Za-z \x80-\xff])[\x80-\xff](?![A-Za-z \x80-\xff])"
)


def _western(blob: Blob) -> str | None:
    """Return Latin-1, Windows-1252 if its quotes or dashes occur, or None for neither."""
    before, guess = b"", "iso-8859-1"
    with readable(blob.label), blob.open() as stream:
        while chunk := stream.read(MAX_LINE):
            if _NOT_WESTERN.search(before + chunk):
                return None
            if re.search(rb"[\x80-\x9f]", chunk):
                guess = "cp1252"
            before = chunk[-2:]
    return guess


def _scan(blob: Blob, encoding: str, limit: int) -> Scan:
    try:
        inner = codecs.getincrementaldecoder(encoding)()
        b"".decode(encoding)
    except LookupError:
        raise InputError(f"--encoding {encoding!r} is unknown; use utf-8, latin-1, ...") from None
    decoder = io.IncrementalNewlineDecoder(inner, translate=True)  # a line ends with "\n"
    digest, size, lines, carried = hashlib.sha256(), 0, 0, 0
    head, comments, fresh, more = "", array("q"), True, True
    with readable(blob.label), blob.open() as stream:
        while more:
            chunk = stream.read(MAX_LINE)
            more = bool(chunk)
            digest.update(chunk)
            size += len(chunk)
            if size > limit:
                raise InputError(f"{blob.label} holds more than {limit:,} bytes; split the file.")
            if blob.packed and swells(size, blob.packed):
                raise InputError(
                    f"{blob.label} unpacks to more than {MAX_RATIO} times its size; unpack it "
                    "yourself if you trust it."
                )
            try:
                text = decoder.decode(chunk, not more)
            except UnicodeDecodeError as error:
                # the object is this chunk, and an unfinished character before it
                before = error.object[: error.start]
                line = lines + max(before.count(b"\n"), before.count(b"\r")) + 1
                byte = error.object[min(error.start, len(error.object) - 1)]
                raise _Undecodable(byte, line) from None
            head = head or text
            whole, zero, _ = text.partition("\0")
            if zero:
                line = lines + whole.count("\n") + 1
                raise InputError(
                    f"{blob.label}, line {line}: it holds a zero byte, so it is not a text file; "
                    "save it as CSV in UTF-8."
                )
            first = text.find("\n")
            carried += len(text) if first < 0 else first
            if carried > MAX_LINE:
                raise InputError(
                    f"{blob.label}, line {lines + 1}: the line is longer than {MAX_LINE:,} bytes; "
                    "write one rating on each line."
                )
            if first >= 0:
                carried = len(text) - 1 - text.rfind("\n")
            if "#" in text and len(comments) < MAX_COMMENTS:
                comments.extend(
                    number
                    for number, line in enumerate(text.split("\n"), lines + 1)
                    if line.startswith("#") and (fresh or number > lines + 1)
                )
            fresh = text.endswith("\n") if text else fresh
            lines += text.count("\n")
    if not size or (size <= MAX_LINE and not head.strip("\ufeff \t\r\n")):
        raise InputError(f"{blob.label} is empty; give a file with one rating on each line.")
    return Scan(digest.hexdigest(), size, head, encoding, tuple(comments))
