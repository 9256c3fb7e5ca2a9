"""One list of dependencies, read by pip, make and conda alike."""

import configparser
import re
from importlib import metadata
from pathlib import Path

import yaml

TOP = Path(__file__).parents[1]


def setup():
    parser = configparser.ConfigParser()
    parser.read(TOP / "setup.cfg")
    return parser


def names(text):
    lines = (line.strip() for line in text.splitlines())
    return {re.split(r"[=<>!~\[ ;]", line)[0].lower() for line in lines if line and line[0] != "#"}


def test_conda_reads_the_same_files():
    environment = yaml.safe_load((TOP / "environment.yml").read_text())
    assert environment["name"] == setup()["metadata"]["name"]
    *conda, section = environment["dependencies"]
    python = next(item for item in conda if item.startswith("python="))
    assert setup()["options"]["python_requires"] == ">=3.9,<3.12" and python == "python=3.11"
    # everything else comes through pip, from the two files and not from a list of its own
    assert section["pip"] == ["-c constraints.txt", "-e .[dev]"]
    assert "dev" in setup()["options.extras_require"]
    assert set(conda) == {python, "pip"}


def test_constraints_cover_what_is_asked_for_and_are_what_is_tested():
    pinned = dict(
        line.lower().split("==") for line in (TOP / "constraints.txt").read_text().splitlines()
    )
    asked = names(setup()["options"]["install_requires"])
    for extra in ("notebook", "test", "dev"):
        asked |= names(setup()["options.extras_require"][extra])
    assert {name for name in asked if not name.startswith("%")} <= set(pinned)
    for name in ("mxnet", "d2l", "numpy", "pandas", "numba"):
        assert metadata.version(name) == pinned[name]


def test_versions_agree():
    import d2l_autorec

    assert d2l_autorec.__version__ == setup()["metadata"]["version"]
