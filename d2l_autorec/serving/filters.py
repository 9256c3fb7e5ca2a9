"""Which items may be recommended: candidates, exclusions, genres and years."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from d2l_autorec.errors import InputError, clip
from d2l_autorec.serving.lookup import first_of, known_or_warned
from d2l_autorec.serving.model import Model

_REMEDY = "save the model anew from ratings with --titles FILE, a table with the columns"


@dataclass(frozen=True)
class Filters:
    """Which items may be recommended; nothing given leaves all of them.

    Attributes
    ----------
    candidates : sequence of ids or None
        Only these.
    exclude : sequence of ids
        None of these.
    genres : sequence of str
        Only items of at least one of these; upper and lower case are the same.
    years : (int, int) or None
        Only items from the first to the last of these years.
    """

    candidates: Sequence[Any] | None = None
    exclude: Sequence[Any] = ()
    genres: Sequence[str] = ()
    years: tuple[int, int] | None = None

    def left_out(self, model: Model) -> np.ndarray:
        """Return which items may not be recommended: bool, (num_items,).

        An InputError says that no candidate is known, a genre is unknown, or the model has no
        genres or years; a UserWarning tells single unknown ids.
        """
        out = np.zeros(len(model.item_ids), bool)
        if self.candidates is not None:
            out[:] = True
            out[known_or_warned(model, self.candidates, "candidates")] = False
        if self.exclude:
            out[known_or_warned(model, self.exclude, "excluded items", none_is_fine=True)] = True
        if self.genres:
            out |= ~_of_genres(model, self.genres)
        if self.years is not None:
            out |= ~_of_years(model, self.years)
        return out


def parse_years(text: str, called: str = "--year") -> tuple[int, int]:
    """Turn ``1994`` or ``1990-1999`` into the first and the last year."""
    match = re.fullmatch(r"\s*([0-9]{4})\s*(?:-\s*([0-9]{4})\s*)?", text)
    if not match:
        raise InputError(f"{called} {clip(text)} is no year; write 1994 or 1990-1999.")
    first, last = int(match[1]), int(match[2] or match[1])
    if first > last:
        raise InputError(f"{called} {text.strip()} ends before it begins; write {last}-{first}.")
    return first, last


def _of_genres(model: Model, wanted: Sequence[str]) -> np.ndarray:
    spelled = {name.casefold(): name for each in model.genres for name in each}
    if not spelled:
        raise InputError(f"The model knows no genres; {_REMEDY} item, title and genres.")
    chosen = {name.strip().casefold() for name in wanted}
    if unknown := [name for name in wanted if name.strip().casefold() not in spelled]:
        near = [
            spelled[key]
            for name in unknown[:3]
            for key in difflib.get_close_matches(name.casefold(), list(spelled), 1)
        ]
        nearest = f"; the nearest it knows: {', '.join(dict.fromkeys(near))}" if near else ""
        raise InputError(
            f"The model knows no genre {first_of(map(clip, unknown), 3)}{nearest}; its genres are "
            f"{first_of(sorted(spelled.values()), 30)}."
        )
    return np.array([any(name.casefold() in chosen for name in each) for each in model.genres])


def _of_years(model: Model, years: tuple[int, int]) -> np.ndarray:
    if model.items is None or model.items["year"].isna().all():
        raise InputError(f"The model knows no years; {_REMEDY} item, title and year.")
    inside = model.items["year"].between(*years)  # not for a missing year
    return inside.fillna(False).to_numpy(bool)
