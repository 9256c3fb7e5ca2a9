"""The benchmark at toy size, and its arithmetic on numbers worked out by hand."""

import argparse
import asyncio
import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from processes import python
from scipy import sparse

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks import data, figure, netflix, quiet, ratios, serving, traffic  # noqa: E402
from benchmarks.sizes import SIZES  # noqa: E402
from d2l_autorec.errors import InputError  # noqa: E402


def part(name, size="", **facts):
    values = facts.pop("values")
    readings = [
        {"case": case, "round": i, "value": value}
        for case, found in values.items()
        for i, value in enumerate(found)
    ]
    return {"part": name, "size": size, "readings": readings, "skipped": {}, **facts}


def bench(out, *arguments):
    return python("-m", "benchmarks.bench", "--out", out, *arguments, cwd=ROOT)


def test_quick_run_and_merging(tmp_path):
    # this environment need not have PyTorch, and must not matter if it has
    no_torch = tmp_path / "python"
    no_torch.write_text("#!/bin/sh\nexit 1\n")
    no_torch.chmod(0o755)
    flags = ("--quick", "--anyway", "--torch", str(no_torch))
    run = bench(tmp_path / "out", *flags, "--parts", "startup,train,recommend")
    assert run.returncode == 0, run.stderr
    table = (tmp_path / "out" / "table.md").read_text()
    assert run.stdout.strip() == table.strip()
    assert "torch-fused | skipped: PyTorch is not installed" in table
    record = json.loads((tmp_path / "out" / "benchmark.json").read_text())
    assert set(record["parts"]) == {"startup", "train:toy", "recommend:toy"}
    trained = record["parts"]["train:toy"]
    fast, sparse_ = trained["readings"]
    assert (fast["case"], sparse_["case"]) == ("fast", "sparse")
    assert fast["rmse"] == pytest.approx(sparse_["rmse"], abs=1e-4)
    assert 0 < fast["value"] < fast["process_seconds"]
    assert trained["traffic_bytes"] > 0 and fast["peak_bytes"] > 1e7
    rows = list(csv.DictReader((tmp_path / "out" / "rounds.csv").open()))
    assert len(rows) == 5 + 2 + 2 and float(rows[6]["value"]) == sparse_["value"]
    assert (tmp_path / "out" / "cost.png").read_bytes().startswith(b"\x89PNG")

    again = bench(tmp_path / "out", *flags, "--parts", "startup", "--rounds", "2")
    assert again.returncode == 0, again.stderr
    merged = json.loads((tmp_path / "out" / "benchmark.json").read_text())
    assert merged["parts"]["train:toy"] == trained
    assert len(merged["parts"]["startup"]["readings"]) == 10


def test_unknown_parts_and_sizes_are_refused(tmp_path):
    for flag, value in (("--parts", "all"), ("--sizes", "5m"), ("--rounds", "0")):
        run = bench(tmp_path, flag, value)
        assert run.returncode != 0 and flag in run.stderr and "Traceback" not in run.stderr


def test_ratios_are_of_medians():
    train = {"torch": [9.0, 1.0, 2.0], "torch-fused": [4.0, 4.0, 4.0], "sparse": [0.5, 0.4, 0.1]}
    record = {
        "parts": {
            "train:ml-1m": part(
                "train", "ml-1m", values=train, traffic_bytes=8e9, cells=1, ratings=1_000_209
            ),
            "limits": part("limits", values={"memory, triad": [40.0], "memory, update": [80.0]}),
        }
    }
    found = {ratio.what: ratio for ratio in ratios.ratios(record)}
    ratio = found["sparse over PyTorch's better Adam, ML-1M shape (synthetic)"]
    assert ratio.value == pytest.approx(0.4 / 2.0) and ratio.verdict == "met"
    ratio = found["sparse: its traffic over the memory triad, ML-1M shape (synthetic)"]
    assert ratio.value == pytest.approx(8 / 0.4 / 40)
    assert found["`d2l-autorec --help`"].verdict == ""  # not measured
    assert ratios.Ratio("", 0.3, 0.25).verdict == "**not met**"
    assert ratios.Ratio("", 0.5, 0.55, least=True).verdict == "**not met**"
    assert ratios.Ratio("", 0.6, 0.55, least=True).verdict == "met"


def test_traffic_by_hand():
    """Three columns. Batches rate {0, 1}, {1}, {2}: rows of V and W that are touched, by hand.

    Before step 0: V reads 0 and 1, 2 rows. Step 0: W 2 x 6; V 2 x 6 (1 is read for the next batch
    on the way). Step 1: W 6; V 6 for 1, and 2, which is behind, 6. Step 2: W 6; V 6. At the end: W
    has 0 and 1 behind, V too: 4 x 6. In all 2 + 24 + 18 + 12 + 24 = 80 rows, and 4 ratings.
    """
    train = sparse.csr_matrix(np.array([[1, 1, 0], [0, 1, 0], [0, 0, 1]], np.float32))
    moved = traffic.bytes_moved(train, [[np.array([0]), np.array([1]), np.array([2])]], 100)
    assert moved == [80 * 100 + 4 * traffic.BYTES_PER_RATING]


