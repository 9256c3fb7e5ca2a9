"""What would not fit into memory is refused before it starts, with what would."""

import subprocess
import sys
from pathlib import Path

import pytest
from test_run import toy_ratings

from d2l_autorec import runtime
from d2l_autorec.errors import InputError
from d2l_autorec.models.recipes import RECIPES
from d2l_autorec.training import memory
from d2l_autorec.training.plan import Plan, check

CHAPTER = RECIPES["chapter"]  # item-based, 500 hidden units, batches of 256


def test_the_bytes_by_hand():
    small = CHAPTER.but(hidden=(3,), batch_size=2)
    weights = 3 * 5 + 3 + 5 * 3 + 5  # 5 users
    size = memory.Size(5, 7)
    assert memory.needed(small, "sparse", size) == 4 * 3 * weights
    assert memory.needed(small, "fast", size) == 4 * (4 * weights + 4 * 2 * 5)
    assert memory.needed(small.but(batch_size=9), "fast", size) == 4 * (4 * weights + 4 * 7 * 5)
    # the best epoch's weights, and of ten ratings the row, the matrices and what is read
    size = memory.Size(5, 7, 10)
    assert memory.needed(small, "sparse", size) == 4 * 3 * weights + 10 * 16
    chosen = small.but(val_ratio=0.1)
    assert memory.needed(chosen, "sparse", size) == 4 * 4 * weights + 10 * 16
    above = chosen.but(targets="biases", refit=True)
    assert memory.needed(above, "sparse", size) == 4 * 4 * weights + 10 * (16 + 8 + 4)


def test_what_fits_passes(monkeypatch):
    need = memory.needed(CHAPTER, "fast", memory.Size(943, 1682))
    for there in (need, None):
        monkeypatch.setattr(memory, "memory_there", lambda there=there: there)
        memory.check_memory(Plan(CHAPTER, "fast"), memory.Size(943, 1682))
    monkeypatch.setattr(memory, "memory_there", lambda: need - 1)
    with pytest.raises(InputError, match=r"would need at least 0\.0 GB"):
        memory.check_memory(Plan(CHAPTER, "fast"), memory.Size(943, 1682))


def refused(monkeypatch, plan, users, items, there):
    monkeypatch.setattr(memory, "memory_there", lambda: there)
    with pytest.raises(InputError) as error:
        memory.check_memory(plan, memory.Size(users, items))
    return str(error.value)


def test_the_dense_engine_with_two_million_users(monkeypatch):
    plan = Plan(CHAPTER.but(hidden=(50,)), "fast")
    assert refused(monkeypatch, plan, 2_000_000, 5_000, 8 * 10**9) == (
        "--engine fast with --hidden 50 would need at least 11.4 GB of memory, and 8.0 GB are "
        "there; use --engine sparse, which needs 2.4 GB or more."
    )


def test_a_million_hidden_units(monkeypatch):
    plan = Plan(CHAPTER.but(hidden=(1_000_000,)), "sparse")
    said = refused(monkeypatch, plan, 943, 1682, 16 * 10**9)
    assert said == (
        "--engine sparse with --hidden 1000000 would need at least 22.6 GB of memory, and 16.0 "
        "GB are there; use --engine sparse with --hidden 706588 or less."
    )
    for size, fits in ((706_588, True), (706_589, False)):
        need = memory.needed(CHAPTER.but(hidden=(size,)), "sparse", memory.Size(943, 1682))
        assert (need <= 16 * 10**9) == fits
    assert "train on fewer users" in refused(monkeypatch, plan, 943, 1682, 10_000)


