"""The main numbers of ``results/``, which the README and the report show."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from d2l_autorec.config import CHAPTER

HEADINGS = ("what was run", "test RMSE")
COMPARED = (
    "AutoRec, ours at best",
    "myFM, SVD++ features",
    "myFM",
    "AutoRec, the chapter's, tuned",
    "AutoRec, the chapter's",
    "Surprise SVD",
    "Surprise SVD++",
    "MF, the book's, tuned",
    "MF, the book's",
)
SEARCHED = "AutoRec, a blend, recipes searched inside"
SHORT = (SEARCHED, "myFM, SVD++ features", "AutoRec, the chapter's", "MF, the book's")
"""Those of them in the README."""


def headline(results: Path) -> list[tuple[str, str]]:
    """Return the main numbers from a folder with the experiments.

    Each is what was run, and its test RMSE with the 95% interval and the number of splits.
    Experiments without results are left out.
    """
    rows = [("the book, one split", CHAPTER.test_rmse)]
    paths = ("study/summary", "best/nested", "compare/summary", "paper/summary")
    study, nested, compare, paper = (
        pd.read_csv(path) if (path := results / f"{name}.csv").exists() else None for name in paths
    )
    if study is not None:
        rows.append(("the chapter's code, other splits", str(study.iloc[0, 1])))
    if nested is not None:
        found = nested.loc[nested["recipes"] == "blend, searched inside", "test RMSE"]
        rows.append((f"on the same ratings: {SEARCHED}", found.item()))
    if compare is not None:
        for model, rmse in zip(compare["model"], compare["random RMSE"]):
            if model in COMPARED:
                rows.append((f"on the same ratings: {model}", rmse))
    if paper is not None:
        for _, row in paper[paper["the paper"].notna()].iterrows():
            what = f"{row['data']}: {row['model']}, the paper's {row['the paper']}"
            rows.append((what, row["test RMSE"]))
    return rows


def short(results: Path) -> list[tuple[str, str]]:
    """Return the rows of the README: MovieLens 100K, with some of the models."""
    wanted = {f"on the same ratings: {model}" for model in SHORT}
    rows = headline(results)
    return [row for place, row in enumerate(rows) if place < 2 or row[0] in wanted]


def markdown(rows: list[tuple[str, str]]) -> str:
    """Return the rows as the table of the README."""
    lines = [f"| {' | '.join(HEADINGS)} |", "| --- | ---: |"]
    return "\n".join([*lines, *(f"| {what} | {value} |" for what, value in rows)]) + "\n"
