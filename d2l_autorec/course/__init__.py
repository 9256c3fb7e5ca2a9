"""The course: a checker for a student's AutoRec, and the mistakes that people make.

`check` and `check_file` run a student's class and evaluator in a process of its own and say what
is right and what is not. `mistakes` holds eight wrong versions, each of which runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from d2l_autorec.course.checker import check, check_file
    from d2l_autorec.course.report import Report

__all__ = ["Report", "check", "check_file"]


def __getattr__(name: str) -> Any:
    """Import the checker on first use; the student's process never does (PEP 562)."""
    if name in __all__:
        from d2l_autorec.course import checker

        return getattr(checker, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
