"""Makes an nbgrader course of the lessons, and grades it: ``python -m d2l_autorec.course.build``.

The text of a lesson is a notebook in jupytext's percent format. Two kinds of cells are marked:

``# %% task="name"``
    The student writes here. What stands between ``### BEGIN SOLUTION`` and ``### END SOLUTION`` is
    taken out of the student's version.
``# %% check="name" points=2``
    Points for that task. It raises an error if the task is not done, or its last line is the
    number of points. What stands between ``### BEGIN HIDDEN TESTS`` and ``### END HIDDEN TESTS``
    the student does not see.
"""

from __future__ import annotations

import ast
import collections
import multiprocessing
import os
import re
import shutil
import sys
import warnings
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from d2l_autorec.errors import InputError

CONFIG = """\
c = get_config()
c.CourseDirectory.course_id = "autorec"
c.CourseDirectory.source_directory = "solution"
c.CourseDirectory.release_directory = "student"
c.ExecutePreprocessor.iopub_timeout = 30
"""
"""What nbgrader reads. A busy machine takes more than the usual 4 seconds to import MXNet."""
NAME = "nbgrader_config.py"
NUMBER = "STUDENT = 0"
ANOTHER = "STUDENT = 7"
TRIAL = {"solution": "solution", "untouched": "student"}
"""Two made students, and the folders of what they hand in."""


def solution(text: Path) -> Any:
    """Read a lesson's text as the notebook that nbgrader makes all else of."""
    import jupytext

    notebook = jupytext.read(text)
    seen: dict[str | None, int] = collections.Counter()
    for number, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{number}"
        task, check = (cell.metadata.pop(mark, None) for mark in ("task", "check"))
        if task or check:
            seen[check] += 1
            cell.metadata["nbgrader"] = {
                "schema_version": 3,
                "grade_id": task or f"{check}-{seen[check]}",
                "solution": bool(task),
                "grade": bool(check),
                "locked": bool(check),
                "task": False,
            }
        if check:
            cell.metadata["nbgrader"]["points"] = cell.metadata.pop("points")
    return notebook


def _api(course: Path) -> Any:
    from nbgrader.apps import NbGraderAPI
    from traitlets.config import Config

    # nbgrader starts alembic by name, whether or not the environment is activated
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    warnings.filterwarnings("ignore", "Object of type .* not in session")  # nbgrader's own
    settings = Config()
    settings.CourseDirectory.root = str(course.resolve())
    for line in (course / NAME).read_text(encoding="utf-8").splitlines()[1:]:
        name, value = line.split(" = ")
        _, group, option = name.split(".")
        settings[group][option] = ast.literal_eval(value)
    return NbGraderAPI(config=settings)


def _done(result: dict[str, Any]) -> None:
    if not result["success"]:
        raise InputError(f"nbgrader: {result['log']}\n{result['error']}")


def build(texts: list[Path], course: Path) -> None:
    """Write a course folder: ``solution/``, ``student/`` and the gradebook.

    A folder that holds what students handed in is left alone, with an InputError.
    """
    import nbformat

    handed_in = sorted({path.name for path in course.glob("submitted/*")} - set(TRIAL))
    if handed_in:
        raise InputError(
            f"{course / 'submitted'} holds the work of {len(handed_in)} student(s), such as "
            f"{handed_in[0]}, and would be deleted: grade in a copy of {course}."
        )
    shutil.rmtree(course, ignore_errors=True)
    course.mkdir(parents=True)
    (course / NAME).write_text(CONFIG, encoding="utf-8")
    api = _api(course)
    for text in texts:
        folder = course / "solution" / text.stem
        folder.mkdir(parents=True)
        nbformat.write(solution(text), folder / f"{text.stem}.ipynb")
        _done(api.generate_assignment(text.stem))


def points(course: Path) -> dict[tuple[str, str], dict[str, tuple[float, float]]]:
    """Return, for each student and lesson, the points got and to be had of every check."""
    from nbgrader.api import Gradebook

    found: dict[tuple[str, str], dict[str, tuple[float, float]]] = {}
    with Gradebook(f"sqlite:///{course / 'gradebook.db'}") as book:
        for assignment in book.assignments:
            for submission in book.assignment_submissions(assignment.name):
                grades = [grade for one in submission.notebooks for grade in one.grades]
                found[submission.student.id, assignment.name] = {
                    grade.name: (grade.auto_score or 0.0, grade.max_score) for grade in grades
                }
    return found


def autograde(course: Path, lesson: str, student: str) -> None:
    """Run what a student handed in, and put the points into the gradebook."""
    _done(_api(course).autograde(lesson, student))


def grade(course: Path) -> None:
    """Hand in the solution, with another number, and the untouched student version; grade both.

    An InputError is raised unless the one gets all points and the other none.
    """
    lessons = sorted(path.name for path in (course / "student").iterdir())
    shutil.rmtree(course / "submitted", ignore_errors=True)
    pairs = [(lesson, student) for lesson in lessons for student in TRIAL]
    for lesson, student in pairs:
        own, place = Path(lesson, f"{lesson}.ipynb"), course / "submitted" / student
        text = (course / TRIAL[student] / own).read_text(encoding="utf-8")
        (place / lesson).mkdir(parents=True)
        (place / own).write_text(text.replace(NUMBER, ANOTHER), encoding="utf-8")
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as pool:
        list(pool.map(partial(autograde, course), *zip(*pairs)))
    found = points(course)
    wrong = []
    for lesson in lessons:
        full, none = found["solution", lesson], found["untouched", lesson]
        total = sum(most for _, most in full.values())
        by_solution, by_untouched = (sum(got for got, _ in each.values()) for each in (full, none))
        print(
            f"{lesson}: solution {by_solution:g} of {total:g} points, untouched {by_untouched:g}"
        )
        for name, (got, most) in full.items():
            if got < most:
                wrong.append(f"{lesson}: the solution fails {name}")
        wrong += [f"{lesson}: {name} asks for nothing" for name, (got, _) in none.items() if got]
    if wrong:
        raise InputError("\n".join(wrong))


def main(folder: str, course: str, *words: str) -> None:
    """Build the course of a folder's lessons; with ``grade``, grade it too."""
    texts = [path for path in sorted(Path(folder).glob("*.py")) if re.match(r"\d\d-", path.name)]
    build(texts, Path(course))
    if words == ("grade",):
        grade(Path(course))


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except InputError as error:
        sys.exit(str(error))
