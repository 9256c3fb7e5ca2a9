"""The ledger of departures in Markdown, with the numbers of ``results/fidelity/summary.csv``.

The texts are in ``templates/departures.toml`` and ``templates/fidelity.md``.
"""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd
from jinja2 import Template

from d2l_autorec.config import CHAPTER
from d2l_autorec.experiments.report import render
from d2l_autorec.experiments.sections import texts
from d2l_autorec.experiments.stats import Interval


@dataclass(frozen=True)
class Departure:
    """One line of the ledger: a departure of the printed code.

    Attributes
    ----------
    key : str
        Its row in the summary.
    printed, elsewhere : str
        What the printed code does; what the formula, the paper or good practice does.
    anchor : str
        Where it can be switched: ``module:function`` or ``module:function:argument``.
    short : str
        The label in the figure, for the code with the departure undone. Empty if not drawn.
    effect : str
        The measured effect; by default the difference.
    """

    key: str
    printed: str
    elsewhere: str
    anchor: str
    short: str = ""
    effect: str = "{{ n.less(key) }}"

    def row(self, n: Numbers) -> str:
        """Return the line of a Markdown table, with the numbers in its texts."""
        lam = CHAPTER.wd * 943 * 1682  # both sides of the objective times 2 x users x items
        printed, elsewhere, effect = (
            Template(text).render(n=n, key=self.key, chapter=CHAPTER, lam=lam)
            for text in (self.printed, self.elsewhere, self.effect)
        )
        module, name, *argument = self.anchor.split(":")
        path = f"d2l_autorec/{module.replace('.', '/')}.py"
        switch = f"`{name}{f'({argument[0]})' if argument else ''}` in [{path}](../{path})"
        return f"| {printed} | {elsewhere} | {effect} | {switch} |"


TABLES = {
    name: [Departure(**entry) for entry in entries]
    for name, entries in texts("departures.toml").items()
}
DEPARTURES = TABLES["departures"]
"""Those that can change the test RMSE."""


class Numbers:
    """The numbers of the summary, as the texts show them."""

    def __init__(self, summary: pd.DataFrame) -> None:
        self.rows = {row["key"]: row for row in summary.to_dict("records")}

    def mean(self, key: str, form: str = ".4f", scale: float = 1.0) -> str:
        """Return a mean."""
        return f"{self.rows[key]['value'] * scale:{form}}"

    def rmse(self, key: str) -> str:
        """Return a mean with its interval and number of runs."""
        row = self.rows[key]
        return str(Interval(row["value"], row["sd"], row["value_half_width"], int(row["n"])))

    def less(self, key: str) -> str:
        """Return a paired difference with its sign and interval."""
        row = self.rows[key]
        difference = round(row["difference"], 4) + 0.0  # no minus before zero
        return f"{difference:+.4f} ± {row['difference_half_width']:.4f}"

    def span(self, key: str, form: str = ",.0f") -> str:
        """Return the smallest and the largest value."""
        row = self.rows[key]
        return f"{row['low']:{form}} to {row['high']:{form}}"


def ledger(summary: pd.DataFrame, picture: str = "../results/fidelity/summary.png") -> str:
    """Return the ledger in Markdown, with the largest effects first.

    ``summary`` is from `fidelity.summarize`, and ``picture`` the figure as seen from the ledger.
    """
    n = Numbers(summary)
    by_size = sorted(DEPARTURES, key=lambda one: -abs(n.rows[one.key]["difference"]))
    by_size.sort(key=lambda one: one.key == "centred_sign")  # the last, whatever its size
    ordered = {**TABLES, "departures": by_size}
    rows = {name: [one.row(n) for one in part] for name, part in ordered.items()}
    return render("fidelity.md", n=n, picture=picture, chapter=CHAPTER, **rows)