def test_what_workers_need_by_hand(monkeypatch):
    small = CHAPTER.but(hidden=(3,), batch_size=2)
    weights = 3 * 5 + 3 + 5 * 3 + 5  # 5 users
    # each of two here, of four, has the weights, and a quarter of moments, gradients and batch
    two_of_four = memory.Shared(4, 2)
    assert memory.needed(small, "sparse", memory.Size(5, 7), two_of_four) == 4 * 2 * (weights + 19)
    assert memory.needed(small, "fast", memory.Size(5, 7), two_of_four) == 4 * 2 * (
        weights + 39
    )  # 38.5
    for told, here in (("2", 2), ("", 1), ("x", 1)):
        monkeypatch.setenv("D2L_AUTOREC_WORKERS_HERE", told)
        assert memory.shared_here(4) == memory.Shared(4, here)
        assert memory.shared_here(1) == memory.Shared()


def test_workers_that_do_not_fit_on_their_machine(monkeypatch):
    monkeypatch.setattr(memory, "memory_there", lambda: 10**9)
    plan = Plan(
        CHAPTER.but(hidden=(60_000,)), "sparse"
    )  # 12 bytes for each of 1,887 weights a unit
    memory.check_memory(plan, memory.Size(943, 1682), memory.Shared(4, 1))
    with pytest.raises(InputError, match=r"60000 in 2 workers on .* least 1\.4 GB.*44161 or less"):
        memory.check_memory(plan, memory.Size(943, 1682), memory.Shared(4, 2))


MEASURED = """
import re, resource, sys
from pathlib import Path
from d2l_autorec.data.synthetic import synthetic_ratings
from d2l_autorec.models.recipes import RECIPES
from d2l_autorec.training import memory, run

recipe = RECIPES["default"].but(num_epochs=2, refit=False, batch_size=1000)
plan = run.Plan(recipe, "sparse", checkpoint_every=1)
run.train(synthetic_ratings(50, 40, 800), plan)  # to load all libraries
ratings = synthetic_ratings(*map(int, sys.argv[1:]))
pages = int(Path("/proc/self/statm").read_text().split()[1])
run.train(ratings, plan)
peak = 1024 * int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
need = memory.needed(recipe, "sparse", memory.Size.of(ratings))
print(peak - pages * resource.getpagesize(), need)
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is measured on Linux")
@pytest.mark.parametrize("size", ["40000 50 200000", "15000 300 1200000"])
def test_what_training_takes_is_what_is_said(size):
    words = [sys.executable, "-c", MEASURED, *size.split()]
    said = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    took, need = map(int, said.split())
    assert 0.9 * need < took < 1.2 * need


def test_what_there_is(monkeypatch):
    found = runtime.memory_there()
    assert found is None or found > 10**6
    monkeypatch.setattr(runtime, "_free_memory", lambda: 700)
    monkeypatch.setattr(runtime, "_limits_of_groups", lambda: [900, 300])
    assert runtime.memory_there() == 300
    monkeypatch.setattr(runtime, "_limits_of_groups", lambda: [])
    assert runtime.memory_there() == 700


@pytest.mark.parametrize(
    "changes, said",
    [
        ({"lr": 1e-45}, "--lr is 1e-45; give 0"),
        ({"dropout": 1e-300}, "--dropout is 1e-300; give 0"),
        ({"input_dropout": 1 - 1e-9}, r"--input-dropout is 0\.999999999; give 0"),
    ],
)
def test_settings_that_float32_does_not_hold(changes, said):
    plan = Plan(CHAPTER.but(**changes), "sparse")
    with pytest.raises(InputError, match=said):
        check(plan, toy_ratings())


@pytest.mark.parametrize("name", ["lr", "wd", "default"])
def test_settings_beyond_float32(name):
    for value in (1e39, 1e300, float("inf")):
        with pytest.raises(InputError, match=f"{name} is .*float32 holds"):
            CHAPTER.but(**{name: value})


@pytest.mark.parametrize("seed", [-1, 2**32, 2**32 + 1])
def test_seeds_that_are_another_s(seed):
    with pytest.raises(InputError, match=r"--seed is .*; give a number from 0 to 4294967295\."):
        check(Plan(CHAPTER, "sparse", seed=seed), toy_ratings())
