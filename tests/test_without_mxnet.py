"""What does not need MXNet works where MXNet and d2l are not installed.

Each test runs real processes in which the two cannot be found, nor anything that they start; where
they are not installed at all, that changes nothing.
"""

import json
import os
import sys
from pathlib import Path

import pytest
from processes import python
from typer.testing import CliRunner

from d2l_autorec.cli import app
from d2l_autorec.compat import mxnet_remedy

TOP = Path(__file__).parents[1]
sys.path.insert(0, str(Path(__file__).parent / "serving"))

# All modules that need MXNet, by name; every other one can be imported without.
NEED_MXNET = {
    "d2l_autorec.chapter.autorec",
    "d2l_autorec.chapter.mf",
    "d2l_autorec.chapter.quiet",
    "d2l_autorec.models.autorec",
    "d2l_autorec.training.dense",
}

# Python runs it at its start; it puts a finder that passes the two over in the usual one's place.
SITECUSTOMIZE = """
import sys
from importlib.machinery import PathFinder

HIDDEN = ("mxnet", "d2l")


class Finder:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name.partition(".")[0] not in HIDDEN:
            return PathFinder.find_spec(name, path, target)

    @staticmethod
    def find_distributions(*context):
        found = PathFinder.find_distributions(*context)
        return [each for each in found if each.metadata["Name"] not in HIDDEN]

    @staticmethod
    def invalidate_caches():
        PathFinder.invalidate_caches()


sys.meta_path[sys.meta_path.index(PathFinder)] = Finder
"""


@pytest.fixture(scope="module")
def without(tmp_path_factory):
    """Return a function that runs Python, without MXNet, in a folder of its own."""
    folder = tmp_path_factory.mktemp("without")
    (folder / "hidden").mkdir()
    (folder / "hidden" / "sitecustomize.py").write_text(SITECUSTOMIZE, encoding="utf-8")
    path = [folder / "hidden", TOP, os.environ.get("PYTHONPATH")]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(str(part) for part in path if part),
        "COLUMNS": "80",
    }

    def run(*words):
        return python(*words, cwd=folder, env=environment)

    run.folder = folder
    return run


@pytest.fixture(scope="module")
def model(without):
    """A model folder of six items and five users."""
    from toy_models import toy_model

    from d2l_autorec.serving.folder import save_model

    save_model(without.folder / "toy", toy_model())
    (without.folder / "own.csv").write_text("item,rating\n10,5\n20,1\n")
    (without.folder / "test.csv").write_text("user,item,rating\nu1,20,5\nu4,50,1\n")
    return "toy"


def test_it_is_hidden(without):
    code = """
from importlib import metadata, util
print(util.find_spec("mxnet"), util.find_spec("d2l"))
for name in ("mxnet", "d2l", "numpy"):
    try:
        print(metadata.version(name) > "")
    except metadata.PackageNotFoundError:
        print("none")
"""
    assert without("-c", code).stdout.split() == ["None", "None", "none", "none", "True"]


def test_every_other_module_can_be_imported(without):
    code = """
import importlib, pkgutil, sys
import d2l_autorec
from d2l_autorec.compat import MissingMXNet

for module in pkgutil.walk_packages(d2l_autorec.__path__, "d2l_autorec."):
    if not module.name.endswith("__main__"):  # which runs
        try:
            importlib.import_module(module.name)
        except MissingMXNet:
            print(module.name)
assert not {"mxnet", "d2l"} & set(sys.modules)
"""
    done = without("-W", "error::DeprecationWarning:d2l_autorec", "-c", code)
    assert done.returncode == 0 and not done.stderr, done.stderr
    found = {name for name in done.stdout.split() if ".course.mistakes." not in name}
    assert found == NEED_MXNET


LINES = [
    "recommend --model @ --user u5",
    "predict --model @ --user u1 --item 10",
    "similar --model @ --item 20",
    "explain --model @ --user u2 --item 10 --json",
    "new-user --model @ --ratings own.csv --csv",
    "evaluate --model @ --test test.csv --quiet --json",
    "export --model @ --npz weights.npz",
    "synthetic --users 30 --items 40 --ratings 300 --out made.csv --quiet",
]


@pytest.mark.parametrize("line", LINES)
def test_a_command_says_what_it_says_with_mxnet(line, without, model, monkeypatch):
    words = line.replace("@", model).split()
    done = without("-m", "d2l_autorec", *words)
    assert (done.returncode, done.stderr) == (0, "")
    monkeypatch.chdir(without.folder)
    for written in ("weights.npz", "made.csv"):
        Path(written).unlink(missing_ok=True)
    usual = CliRunner().invoke(app, words, env={"COLUMNS": "80"})
    assert done.stdout == usual.stdout != ""


