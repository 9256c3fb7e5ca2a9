"""The report: one HTML page, and a Markdown page for each folder below ``results/``.

Both are rendered from the stored tables and figures. No experiment runs.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup, escape

from d2l_autorec import __version__, runs
from d2l_autorec.errors import InputError, refused
from d2l_autorec.experiments.headline import HEADINGS, headline
from d2l_autorec.experiments.sections import WORDS, Column, Section, Table, section


def write_report(results: Path, out: Path) -> list[str]:
    """Write the HTML page, which needs no other file, and return the experiments in it.

    Raises
    ------
    InputError
        If ``results`` has no folder of an experiment, from `stored.save_results`, one of them is
        damaged, or the file cannot be written.
    """
    sections = _sections(results)
    if not sections:
        raise InputError(
            f"{results} holds no results; run d2l-autorec study first, or name the folder with "
            "--results."
        )
    rows = headline(results)
    columns = [Column(HEADINGS[0], text=True), Column(HEADINGS[1], text=False)]
    top = Table("", "", columns, [list(row) for row in rows]) if len(rows) > 1 else None
    used = {term for one in sections for term in one.terms}
    terms = {term: what for term, (_, what) in WORDS["terms"].items() if term in used}
    text = render("report.html", sections=sections, headline=top, terms=terms, version=__version__)
    with refused(f"--out {out} cannot be written", "name another"):
        out.parent.mkdir(parents=True, exist_ok=True)
    runs.write(out, text)
    return [one.name for one in sections]


def write_pages(results: Path) -> list[Path]:
    """Write ``README.md`` into each folder of an experiment, and an index above them."""
    sections = [*_sections(results), *_sections(results, "run.json")]
    pages = {results / one.name / "README.md": render("page.md", one=one) for one in sections}
    pages[results / "README.md"] = render("index.md", sections=sections)
    for path, text in pages.items():
        runs.write(path, text)
    return list(pages)


def page(folder: Path) -> str:
    """Return the Markdown page of one experiment."""
    return render("page.md", one=section(folder))


def render(template: str, **values: Any) -> str:
    """Render a template of ``templates/``; HTML is escaped."""
    return _ENVIRONMENT.get_template(template).render(**values).rstrip("\n") + "\n"


def _code(text: str) -> Markup:
    """Escape a text, set what is between backquotes as code, and keep intervals whole."""
    text = re.sub(r"\d ± \d\S*( \(\d+\))?", lambda found: found[0].replace(" ", "\u00a0"), text)
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))


_ENVIRONMENT = Environment(
    loader=PackageLoader("d2l_autorec.experiments"),
    undefined=StrictUndefined,
    autoescape=select_autoescape(["html"]),
)
_ENVIRONMENT.filters["code"] = _code


def _sections(results: Path, record: str = "experiment.json") -> list[Section]:
    """Read the experiments below a folder, in the order of their titles."""
    found = {path.parent.name: path.parent for path in sorted(results.glob(f"*/{record}"))}
    names = dict.fromkeys((*WORDS["titles"], *found))
    return [section(found[name]) for name in names if name in found]
