"""A lesson's text becomes a student's version, and the student's work gets points."""

import jupytext
import pytest

from d2l_autorec.course import build
from d2l_autorec.errors import InputError

LESSON = '''\
# %% [markdown]
# # 1 · Small

# %%
STUDENT = 0

# %% task="double"
def double(x):
    """Return twice x."""
    ### BEGIN SOLUTION
    return 2 * x
    ### END SOLUTION


# %% check="double" points=1
assert double(1) == 2

# %% check="double" points=2
assert double(0) == 0
### BEGIN HIDDEN TESTS
assert double(STUDENT) == STUDENT + STUDENT
### END HIDDEN TESTS

# %% check="double" points=4
4 * (double(2) == 4) - (double(3) != 6)
'''


@pytest.fixture
def text(tmp_path):
    path = tmp_path / "01-small.py"
    path.write_text(LESSON, encoding="utf-8")
    return path


def test_marks_become_nbgrader_s(text):
    found = [cell.metadata.get("nbgrader") for cell in build.solution(text).cells]
    common = {"schema_version": 3, "task": False}
    check = {**common, "solution": False, "grade": True, "locked": True}
    assert found == [
        None,
        None,
        {**common, "grade_id": "double", "solution": True, "grade": False, "locked": False},
        {**check, "grade_id": "double-1", "points": 1},
        {**check, "grade_id": "double-2", "points": 2},
        {**check, "grade_id": "double-3", "points": 4},
    ]
    assert not any({"check", "points"} & set(cell.metadata) for cell in build.solution(text).cells)


@pytest.fixture
def course(text, tmp_path):
    pytest.importorskip("nbgrader")
    build.build([text], tmp_path / "course")
    return tmp_path / "course"


def hand_in(course, name, body):
    """Hand in the student's version with a body of the function."""
    path = course / "student" / "01-small" / "01-small.ipynb"
    notebook = jupytext.read(path)
    task = notebook.cells[2]
    task.source = task.source[: task.source.index("    # YOUR CODE")] + f"    return {body}"
    place = course / "submitted" / name / "01-small"
    place.mkdir(parents=True)
    jupytext.write(notebook, place / path.name)


def test_students_see_neither_solution_nor_hidden_tests_and_get_points_in_part(course):
    seen = (course / "student" / "01-small" / "01-small.ipynb").read_text(encoding="utf-8")
    assert "2 * x" not in seen and "STUDENT + STUDENT" not in seen and "double(0) == 0" in seen
    hand_in(course, "all", "x + x")
    hand_in(course, "some", "x if x == 0 else 2 if x == 1 else 4")
    for name in ("all", "some"):
        build.autograde(course, "01-small", name)
    found = build.points(course)
    assert found["all", "01-small"] == {"double-1": (1, 1), "double-2": (2, 2), "double-3": (4, 4)}
    assert found["some", "01-small"] == {
        "double-1": (1, 1),
        "double-2": (2, 2),
        "double-3": (3, 4),
    }


def test_grading_ends_with_what_is_wrong_with_the_course(course, capsys):
    build.grade(course)
    assert "01-small: solution 7 of 7 points, untouched 0" in capsys.readouterr().out
    source = course / "solution" / "01-small" / "01-small.ipynb"
    source.write_text(source.read_text(encoding="utf-8").replace("2 * x", "3 * x"))
    with pytest.raises(InputError, match="the solution fails double-1"):
        build.grade(course)


def test_what_students_handed_in_is_not_deleted(text, course):
    hand_in(course, "ada", "2 * x")
    with pytest.raises(InputError, match=r"1 student\(s\), such as ada, and would be deleted"):
        build.build([text], course)
    assert (course / "submitted" / "ada" / "01-small" / "01-small.ipynb").is_file()


def test_grading_ends_where_there_are_no_lessons(tmp_path, monkeypatch):
    (tmp_path / "student").mkdir()
    monkeypatch.setattr(build, "points", lambda course: {})
    build.grade(tmp_path)
