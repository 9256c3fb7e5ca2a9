"""The scripts that try the package on bare machines: what they read and what they conclude."""

import json
import sys
from pathlib import Path

import pytest

TOP = Path(__file__).parents[1]
sys.path.insert(0, str(TOP / ".ci"))

import container  # noqa: E402
import fresh  # noqa: E402
import roots  # noqa: E402


@pytest.mark.parametrize(
    ("log", "code", "said"),
    [
        ("==== 3 passed, 1 skipped in 2.00s ====\n", 0, "3 passed, 1 skipped"),
        ("==== 1 failed, 3 passed in 2.00s ====\n", 1, "FAILED, 1 failed, 3 passed"),
        ("===== 712 passed in 431.20s (0:07:11) =====\n", 0, "712 passed"),
        ("  test RMSE        0.901      0.900\n", 0, "test RMSE 0.900"),
        ("make: *** [Makefile:48: .venv/installed] Error 1\n", 2, "FAILED, exit code 2"),
        ("==== 3 passed in 2.00s ====\nmake: *** Error 1\n", 2, "FAILED, 3 passed"),
        ("", 0, "exit code 0"),
    ],
)
def test_the_outcome_of_a_command(log, code, said):
    assert fresh.outcome(log, code) == said


def test_the_table_keeps_the_rows_of_other_runs(tmp_path):
    row = dict(zip(fresh.COLUMNS, ("debian12", "3.11.2", "make test", "31", "3 passed")))
    assert fresh.markdown([row]).splitlines()[2] == (
        "| debian12 | 3.11.2 | make test | 31 | 3 passed |"
    )
    (tmp_path / "table.csv").write_text(
        "machine,Python,command,seconds,result\n"
        "debian12,3.11.2,make test,9,2 passed\ndebian11,3.9.2,make test,8,2 passed\n"
    )
    other, own = fresh.merged(tmp_path, [row])
    assert own == row and (other["machine"], other["seconds"]) == ("debian11", "8")
    assert fresh.merged(tmp_path / "none", [row]) == [row]


@pytest.mark.parametrize(
    ("name", "text", "mirror"),
    [
        ("sources.list", "deb http://a.example/debian bookworm main\n", "http://a.example/debian"),
        (
            "sources.list",
            "# deb http://no.example/debian x main\n"
            "deb [arch=amd64 signed-by=/k] https://b.example/x/debian/ trixie main\n",
            "https://b.example/x/debian",
        ),
        (
            "sources.list.d/debian.sources",
            "Types: deb\nURIs: http://c.example/debian-security\n\n"
            "Types: deb\nURIs: http://c.example/debian\nSuites: trixie\n",
            "http://c.example/debian",
        ),
        ("sources.list.d/other.list", "deb https://d.example/apt x main\n", roots.DEBIAN),
    ],
)
def test_the_mirror_is_the_one_of_this_machine(tmp_path, name, text, mirror):
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / name).write_text(text)
    assert roots.mirror(tmp_path) == mirror


def test_package_folders_of_the_machine_are_found_in_its_settings(tmp_path, monkeypatch):
    for name in ("wheels", "index/simple", "index/files"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "pip.conf").write_text(
        f"[global]\nextra-index-url = file://{tmp_path}/index/simple https://e.example/simple\n"
        f"find-links = {tmp_path}/nothing\n"
    )
    for name in ("PIP_FIND_LINKS", "PIP_CERT", "SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "wheels"))
    found = roots.package_folders([tmp_path / "pip.conf"])
    assert {tmp_path / "index", tmp_path / "wheels"} <= set(found)
    assert tmp_path / "nothing" not in found


def test_only_where_packages_come_from_goes_into_a_root(monkeypatch):
    for name in ("PIP_INDEX_URL", "UV_CACHE_DIR", "PIP_TARGET", "HTTPS_PROXY", "A_TOKEN"):
        monkeypatch.setenv(name, "x")
    assert {"PIP_INDEX_URL", "HTTPS_PROXY"} <= set(roots.settings())
    assert not {"UV_CACHE_DIR", "PIP_TARGET", "A_TOKEN"} & set(roots.settings())


def test_the_dockerfile_runs_as_a_user_without_rights_and_is_all_known_to_its_check():
    lines = container.instructions((TOP / "Dockerfile").read_text(encoding="utf-8"))
    words = [word for word, _ in lines]
    assert words[0] == "FROM" and "#" not in "".join(words)
    assert set(words) <= container.KNOWN
    assert ("USER", roots.USER) in lines and words.index("USER") < words.index("ENTRYPOINT")
    assert dict(lines)["VOLUME"] == '["/data"]'


def test_a_line_of_a_dockerfile_goes_on_after_a_backslash():
    text = '# syntax\nFROM a\nRUN one \\\n    && two\n\nCMD ["x"]\n'
    assert container.instructions(text) == [("FROM", "a"), ("RUN", "one && two"), ("CMD", '["x"]')]


def test_the_development_container_starts_with_a_target_of_make():
    text = (TOP / ".devcontainer" / "devcontainer.json").read_text(encoding="utf-8")
    make, target = json.loads(text)["postCreateCommand"].split()
    assert make == "make"
    assert f"\n{target}:" in (TOP / "Makefile").read_text(encoding="utf-8")


def test_what_git_ignores_stays_out_of_the_image():
    ignored = (TOP / ".dockerignore").read_text(encoding="utf-8").split()
    assert {".git", ".venv*", ".cache", "runs", "build", "*.egg-info"} <= set(ignored)
