"""The main numbers of ``results/``, for the README and the report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from d2l_autorec.config import CHAPTER

if TYPE_CHECKING:
    import pandas as pd

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


def headline(results: Path) -> list[tuple[str, str]]:
    """Return the main numbers. Experiments without results are left out.

    Parameters
    ----------
    results : Path
        Folder with the experiments.

    Returns
    -------
    list of (str, str)
        What was run, and its test RMSE with the 95% interval and the number of splits.
    """
    rows = [("the book, one split", CHAPTER.test_rmse)]
    study, compare, paper = (_table(results, name) for name in ("study", "compare", "paper"))
    if study is not None:
        rows.append(("the chapter's code, other splits", str(study.iloc[0, 1])))
    if compare is not None:
        chosen = compare[compare["model"].isin(COMPARED)]
        rows += [
            (f"on the same ratings: {model}", rmse)
            for model, rmse in zip(chosen["model"], chosen["random RMSE"])
        ]
    if paper is not None:
        for _, row in paper[paper["the paper"].notna()].iterrows():
            what = f"{row['data']}: {row['model']}, the paper's {row['the paper']}"
            rows.append((what, row["test RMSE"]))
    return rows


def markdown(rows: list[tuple[str, str]]) -> str:
    """Return the rows as the table of the README."""
    lines = [f"| {' | '.join(HEADINGS)} |", "| --- | ---: |"]
    return "\n".join([*lines, *(f"| {what} | {value} |" for what, value in rows)]) + "\n"


def _table(results: Path, name: str) -> pd.DataFrame | None:
    import pandas as pd

    path = results / name / "summary.csv"
    return pd.read_csv(path) if path.exists() else None
