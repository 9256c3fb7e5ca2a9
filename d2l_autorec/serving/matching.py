"""Match the entries of an export with a model's items, by id, or by title and year.

Titles are compared without case, accents and punctuation, with an article at the end put in front
("Matrix, The" is "The Matrix"), and by what stands in brackets too ("Seven (a.k.a. Se7en)").
"""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import pandas as pd

from d2l_autorec.data.exports import Entry, Export
from d2l_autorec.errors import InputError, clip
from d2l_autorec.serving.lookup import first_of
from d2l_autorec.serving.model import Model
from d2l_autorec.serving.records import plain_values

_ARTICLES = (
    "the a an le la les l' un une der die das ein eine el los las lo il gli i uno una o os as "
    "um uma de het en den det"
)
_AT_END = re.compile(rf"(?i)(.+), ({_ARTICLES.replace(' ', '|')})")
_LETTERS = str.maketrans(
    {"ø": "o", "æ": "ae", "œ": "oe", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "\u0131": "i"}
)
_NUM_SUGGESTED = 10  # entries that get the nearest title, which takes long to find
_MAX_SEARCHED = 20_000


@dataclass(frozen=True)
class Match:
    """The matched and the unmatched entries of an export.

    The ratings have columns ``item`` (ids) and ``rating``, in the model's scale; the notes tell
    what was matched though years differ by one or are missing; of the unmatched there are
    ``line``, ``title``, ``year``, ``rating`` (as exported) and ``reason``.
    """

    ratings: pd.DataFrame
    notes: tuple[str, ...]
    unmatched: pd.DataFrame


@dataclass
class _Found:
    """The match of an entry; a higher rank is a surer match."""

    code: int = -1
    rank: int = 0
    note: str = ""
    reason: str = ""


def match_export(model: Model, export: Export, links: Mapping[str, str] | None = None) -> Match:
    """Find a model's items for the entries of an export, and map the ratings to its scale.

    The scale is mapped linearly: its ends become the ends of the model's range.

    The model has titles, or IMDb ids or ISBNs for ids; `links` leads from IMDb's ids to item ids.

    Raises
    ------
    InputError
        If the model has no titles and none of the ids, or nothing is matched.
    """
    index = _Index(model)
    found = [index.find(entry, links or {}) for entry in export.entries]
    if not index.main and all(each.code < 0 for each in found):
        raise InputError(
            "The model knows no titles to match with; save it anew from ratings with titles "
            "(--titles FILE)."
        )
    _drop_rivals(model, export.entries, found)
    both = list(zip(export.entries, found))
    index.suggest([(entry, each) for entry, each in both if each.reason == _UNKNOWN])
    site = export.site
    factor = (model.high - model.low) / (site.high - site.low)
    pairs = [(entry, each) for entry, each in both if each.code >= 0]
    rest = [(entry, each) for entry, each in both if each.code < 0]
    if not pairs:
        entry, each = rest[0]
        raise InputError(
            f"None of the {len(rest):,} ratings from {site.name} is of an item of the model; "
            f"line {entry.line}, {clip(entry.titles[0])}: {each.reason}."
        )
    matched = {
        "item": model.item_ids[[each.code for _, each in pairs]],
        "rating": [model.low + (entry.rating - site.low) * factor for entry, _ in pairs],
    }
    unmatched = {
        "line": [entry.line for entry, _ in rest],
        "title": [entry.titles[0] for entry, _ in rest],
        "year": pd.array([entry.year for entry, _ in rest], dtype="Int64"),
        "rating": [entry.rating for entry, _ in rest],
        "reason": [each.reason for _, each in rest],
    }
    notes = [f"line {e.line}, {_named(e)}: {each.note}" for e, each in pairs if each.note]
    return Match(pd.DataFrame(matched), tuple(notes), pd.DataFrame(unmatched))


_UNKNOWN = "no such title"


