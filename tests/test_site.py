"""The site's check of links, and what the lecture and the course pages promise."""

import re
import sys
from pathlib import Path

TOP = Path(__file__).parents[1]
sys.path.insert(0, str(TOP / ".ci"))

import links  # noqa: E402

LECTURE = (TOP / "docs" / "slides" / "lecture.md").read_text(encoding="utf-8")


def test_a_whole_site_has_no_faults_and_each_fault_is_named(tmp_path):
    (tmp_path / "sub").mkdir()
    style = tmp_path / "style.css"
    style.write_text("a { background: url(a.png) }", encoding="utf-8")
    page = tmp_path / "index.html"
    page.write_text(
        '<link rel="stylesheet" href="style.css"><a href="sub/b.html#here">b</a>'
        '<a href="https://d2l.ai">elsewhere</a><a href="#top">up</a>',
        encoding="utf-8",
    )
    (tmp_path / "sub" / "b.html").write_text('<h1 id="here">b</h1>', encoding="utf-8")
    assert links.faults(tmp_path) == []
    style.write_text("@import 'https://fonts.example/a.css'", encoding="utf-8")
    page.write_text(
        '<link rel="stylesheet" href="style.css?v=1"><a href="sub/b.html#there">b</a>'
        '<a href="c.html">c</a><script src="//cdn.example/x.js"></script>',
        encoding="utf-8",
    )
    assert sorted(links.faults(tmp_path)) == [
        "index.html links to c.html, which is not there",
        "index.html links to sub/b.html#there, where there is no such anchor",
        "index.html loads //cdn.example/x.js",
        "style.css loads https://fonts.example/a.css",
    ]


def test_the_lecture_takes_45_minutes_and_has_notes_with_questions():
    slides = re.split(r"^# ", LECTURE, flags=re.MULTILINE)[1:]
    assert 20 <= len(slides) <= 25
    notes = [re.search(r'<aside class="notes">\n\n(.*?)\n\n</aside>', s, re.S)[1] for s in slides]
    minutes = [int(re.match(r"(\d+) minutes?\.", note)[1]) for note in notes]
    assert sum(minutes) == 45
    questions = [re.search(r"Ask|Vote", note) for note in notes]
    assert questions.count(None) <= 2  # the ladder and the last


def test_the_teachers_page_has_each_lesson_with_its_minutes():
    page = (TOP / "docs" / "course" / "teaching.md").read_text(encoding="utf-8")
    for lesson in sorted((TOP / "notebooks").glob("[0-9]*.py")):
        minutes = re.search(r"^# \*(\d+) minutes", lesson.read_text(encoding="utf-8"), re.M)[1]
        assert f"| {lesson.stem} | {minutes} |" in page


def test_measured_numbers_are_not_typed_into_the_lecture_and_the_course():
    allowed = {
        "0.901",  # the book's, in the title of a page
        "0.895", "0.905",  # two papers that nobody wrote, in a question
        "0.000", "0.002",  # printed by d2l; the learning rate
    }  # fmt: skip
    pages = [LECTURE, *(p.read_text(encoding="utf-8") for p in TOP.glob("docs/course/*.md"))]
    assert len(pages) == 3
    for text in pages:
        assert set(re.findall(r"\d\.\d{3,}", text)) <= allowed
