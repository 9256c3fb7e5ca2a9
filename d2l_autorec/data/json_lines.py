"""JSON: a record on each line, or one array of records."""

from __future__ import annotations

import io
import json
from array import array
from collections.abc import Iterator
from typing import Any

from d2l_autorec.data.blobs import Blob, readable
from d2l_autorec.data.columns import take_columns
from d2l_autorec.data.delimited import Parsed
from d2l_autorec.data.options import ReadOptions
from d2l_autorec.data.scan import Scan, read_text, scan
from d2l_autorec.errors import InputError, clip

MAX_ARRAY = 256 * 1024**2


def read_json(blob: Blob, options: ReadOptions) -> Parsed:
    """Read ratings from JSON lines or from an array of records.

    Each record is an object, whose fields go by the same names as the columns of a CSV file. The
    field ``id`` of an object within it, ``user``, is ``user.id``. Raises an InputError if the text
    is not JSON of this form; the sentence names the line.
    """
    import pandas as pd

    seen = scan(blob, options.encoding)
    lines = not seen.head.lstrip("\ufeff \t\r\n").startswith("[")
    word = "line" if lines else "record"
    places, names, numbers = None, [], array("q")
    columns: dict[str, tuple[array[int], dict[str, int]]] = {}
    for number, record in _records(blob, seen, lines):
        where = f"{blob.label}, {word} {number}"
        if not isinstance(record, dict):
            raise InputError(f"{where}: it is no object with fields; correct or remove it.")
        record = _flat(record)
        if places is None:
            names = list(record)
            _check_wrapped(record, where)
            places = take_columns(names, dict(options.columns), where)
            columns = {column: (array("q"), {}) for column in places.at}
        numbers.append(number)
        for column, (codes, texts) in columns.items():
            name = names[places.at[column]]
            text = _text(record.get(name), column, where)
            codes.append(texts.setdefault(text, len(texts)))
    if places is None:
        raise InputError(f"{blob.label} is empty; give a file with at least one rating.")
    frame = pd.DataFrame(
        {c: pd.Categorical.from_codes(codes, list(texts)) for c, (codes, texts) in columns.items()}
    )
    return Parsed(
        frame,
        seen.digest,
        lambda row: f"{blob.label}, {word} {numbers[row]}",
        "JSON lines" if lines else "JSON",
        places,
        seen.encoding.replace("-sig", "").upper(),
        notices=places.notices,
    )


def _records(blob: Blob, seen: Scan, lines: bool) -> Iterator[tuple[int, Any]]:
    """Number what is on each line that is not blank, or what is in the one array."""
    if lines:
        with readable(blob.label), io.TextIOWrapper(blob.open(), encoding=seen.encoding) as text:
            for number, line in enumerate(text, 1):
                if line.strip():
                    yield number, _loaded(line, f"{blob.label}, line {number}")
        return
    if seen.size > MAX_ARRAY:
        raise InputError(
            f"{blob.label}: the JSON array holds more than {MAX_ARRAY:,} bytes; write one record "
            "on each line instead."
        )
    yield from enumerate(_loaded(read_text(blob, seen), blob.label), 1)


def _loaded(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        reason = str(error)
        if isinstance(error, json.JSONDecodeError):
            reason = error.msg
            where = where if ", line" in where else f"{where}, line {error.lineno}"
        raise InputError(
            f"{where}: it is not JSON ({reason}); write one object on each line."
        ) from None


def _flat(record: dict[str, Any], depth: int = 4) -> dict[str, Any]:
    """Return a record with ``{"user": {"id": 7}}`` as ``{"user.id": 7}``."""
    if not depth or not any(isinstance(value, dict) for value in record.values()):
        return record
    flat: dict[str, Any] = {}
    for name, value in record.items():
        inner = _flat(value, depth - 1) if isinstance(value, dict) else {}
        flat.update({f"{name}.{key}": each for key, each in inner.items()} or {name: value})
    return flat


def _check_wrapped(record: dict[str, Any], where: str) -> None:
    for name, value in record.items():
        if isinstance(value, list) and value and isinstance(value[0], dict):
            raise InputError(
                f"{where}: its field {clip(name)} is itself a list of objects; write that list "
                "alone, or one of its objects on each line."
            )


def _text(value: Any, column: str, where: str) -> str:
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise InputError(
            f"{where}: the {column} {clip(value)} is neither text nor a number; correct it."
        )
    try:
        text = str(value)
        text.encode()
        return text
    except UnicodeEncodeError:  # JSON can name half of a character
        raise InputError(
            f"{where}: the {column} {clip(value)} holds half of a character; correct it."
        ) from None
    except ValueError:  # a whole number of thousands of digits
        raise InputError(f"{where}: the {column} has too many digits; correct it.") from None