def test_help(without):
    done = without("-m", "d2l_autorec", "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert "reproduce" in done.stdout and "recommend" in done.stdout


def test_the_lab_trains(without):
    code = """
import numpy as np, pandas as pd
from d2l_autorec.course.lab import advice
from d2l_autorec.course.lab.material import Material
from d2l_autorec.course.lab.trainings import Settings, Training
from d2l_autorec.data.formats import Ratings
user, item = np.indices((30, 40)).reshape(2, -1)[:, ::2]
table = pd.DataFrame({"user": user, "item": item, "rating": 1.0 + (user + item) % 5})
lab = Material.of(Ratings(table, np.arange(30), np.arange(40), None, "made up", ""))
training = Training(Settings(hidden=5, num_epochs=3))
training.train(lab)
print(training.state, len(training.epochs), advice.by_network(lab, training.model, {2: 5.0}))
"""
    done = without("-c", code)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("done 3 [")


def test_weights_leave_and_come_back(without, model):
    pytest.importorskip("safetensors")
    command = ["-m", "d2l_autorec"]
    done = without(*command, "export", "--model", model, "--safetensors", "toy.safetensors")
    assert (done.returncode, done.stderr) == (0, "")
    given = ["--model", model, "--weights", "toy.safetensors", "--out", "back"]
    done = without(*command, "import-weights", *given)
    assert (done.returncode, done.stderr) == (0, "")
    answers = [
        without(*command, "predict", "--model", name, "--user", "u1", "--item", "10", "--json")
        for name in (model, "back")
    ]
    rows = [json.loads(answer.stdout)["rows"] for answer in answers]
    assert rows[0] == rows[1] and rows[0]


def test_reading_ratings_and_the_report(without):
    (without.folder / "ratings.csv").write_text("ann,x9,4\nbob,x9,2\nann,007,5\nbob,7,1\n")
    code = """
from d2l_autorec.data.formats import read_ratings
from d2l_autorec.data.matrices import interaction_csr

ratings = read_ratings("ratings.csv")
print(ratings.item_ids.tolist(), ratings.table["rating"].tolist())
"""
    done = without("-c", code)
    assert (done.stdout, done.stderr) == ("['007', '7', 'x9'] [4.0, 2.0, 5.0, 1.0]\n", "")
    done = without("-m", "d2l_autorec", "report", "--results", TOP / "results")
    assert (done.returncode, done.stderr) == (0, "")
    assert (without.folder / "report.html").stat().st_size > 10**5


def test_doctor_looks_at_what_is_there(without):
    done = without("-m", "d2l_autorec", "doctor")
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert "NO  MXNet: not installed" in done.stdout


@pytest.mark.parametrize(
    "line", ["reproduce", "train --data own.csv --engine fast", "export --model @ --onnx a"]
)
def test_a_command_that_needs_mxnet_says_so_in_a_sentence(line, without, model):
    before = sorted(without.folder.iterdir())
    done = without("-m", "d2l_autorec", *line.replace("@", model).split())
    assert (done.returncode, done.stdout) == (2, "")
    [sentence] = done.stderr.splitlines()
    assert sentence.startswith("d2l-autorec: ") and "not installed" in sentence
    assert sorted(without.folder.iterdir()) == before


def test_an_import_that_needs_mxnet_says_so_in_a_sentence(without):
    code = """
import importlib.util, sys
import d2l_autorec
from d2l_autorec.errors import InputError

for use in (
    lambda: d2l_autorec.AutoRec,
    lambda: __import__("mxnet"),
    lambda: importlib.import_module("d2l.mxnet"),
    lambda: importlib.import_module("d2l_autorec.training.dense"),
):
    try:
        use()
    except ModuleNotFoundError as error:
        assert isinstance(error, InputError)
        print(error.name, error, sep=": ")
# who only looks, or can do without, is not disturbed
assert importlib.util.find_spec("mxnet") is None
import pytest
try:
    pytest.importorskip("mxnet")
except pytest.skip.Exception:
    print("skipped")
"""
    done = without("-c", code)
    book = f"d2l: d2l, the book's own package, is not installed. {mxnet_remedy()}"
    plain = f"mxnet: MXNet is not installed. {mxnet_remedy()}"
    assert done.stdout.splitlines() == [plain, plain, book, plain, "skipped"], done.stderr