def test_plan_warms_up_and_rolls_over():
    planned = data.plan(600, 3, None, seed=1)
    assert [len(batches) for batches in planned] == [1, 2, 2, 3]  # 600, 688, 776 rows in turn
    assert sorted(np.concatenate(planned[1] + planned[2])[:600]) == list(range(600))
    assert [len(batches) for batches in data.plan(6000, 3, 6, seed=1)] == [1, 6]


def test_slope_of_a_power_law():
    assert figure.slope([1e5, 1e6, 1e7], [2.0, 20.0, 200.0]) == pytest.approx(1)
    assert figure.slope([10, 1000], [3, 3]) == pytest.approx(0)


def test_a_busy_machine_is_refused(monkeypatch, capsys):
    monkeypatch.setattr(quiet, "load", lambda: 0.5)
    monkeypatch.setattr(quiet, "PATIENCE", 0.01)
    with pytest.raises(InputError, match="50% of the cores"):
        quiet.wait_for_idle(anyway=False)
    assert quiet.wait_for_idle(anyway=True) == 0.5
    assert "warning" in capsys.readouterr().err


@pytest.mark.skipif(quiet.busy_seconds() is None, reason="this system has no /proc/stat")
def test_own_work_is_not_taken_for_that_of_others():
    """A process that works for a while is ours; the same work beside it is somebody else's."""
    if quiet.load() > quiet.TOLERATED:
        pytest.skip("others are at work on this machine already")
    work = [sys.executable, "-c", "x = 0\nfor i in range(20_000_000): x += i"]
    alone = quiet.run_unwatched(work, {})
    other = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        disturbed = quiet.run_unwatched(work, {})
    finally:
        other.kill()
        other.wait()
    assert disturbed.others > alone.others + 0.5 / len(quiet.cores())


def test_a_process_within_its_memory(tmp_path):
    text = "import os, time; x = bytearray(10**8); time.sleep(0.5); print(os.getcwd())"
    work = [sys.executable, "-c", text]
    ran = quiet.run_unwatched(work, {}, tmp_path, 10**9)
    assert Path(ran.stdout.strip()) == tmp_path.resolve() and 10**8 < ran.peak < 3 * 10**8
    with pytest.raises(InputError, match="MemoryError"):
        quiet.run_unwatched(work, {}, tmp_path, 10**8)


def test_the_report_of_netflix_size(tmp_path):
    steps = pd.DataFrame([{"command": "train", "seconds": 9.0, "peak_gb": 12.34}])
    epochs = pd.DataFrame({"epoch": [1, 2], "train_loss": 3.0, "test_rmse": [0.9, 0.8]})
    epochs["seconds"] = [25.0, 28.0]
    result = {"num_train": 90_432_456, "test_rmse": 0.8, "biases_rmse": 0.91234}
    shape = SIZES["netflix"].shape
    netflix.report(
        steps, epochs, result, shape, argparse.Namespace(out=tmp_path, quick=False, anyway=True)
    )
    text = (tmp_path / "README.md").read_text()
    assert "90,432,456 synthetic ratings of 480,189 users and 17,770 items takes 26.5 s" in text
    assert "RMSE is 0.8000; that of plain user and item biases is 0.9123" in text
    assert "more than 12.3 GB" in text and "| 1 | 3 | 0.9 | 0.9123 | 25 |" in text


def test_the_commands_of_netflix_size(tmp_path):
    for name, words in netflix.commands(SIZES["toy"].shape, 2).items():
        row = netflix.measure(name, words, tmp_path, anyway=True)
        assert row["peak_gb"] > 0.03
    lines = (tmp_path / "best.csv").read_text().splitlines()
    assert len(lines) == 1 + 10 * SIZES["toy"].shape[0]
    assert (tmp_path / "run" / "checkpoint.npz").exists()


def test_the_report_of_the_service(tmp_path):
    row = {
        "size": "toy (synthetic)",
        "question": "all",
        "answers": 100,
        "per_second": 50.0,
        "p50_ms": 3.14,
        "p99_ms": 9.99,
        "max_ms": 12.0,
    }
    total = {"failed": 0, "service_cores": 1.2, "client_cores": 0.31}
    chosen = argparse.Namespace(out=tmp_path, quick=False, clients=32, seconds=2.0, anyway=True)
    serving.report([{**row, **total}, {**row, "question": "similar"}], chosen)
    text = (tmp_path / "table.md").read_text()
    assert "50 answers a second to 32 clients" in text and "within 10 ms; 0 failed" in text
    assert "| toy (synthetic) | similar | 100 | 50.0 | 3.14 | 9.99 | 12.0 |  |  |  |" in text
    assert (tmp_path / "table.csv").read_text().count("\n") == 3
    assert "How fast does the service answer?" in (tmp_path / "README.md").read_text()


def test_the_client_counts_what_it_reads():
    async def answer(reader, writer):
        while await reader.readuntil(b"\r\n\r\n"):
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    async def both():
        async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            asked = {kind: [serving._get("/")] for kind in serving.SHARES}
            return await serving.drive(f"127.0.0.1:{port}", asked, 2, 0.3)

    taken, failed = asyncio.run(both())
    assert failed == 0 and len(taken["recommend"]) > len(taken["similar"]) > 0
