"""The cache of compiled kernels may be damaged, full or out of reach; a run goes on."""

import numba
import numpy as np
import pytest

from d2l_autorec.training.sparse import kernels
from d2l_autorec.training.sparse.jit import jit


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(numba.core.config, "CACHE_DIR", str(tmp_path))
    return tmp_path


def hits():
    """Run a kernel of its own on known numbers; return how often the cache had it."""
    kernel = jit(kernels.adam.py_func)
    arrays = [np.ones(2, np.float32) for _ in range(4)]
    kernel(*arrays, np.float32(0.5), np.float32(0))
    assert arrays[0][0] == pytest.approx(1 - 0.5 * 1.0 / (np.sqrt(1.0) + 1e-8), abs=1e-6)
    return sum(kernel.stats.cache_hits.values())


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) * 2 // 3] ^= 255
    path.write_bytes(content)


DAMAGE = {
    "empty": lambda path: path.write_bytes(b""),
    "cut": lambda path: path.write_bytes(path.read_bytes()[:-9]),
    "flipped": flip,
    "zeroed": lambda path: path.write_bytes(bytes(path.stat().st_size)),
    "gone": lambda path: path.unlink(),
    "folder": lambda path: (path.unlink(), path.mkdir()),
}


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("ending", ["nbi", "nbc"])
def test_a_damaged_file_costs_a_compilation_and_is_mended(folder, damage, ending):
    assert (hits(), hits()) == (0, 1)
    [file] = folder.rglob(f"*.{ending}")
    DAMAGE[damage](file)
    assert hits() == 0
    if damage != "folder":  # that cannot be replaced
        assert hits() == 1


def test_code_of_another_version_is_not_taken(folder, monkeypatch):
    """An index written by a process killed before it wrote the code names an older file."""
    assert hits() == 0
    locator = jit(kernels.adam.py_func)._cache._impl.locator
    monkeypatch.setattr(type(locator), "get_source_stamp", lambda self: (0.0, 0))
    assert (hits(), hits()) == (0, 1)


def test_what_is_kept_is_told_from_what_is_not(folder, monkeypatch):
    def kept():
        return jit(kernels.adam.py_func)._cache.holds_any()

    assert not kept()
    hits()
    assert kept()
    [index] = folder.rglob("*.nbi")
    flip(index)
    assert not kept()
    hits()
    assert kept()
    locator = jit(kernels.adam.py_func)._cache._impl.locator
    monkeypatch.setattr(type(locator), "get_source_stamp", lambda self: (0.0, 0))
    assert not kept()  # the kernel has changed since


@pytest.mark.parametrize("moment", ["_open_for_write", "_save_data"])
def test_a_full_disk(folder, monkeypatch, moment):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(numba.core.caching.IndexDataCacheFile, moment, full)
    assert (hits(), hits()) == (0, 0)


def test_a_place_that_is_a_file(folder, monkeypatch):
    (folder / "file").write_text("")
    monkeypatch.setattr(numba.core.config, "CACHE_DIR", str(folder / "file"))
    hits()  # whatever other place is taken
