"""One HTML page, with nothing outside of itself, from whatever stands under ``results/``."""

from __future__ import annotations

import base64
import json
import math
from html import escape
from pathlib import Path
from typing import Any

from d2l_autorec import __version__, runs
from d2l_autorec.errors import InputError
from d2l_autorec.experiments.headline import HEADINGS, headline

TITLES = {
    "study": "Is 0.901 right?",
    "compare": "Does AutoRec beat matrix factorization?",
    "exercises": "The book's exercises",
    "paper": "What does the paper say?",
    "best": "How good can an AutoRec get?",
    "fidelity": "Where the code differs from the formula and the paper",
    "foldin": "A user who was not in training",
    "benchmark": "What does it cost?",
}
MOST_ROWS = 80
OPEN_ROWS = 20  # a longer table is folded up
LONG_TEXT = 36  # characters; such a cell may have several lines

_STYLE = """
body { font: 17px/1.55 Georgia, serif; color: #1b1b1b; background: #fff; margin: 0 auto;
       max-width: 46rem; padding: 1.5rem 1rem 4rem; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 1rem 0 .5rem; }
h2 { font-size: 1.35rem; margin: 3rem 0 .3rem; }
nav a { display: inline-block; margin: 0 1rem .2rem 0; }
a { color: #0b57a4; }
.question { font-style: italic; color: #444; margin: .2rem 0 1rem; }
figure { margin: 1.2rem 0; }
img { max-width: 100%; height: auto; display: block; margin: 0 auto; }
.table { overflow-x: auto; margin: 1rem 0; }
table { border-collapse: collapse; font: 14px/1.4 system-ui, sans-serif; min-width: 50%; }
caption { text-align: left; color: #555; padding-bottom: .3rem; }
th, td { padding: .25rem .6rem; border-bottom: 1px solid #ddd; text-align: right;
         font-variant-numeric: tabular-nums; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
td.text { text-align: left; }
td.long { white-space: normal; min-width: 14rem; }
th { border-bottom: 2px solid #888; }
pre { font: 14px/1.4 ui-monospace, monospace; background: #f4f4f1; padding: .6rem .8rem;
      overflow-x: auto; }
@media (max-width: 40rem) { figure { overflow-x: auto; }
  img { max-width: none; width: 40rem; }
  table { font-size: 12.5px; } th, td { padding: .2rem .35rem; } td.text { white-space: normal; } }
details { font: 14px/1.4 system-ui, sans-serif; color: #444; }
footer { margin-top: 3rem; font: 13px/1.4 system-ui, sans-serif; color: #666; }
"""


def write_report(results: Path, out: Path) -> list[str]:
    """Write the page.

    Parameters
    ----------
    results : Path
        Folder with a folder for each experiment, as ``runner.save_results`` leaves them.
    out : Path
        The HTML file.

    Returns
    -------
    list of str
        Names of the experiments in it.

    Raises
    ------
    InputError
        If there are none, one of them is damaged, or the file cannot be written.
    """
    found = {path.parent.name: path for path in sorted(results.glob("*/experiment.json"))}
    names = [name for name in TITLES if name in found]
    names += [name for name in found if name not in TITLES]
    if not names:
        raise InputError(
            f"{results} holds no results; run d2l-autorec study first, or name the folder with "
            "--results."
        )
    sections = [_section(name, found[name]) for name in names]
    links = "".join(f'<a href="#{escape(name)}">{escape(_title(name))}</a> ' for name in names)
    page = f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>AutoRec, reproduced</title>
