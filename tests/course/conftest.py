import os

import pytest


@pytest.fixture(autouse=True)
def one_thread(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", os.environ.get("OMP_NUM_THREADS", "1"))


@pytest.fixture
def submit(tmp_path):
    """Check a text as a submission, and say what was not right."""
    from d2l_autorec.course import check_file

    def submit(text, **settings):
        path = tmp_path / "my_autorec.py"
        path.write_text(text, encoding="utf-8")
        report = check_file(path, **settings)
        wrong = {f.check: f.message for f in report.findings if f.state == "wrong"}
        return report, wrong

    return submit
