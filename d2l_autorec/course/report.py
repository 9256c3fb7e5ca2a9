"""What a checked submission is told, and how many points it gets."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from d2l_autorec.errors import plain

RIGHT, WRONG, NOT_REACHED = "right", "wrong", "not reached"


class Check(NamedTuple):
    """One thing that is looked at."""

    points: int
    title: str
    see: str
    needs: tuple[str, ...] = ()


CHECKS = {
    "file": Check(5, "The file runs and defines AutoRec and evaluator", "the interface"),
    "class": Check(5, "AutoRec(num_hidden, num_users, dropout) builds", "the network"),
    "shape": Check(5, "The output has the shape of the input", "the decoder", ("class",)),
    "activation": Check(
        15, "The activations are where they belong", "encoder and decoder", ("shape",)
    ),
    "mask": Check(15, "Unknown ratings are masked in training", "the mask", ("shape",)),
    "gradient": Check(10, "Unknown ratings give no gradient", "the mask", ("mask",)),
    "prediction": Check(
        10, "Unknown ratings are predicted", "training and prediction", ("shape",)
    ),
    "dropout": Check(10, "Dropout acts when it should", "training and prediction", ("shape",)),
    "training": Check(
        5,
        "It learns small synthetic ratings",
        "the curve",
        ("activation", "mask", "gradient", "prediction", "dropout"),
    ),
    "rows": Check(5, "The evaluator shows the network its training rows", "the evaluator"),
    "score": Check(10, "The evaluator scores the held-out ratings", "the evaluator", ("rows",)),
    "devices": Check(5, "Two devices give what one gives", "the evaluator", ("shape", "score")),
    "movielens": Check(10, "It learns MovieLens 100K", "the curve", ("training",)),
}


# What each layer of the containment guards, for the sentence where one does not hold.
GUARDS = {
    "RLIMIT_AS": "memory",
    "RLIMIT_FSIZE": "the size of files",
    "landlock": "files, from C code",
    "seccomp": "processes and the network, from C code",
}


@dataclass(frozen=True)
class Finding:
    """The outcome of one check.

    Attributes
    ----------
    check : str
        A key of `CHECKS`.
    state : str
        "right", "wrong" or "not reached".
    message : str
        What was seen, what it means and where to read on; empty where all is right.
    """

    check: str
    state: str
    message: str = ""

    @property
    def total(self) -> int:
        """Points to be had."""
        return CHECKS[self.check].points

    @property
    def points(self) -> int:
        """Points got."""
        return self.total if self.state == RIGHT else 0


@dataclass(frozen=True)
class Report:
    """The verdict on a submission. Printed, it is the text that a student reads.

    Attributes
    ----------
    name : str
        Of the file, or of the class.
    findings : list of Finding
        In the order of `CHECKS`.
    refused : list of str
        What the submission tried and was refused, as far as its own process tells.
    held : list of str
        What contained it; see `d2l_autorec.course.containment`.
    seed : int
        What the arrays were drawn from.
    """

    name: str
    findings: list[Finding]
    refused: list[str] = field(default_factory=list)
    held: list[str] = field(default_factory=list)
    seed: int = 0

    @property
    def points(self) -> int:
        """Points got."""
        return sum(finding.points for finding in self.findings)

    @property
    def total(self) -> int:
        """Points to be had."""
        return sum(finding.total for finding in self.findings)

    @property
    def passed(self) -> bool:
        """Whether all is right."""
        return self.points == self.total

    @property
    def not_held(self) -> list[str]:
        """What this system does not guard; see `d2l_autorec.course.containment`."""
        return [guarded for layer, guarded in GUARDS.items() if layer not in self.held]

    def finding(self, check: str) -> Finding:
        """Return the outcome of one check."""
        return next(finding for finding in self.findings if finding.check == check)

    def as_record(self) -> dict[str, Any]:
        """Return what a grader reads, ready for JSON."""
        checks = [
            {
                "check": finding.check,
                "title": CHECKS[finding.check].title,
                "state": finding.state,
                "points": finding.points,
                "total": finding.total,
                "message": finding.message,
            }
            for finding in self.findings
        ]
        return {
            "submission": self.name,
            "passed": self.passed,
            "points": self.points,
            "total": self.total,
            "checks": checks,
            "refused": self.refused,
            "contained_by": self.held,
            "not_contained": self.not_held,
            "seed": self.seed,
        }

    def __str__(self) -> str:
        lines = [f"{plain(self.name)}: {self.points} of {self.total} points", ""]
        for finding in self.findings:
            share = f"{finding.points}/{finding.total}"
            title = CHECKS[finding.check].title
            lines.append(f"{finding.state:<11}  {share:>5}  {title}")
            if finding.message:
                lines += textwrap.wrap(
                    finding.message, 80, initial_indent=" " * 13, subsequent_indent=" " * 13
                )
        if self.refused:
            lines += ["", *textwrap.wrap("Refused: " + "; ".join(map(plain, self.refused)), 80)]
        if self.not_held:
            warning = f"This system does not guard: {'; '.join(self.not_held)}."
            lines += ["", *textwrap.wrap(warning, 80)]
        return "\n".join(lines)

    __repr__ = __str__