<style>{_STYLE}</style>
</head>
<body>
<h1>AutoRec, reproduced</h1>
<p>The chapter “AutoRec: Rating Prediction with Autoencoders” of <em>Dive into Deep Learning</em>
trains a small network on MovieLens 100K and prints a test RMSE of 0.901. Here is what came out
when that was run again, many times, and set beside other models, other settings and the paper it
comes from. RMSE is in stars, pooled over the held-out ratings, and lower is better. A number from
several runs is given as mean ± half the width of its 95% interval (number of runs); splits of one
data set overlap, so the interval is about the luck of the split.</p>
{_headline(results)}<nav>{links}</nav>
{"".join(sections)}
<footer>d2l_autorec {escape(__version__)}. Each section names the command that made it. The ratings
themselves are GroupLens's and are not in this page.</footer>
</body>
</html>
"""
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        runs.write(out, page)
    except OSError as error:
        raise InputError(
            f"--out {out} cannot be written ({error.strerror}); name another."
        ) from None
    return names


def _headline(results: Path) -> str:
    rows = headline(results)
    if len(rows) < 2:
        return ""
    head = "".join(f"<th>{escape(heading)}</th>" for heading in HEADINGS)
    body = "".join(f"<tr>{_cell(what)}<td>{escape(value)}</td></tr>\n" for what, value in rows)
    return (
        f'<div class="table"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>\n{body}</tbody></table></div>\n"
    )


def _title(name: str) -> str:
    return TITLES.get(name, name)


def _section(name: str, path: Path) -> str:
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        answer = "".join(f"<p>{escape(sentence)}</p>" for sentence in record["answer"])
        figures = "".join(_figure(path.parent / f"{stem}.png") for stem in record["figures"])
        tables = "".join(_table(path.parent / f"{stem}.csv") for stem in record["tables"])
        settings = {**record["settings"], "versions": record["versions"]}
        return f"""<section id="{escape(name)}">
<h2>{escape(_title(name))}</h2>
<p class="question">{escape(record["question"])}</p>
{answer}{figures}{tables}
<pre>$ {escape(record["command"])}</pre>
<details><summary>Settings and versions</summary><pre>{
            escape(json.dumps(settings, indent=1, ensure_ascii=False))
        }</pre></details>
</section>
"""
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path} is damaged or incomplete ({error!r}); run that experiment again."
        ) from None


def _figure(path: Path) -> str:
    image = base64.b64encode(path.read_bytes()).decode()
    return (
        f'<figure><img alt="{escape(path.stem)}" src="data:image/png;base64,{image}"></figure>\n'
    )


def _table(path: Path) -> str:
    import pandas as pd

    table = pd.read_csv(path)
    same = {
        name: table[name].iloc[0]
        for name in table.columns[1:]
        if len(table) > 2 and table[name].nunique(dropna=False) == 1
    }
    caption = [path.name, *(f"{name} {_text(value)}" for name, value in same.items())]
    if len(table) > MOST_ROWS:
        caption.append(f"the first {MOST_ROWS} of {len(table)} rows")
    shown = table.drop(columns=list(same)).head(MOST_ROWS)
    head = "".join(f"<th>{escape(str(column))}</th>" for column in shown.columns)
    body = "".join(
        "<tr>" + "".join(_cell(value) for value in row) + "</tr>\n"
        for row in shown.itertuples(index=False)
    )
    said = escape(", ".join(caption))
    grid = f"<thead><tr>{head}</tr></thead><tbody>\n{body}</tbody></table></div>\n"
    if len(shown) > OPEN_ROWS:
        return f'<details><summary>{said}</summary><div class="table"><table>{grid}</details>\n'
    return f'<div class="table"><table><caption>{said}</caption>{grid}'


def _cell(value: Any) -> str:
    if isinstance(value, str):
        kind = "text long" if len(value) > LONG_TEXT else "text"
        return f'<td class="{kind}">{escape(value)}</td>'
    return f"<td>{escape(_text(value))}</td>"


def _text(value: Any) -> str:
    return value if isinstance(value, str) else _number(value)


def _number(value: Any) -> str:
    """Show a number with as many digits as a reader can use."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, (bool, int)) or float(value).is_integer():
        return f"{value:,.0f}" if not isinstance(value, bool) else str(value)
    if abs(value) >= 100:
        return f"{value:,.1f}"
    return f"{value:.4f}" if abs(value) >= 0.001 else f"{value:.2g}"
