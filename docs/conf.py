"""Sphinx's settings for the site and, with the tag `slides`, for the lecture: see `make site`.

The pages are the files that a clone shows, read from the repository's root, so that their links to
one another hold in both. Only the tables of contents are the site's own: `CONTENTS` puts them at
the end of the README, with which the site starts, and of the list of results.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from docutils.nodes import SkipNode
from latex2mathml.converter import convert

import d2l_autorec

HERE = Path(__file__).parent
CONTENTS = {"README": "contents/site.txt", "results/README": "contents/results.txt"}
UPRIGHT = '<mo stretchy="false">&#x02016;'

project = "d2l_autorec"
copyright = "the d2l-autorec developers, MIT licence"
release = d2l_autorec.__version__
language = "en"
slides = tags.has("slides")  # noqa: F821  (Sphinx gives it to this file)
root_doc = "docs/slides/lecture" if slides else "README"
include_patterns = [
    "*.md",
    "docs/**.md",
    "results/**/README.md",
    "results/README.md",
    "results/benchmark/table.md",
    "notebooks/*.ipynb",
    "notebooks/*.md",
]
exclude_patterns = ["build", "docs/slides"]
if slides:
    include_patterns, exclude_patterns = ["docs/slides/*.md"], []
extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx_revealjs",
]

# Markdown: anchors for headings, formulas in dollars; notebooks show what they hold, none runs.
myst_heading_anchors = 3
myst_enable_extensions = ["colon_fence", "deflist", "dollarmath", "substitution"]
nb_execution_mode = "off"

# Docstrings in NumPy's style.
default_role = "literal"
autodoc_default_options = {"members": True, "ignore-module-all": True}
autodoc_member_order = "bysource"
autodoc_typehints = "none"
napoleon_google_docstring = False
napoleon_use_param = False
napoleon_use_rtype = False

# What is needed to read the site is in it: no font, script or picture comes from elsewhere.
html_theme = "furo"
html_title = "d2l_autorec"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_additional_pages = {"index": "start.html"}  # leads to root_doc
templates_path = ["templates"]
html_copy_source = False
html_show_sphinx = False
html_math_renderer = "mathml"

# The lecture: 16 by 9, speaker's notes with the key s.
revealjs_style_theme = "white"
revealjs_static_path = ["static"]
revealjs_css_files = ["revealjs/plugin/highlight/zenburn.css", "slides.css"]
revealjs_script_conf = {
    "width": 1280,
    "height": 720,
    "margin": 0.03,
    "hash": True,
    "slideNumber": "c/t",
    "controls": False,
}
revealjs_script_plugins = [
    {"name": "RevealNotes", "src": "revealjs/plugin/notes/notes.js"},
    {"name": "RevealHighlight", "src": "revealjs/plugin/highlight/highlight.js"},
]


def _numbers() -> dict[str, Any]:
    """Return the numbers that the slides show, read from results/."""
    import pandas as pd

    from d2l_autorec.config import CHAPTER

    results = HERE.parent / "results"
    study = pd.read_csv(results / "study" / "summary.csv")
    compare = pd.read_csv(results / "compare" / "summary.csv").set_index("model")
    runs = pd.read_csv(results / "study" / "runs.csv").set_index("seed")
    return {
        "book": CHAPTER.test_rmse,
        "seed_0": f"{runs.loc[0, 'test_rmse']:.3f}",
        "study": study["value"][0],
        "compare": compare["random RMSE"].to_dict(),
    }


myst_substitutions = _numbers() if slides else {}


def setup(app: Any) -> None:
    """Connect what follows to Sphinx."""
    renderers = {"inline_renderers": (_inline, None), "block_renderers": (_block, None)}
    app.add_html_math_renderer("mathml", **renderers)
    app.connect("source-read", _contents)


def _contents(app: Any, docname: str, source: list[str]) -> None:
    """Put its table of contents at the end of a page."""
    if docname in CONTENTS:
        source[0] += "\n" + (HERE / CONTENTS[docname]).read_text(encoding="utf-8")


def _mathml(node: Any, display: str) -> str:
    """Return a formula as MathML, which browsers draw without a script; bars keep their height."""
    return convert(node.astext(), display=display).replace("<mo>&#x02016;", UPRIGHT)


def _inline(writer: Any, node: Any) -> None:
    """Write a formula within a line."""
    writer.body.append(_mathml(node, "inline"))
    raise SkipNode


def _block(writer: Any, node: Any) -> None:
    """Write a formula on a line of its own."""
    writer.body.append(f'<div class="formula">{_mathml(node, "block")}</div>')
    raise SkipNode
