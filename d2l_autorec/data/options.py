"""Options for reading a ratings file, in place of what the reader would detect."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from d2l_autorec.errors import InputError

COLUMNS = ("user", "item", "rating", "timestamp")
DUPLICATES = ("latest", "mean", "error")
SEPARATORS = {"tab": "\t", "\\t": "\t", "comma": ",", "semicolon": ";", "space": " ", "pipe": "|"}


@dataclass(frozen=True)
class ReadOptions:
    """Options for reading a ratings file. The reader detects whatever is left out.

    Raises an InputError if a value is unknown; the sentence names the option.
    """

    # for each of COLUMNS that is asked for, its name in the header, or its position from 1
    columns: Mapping[str, str] = field(default_factory=dict)
    separator: str | None = None  # what stands between the fields; " " for any white space
    decimal: str | None = None  # the decimal sign of the ratings, "." or ","
    encoding: str | None = None  # as Python names it
    not_rated: tuple[str, ...] = ()  # ratings that mean "not rated", such as -1; their rows go
    titles: Path | None = None  # a file of titles, in place of the one beside the ratings
    # of several ratings of a pair the latest counts (the last in the file, where there are no
    # timestamps), or their "mean", or the file is refused ("error")
    duplicates: str = "latest"
    # refuse what is else left out or repaired: rows without a rating, text that is not UTF-8
    strict: bool = False

    def __post_init__(self) -> None:
        if self.decimal not in (None, ".", ","):
            raise InputError(f"--decimal {self.decimal!r} is not a decimal sign; use . or ','.")
        if self.duplicates not in DUPLICATES:
            raise InputError(
                f"--duplicates {self.duplicates!r} is unknown; use {', '.join(DUPLICATES)}."
            )
        if self.separator is not None:
            separator = SEPARATORS.get(self.separator, self.separator)
            if not separator or len(separator) > 8 or re.search(r'["\r\n\w.]', separator):
                raise InputError(
                    f"--sep {self.separator[:80]!r} cannot stand between fields; give one such as "
                    "',', ';', '::', tab or space."
                )
            object.__setattr__(self, "separator", separator if separator.strip(" ") else " ")
        for name in self.columns:
            if name not in COLUMNS:
                raise InputError(f"--columns {name!r} is unknown; use {', '.join(COLUMNS)}.")
        if len(set(self.columns.values())) < len(self.columns):
            raise InputError("--columns names one column twice; name another one for each.")

    def as_json(self) -> dict[str, Any]:
        """Return what JSON can hold, for ``ReadOptions.from_json``."""
        titles = None if self.titles is None else str(self.titles.resolve())
        return {**asdict(self), "columns": dict(self.columns), "titles": titles}

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> ReadOptions:
        """Make the options from what `as_json` returned.

        Raises an InputError, KeyError or TypeError if it is something else.
        """
        columns, single = record["columns"], ("separator", "decimal", "encoding", "titles")
        texts = [record[name] for name in single if record[name] is not None]
        if not isinstance(columns, dict) or not isinstance(record["not_rated"], list):
            raise TypeError("columns or not_rated")
        texts += [*columns, *columns.values(), *record["not_rated"], record["duplicates"]]
        if not all(isinstance(text, str) for text in texts):
            raise TypeError("a text")
        titles = None if record["titles"] is None else Path(record["titles"])
        not_rated = tuple(map(str, record["not_rated"]))
        return cls(**{**record, "titles": titles, "not_rated": not_rated})


def parse_columns(text: str) -> dict[str, str]:
    """Turn ``user=a,item=b,rating=3`` into a dictionary.

    A comma may stand in a name, where no ``column=`` follows it. Raises an InputError if the text
    is of another form.
    """
    parts = re.split(r",(?=\s*\w+\s*=)", text)
    pairs = [part.partition("=")[::2] for part in parts]
    columns = {name.strip(): place.strip() for name, place in pairs}
    if not all(columns.values()) or len(columns) < len(pairs):
        raise InputError(
            f"--columns {text[:80]!r} is not a list of columns; write user=NAME,item=NAME,"
            "rating=NAME, with names from the header or positions from 1."
        )
    return columns
