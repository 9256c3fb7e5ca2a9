"""The ledger of departures in Markdown, with the numbers of ``results/fidelity/summary.csv``.

The texts are in `fidelity_departures` and in ``templates/fidelity.md``.
"""

from __future__ import annotations

import pandas as pd
from jinja2 import Template

from d2l_autorec.config import CHAPTER
from d2l_autorec.experiments.fidelity_departures import (
    DEPARTURES,
    FACTORIZATION,
    PRINTED,
    Departure,
)
from d2l_autorec.experiments.report import render
from d2l_autorec.experiments.stats import Interval


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
    parts = {"departures": by_size, "printed": PRINTED, "factorization": FACTORIZATION}
    tables = {name: [_row(one, n) for one in part] for name, part in parts.items()}
    return render("fidelity.md", n=n, picture=picture, chapter=CHAPTER, **tables)


def _row(one: Departure, n: Numbers) -> str:
    """Return a line of a Markdown table."""
    effect = Template(one.effect).render(n=n, key=one.key)
    module, name, *argument = one.anchor.split(":")
    path = f"d2l_autorec/{module.replace('.', '/')}.py"
    switch = f"`{name}{f'({argument[0]})' if argument else ''}` in [{path}](../{path})"
    return f"| {one.printed} | {one.elsewhere} | {effect} | {switch} |"
