"""The frame of every experiment: run what is not stored yet, and save what the runs say."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from d2l_autorec.data.formats import Ratings
from d2l_autorec.experiments import runner
from d2l_autorec.experiments.runner import Job
from d2l_autorec.experiments.stats import Interval
from d2l_autorec.experiments.stored import refuse_to_shrink, save_results


@dataclass
class Experiment:
    """Where an experiment keeps its runs and results, and how they are made.

    Attributes
    ----------
    folder : Path
        Of the results. Runs that are stored there are not repeated.
    quiet : bool
        Show no progress.
    quick : bool
        A smoke run, which draws no conclusion.
    processes : int, optional
        One for each core by default.
    command : str
        The command that makes these results, from `begin`.
    notes : list of str
        Sentences to print below all others.
    """

    folder: Path
    quiet: bool = False
    quick: bool = False
    processes: int | None = None
    command: str = ""
    notes: list[str] = field(default_factory=list)

    @property
    def stop(self) -> int | None:
        """The last epoch of a smoke run."""
        return 1 if self.quick else None

    def begin(self, command: str, options: str, **rows: int) -> None:
        """Note the command, or raise an InputError if it would leave less than is stored."""
        self.command = f"d2l-autorec {command} {'--quick' if self.quick else options}"
        refuse_to_shrink(self.folder, self.command, **rows)

    def run(
        self,
        function: Callable[[Job], Mapping[str, Any]],
        jobs: Sequence[Job],
        ratings: Ratings,
        label: str = "",
        place: str = "",
        processes: int | None = None,
    ) -> pd.DataFrame:
        """Return the runs of some jobs, a row for each; see `runner.run_jobs`.

        ``label`` says what is run, and ``place`` is the folder of these runs below the results.
        """
        return runner.run_jobs(
            self.folder / place,
            function,
            jobs,
            data_digest=ratings.digest,
            label=": ".join(filter(None, [self.command.split()[1], label])),
            quiet=self.quiet,
            processes=processes or self.processes,
        )

    def has(self, jobs: Sequence[Job], ratings: Ratings, place: str = "") -> bool:
        """Return whether the runs of all of these jobs are stored."""
        return all(runner.are_stored(self.folder / place, jobs, ratings.digest))

    def first(
        self, jobs: Sequence[dict[str, Any]], count: int, ratings: Ratings, place: str = ""
    ) -> list[dict[str, Any]]:
        """Return the first ``count`` of some jobs, and those after them that are stored."""
        stored = runner.are_stored(self.folder / place, jobs, ratings.digest)
        while count < len(jobs) and all(stored[: count + 1]):
            count += 1
        return list(jobs[:count])

    def save(
        self,
        question: str,
        answer: Sequence[str],
        settings: Mapping[str, Any],
        tables: Mapping[str, pd.DataFrame],
        figures: Mapping[str, Figure] | None = None,
    ) -> list[str]:
        """Write the results and return the answer; see `stored.save_results`."""
        return save_results(
            self.folder, self.command, question, answer, settings, tables, figures or {}
        )


def by_model(runs: pd.DataFrame, column: str = "test_rmse") -> dict[str, np.ndarray]:
    """Return what was measured of each model, in the order of the seeds."""
    ordered = runs.sort_values("seed", kind="stable")
    parts = {name: ordered[column][ordered["model"] == name] for name in runs["model"].unique()}
    return {str(name): own.to_numpy() for name, own in parts.items()}


def frame(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> pd.DataFrame:
    """Make a table of rows; an interval becomes text, ``mean ± half-width (n)``."""
    cells = [[str(c) if isinstance(c, Interval) else c for c in row] for row in rows]
    return pd.DataFrame(cells, columns=list(columns))
