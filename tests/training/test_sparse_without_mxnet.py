"""The sparse engine where MXNet cannot be imported."""

import json
import subprocess
import sys

from test_run import toy_ratings

BLOCKED = """
import sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("mxnet", "d2l"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Blocker())
from d2l_autorec.__main__ import main
main()
"""


def command(*words):
    return subprocess.run(
        [sys.executable, "-c", BLOCKED, *map(str, words)], capture_output=True, text=True
    )


def test_train_save_and_ask_in_a_process_without_mxnet(tmp_path):
    toy_ratings().table.drop(columns="timestamp").to_csv(tmp_path / "own.csv", index=False)
    small = ("--data", tmp_path / "own.csv", "--hidden", 8, "--epochs", 5, "--json")
    results = {}
    for name in ("default", "chapter", "blend"):
        out = tmp_path / name
        done = command(
            "train", *small, "--recipe", name, "--engine", "sparse", "--out", out, "--save"
        )
        assert done.returncode == 0, done.stderr
        results[name] = json.loads(done.stdout)["result"]
        assert results[name] == json.loads((out / "run.json").read_text())["result"]
        assert results[name]["draws"] == "numpy"
        assert ("the random draws are NumPy's" in done.stderr) == (name == "chapter")
        asked = command("recommend", "--model", out, "--user", 3, "--json")
        assert asked.returncode == 0 and len(json.loads(asked.stdout)["rows"]) == 10
    assert results["default"]["test_rmse"] < results["default"]["mean_rmse"]
    assert results["blend"]["networks"] > 1
    again = command(
        "train", *small, "--recipe", "default", "--out", tmp_path / "again"
    )  # the engine is found by itself
    assert json.loads(again.stdout)["result"]["test_rmse"] == results["default"]["test_rmse"]


def test_what_needs_mxnet_says_so(tmp_path):
    toy_ratings().table.drop(columns="timestamp").to_csv(tmp_path / "own.csv", index=False)
    done = command("train", "--data", tmp_path / "own.csv", "--engine", "fast")
    assert done.returncode == 2 and "Traceback" not in done.stderr, done.stderr
    assert "needs MXNet" in done.stderr.splitlines()[-1]