@dataclass
class _Index:
    """The titles of a model's items."""

    model: Model
    main: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    other: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    years: list[int | None] = field(default_factory=list)

    def __post_init__(self) -> None:
        items = self.model.items
        if items is None:
            return
        self.years = [year and int(year) for year in plain_values(items["year"])]
        for code, title in enumerate(plain_values(items["title"])):
            if title:
                main, other = keys_of(title)
                for table, keys in ((self.main, main), (self.other, other - main)):
                    for key in keys:
                        table[key].append(code)

    def find(self, entry: Entry, links: Mapping[str, str]) -> _Found:
        """Match an entry by its ids, else by title and year."""
        ids = [*entry.ids, *(links[name] for name in entry.ids if name in links)]
        code_of = self.model.item_codes
        by_id = {code_of[name] for name in ids if name in code_of}
        if len(by_id) == 1:
            return _Found(by_id.pop(), 3)
        parts = [keys_of(title) for title in entry.titles]
        main = set().union(*(part[0] for part in parts))
        other = set().union(*(part[1] for part in parts))
        surest = _codes(self.main, main)
        others = (_codes(self.other, main) | _codes(self.main, other)) - surest
        for codes in (surest, others):
            same = [c for c in codes if entry.year is not None and self.years[c] == entry.year]
            if len(same) == 1:
                return _Found(same[0], 2)
            if same:
                return self._several(same)
        codes = surest | others
        if not codes:
            return _Found(reason=_UNKNOWN)
        unknown = [c for c in codes if self.years[c] is None]
        if entry.year is None or len(unknown) == len(codes):
            note = "matched by the title alone; there is no year to compare"
            return _Found(codes.pop(), 1, note) if len(codes) == 1 else self._several(codes)
        near = [c for c in codes if abs((self.years[c] or 0) - entry.year) == 1]
        if len(near) == 1 and not unknown:
            return _Found(near[0], 1, f"matched with the year {self.years[near[0]]}")
        if len(near) > 1 or unknown:
            return self._several(codes)
        found = ", ".join(sorted({str(self.years[code]) for code in codes}))
        return _Found(reason=f"the model has this title from {found}")

    def _several(self, codes: Iterable[int]) -> _Found:
        ids = [str(self.model.item_ids[code]) for code in sorted(codes)]
        return _Found(reason=f"it may be any of the items {first_of(ids, 3)}")

    def suggest(self, unknown: list[tuple[Entry, _Found]]) -> None:
        """Add the nearest title to the first reasons."""
        titles, items = list(self.main)[:_MAX_SEARCHED], self.model.items
        if items is None:
            return
        for entry, found in unknown[:_NUM_SUGGESTED]:
            wanted = min(keys_of(entry.titles[0])[0], key=len)
            for near in difflib.get_close_matches(wanted, titles, 1, 0.8):
                code = self.main[near][0]
                year = f" ({self.years[code]})" if self.years[code] else ""
                found.reason += f"; the nearest is {clip(items['title'].iloc[code])}{year}"


def _codes(table: Mapping[str, list[int]], keys: set[str]) -> set[int]:
    return {code for key in keys for code in table.get(key, ())}


def _named(entry: Entry) -> str:
    year = f" ({entry.year})" if entry.year else ""
    return clip(entry.titles[0]) + year


def _drop_rivals(model: Model, entries: tuple[Entry, ...], found: list[_Found]) -> None:
    """Keep for each item the entry that fits best; entries of the same film are not rivals."""
    of_item: dict[int, list[int]] = defaultdict(list)
    for i, each in enumerate(found):
        if each.code >= 0:
            of_item[each.code].append(i)
    for code, rivals in of_item.items():
        best = max(found[i].rank for i in rivals)
        first = [i for i in rivals if found[i].rank == best]
        same = {(normal(entries[i].titles[0]), entries[i].year) for i in first}
        for i in rivals:
            lost = i not in first
            if lost or len(same) > 1:
                rival = next(j for j in (first if lost else rivals) if j != i)
                found[i] = _Found(
                    reason=f"item {model.item_ids[code]} fits line {entries[rival].line} "
                    f"{'better' if lost else 'as well'}"
                )


def normal(text: str) -> str:
    """Return a title without case, accents and punctuation; a blank between words."""
    letters = unicodedata.normalize("NFKD", text.casefold()).translate(_LETTERS)
    letters = "".join(c for c in letters if not unicodedata.combining(c))
    letters = re.sub("['`\u2018\u2019]", "", letters.replace("&", " and "))
    words = "".join(c if c.isalnum() else " " for c in letters).split()
    return " ".join(words) or text.casefold().strip()


def keys_of(title: str) -> tuple[set[str], set[str]]:
    """Return what a title may be found by: the title itself, and what its brackets hold."""
    title = re.sub(r"\s*\([0-9]{4}\)\s*$", "", title.strip())
    outside = re.sub(r"\s*\([^()]*\)", "", title).strip()
    inside = [
        re.sub(r"(?i)^(a\.?\s?k\.?\s?a\.?|also known as)[\s:]+", "", text.strip())
        for text in re.findall(r"\(([^()]*)\)", title)
    ]
    main = {normal(title), *({normal(_in_front(outside))} if outside else set())}
    others = {normal(_in_front(text)) for text in inside if re.search(r"[^\W\d]{2}", text)}
    return main, others


def _in_front(title: str) -> str:
    """Put an article at the end of a title in front."""
    match = _AT_END.fullmatch(title)
    if not match:
        return title
    return match[2] + ("" if match[2].endswith("'") else " ") + match[1]
