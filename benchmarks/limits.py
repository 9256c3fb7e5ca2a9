"""What the machine could do at best: matrix products and memory, with two threads."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numba import njit

from benchmarks.sizes import BATCH, WIDTH


@njit(nogil=True, cache=True, fastmath=True)
def _triad(a: Any, b: Any, c: Any, scale: Any) -> None:
    for i in range(a.size):
        a[i] = b[i] + scale * c[i]


@njit(nogil=True, cache=True, fastmath=True)
def _update(a: Any, b: Any, scale: Any) -> None:
    for i in range(a.size):
        b[i] = b[i] * scale
        a[i] = a[i] + b[i]


def _best(work: Callable[[], object], repeats: int) -> float:
    work()
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def memory(megabytes: int, threads: int, repeats: int = 5) -> dict[str, float]:
    """Bytes per second of STREAM's triad, and of an update in place as the sparse engine makes it.

    The triad ``a = b + s c`` counts three arrays, as STREAM does; the processor may also read
    ``a`` before it writes. The update reads and writes two arrays: four are counted.
    """
    count = megabytes * 2**20 // 4
    a, b, c = (np.ones(count, np.float32) for _ in range(3))
    cuts = np.linspace(0, count, threads + 1).astype(int)
    shares = [slice(lo, hi) for lo, hi in zip(cuts, cuts[1:])]
    scale = np.float32(0.5)
    with ThreadPoolExecutor(threads) as pool:

        def on_all(kernel: Any, *arrays: np.ndarray) -> None:
            def share(part: slice) -> None:
                kernel(*(array[part] for array in arrays), scale)

            list(pool.map(share, shares))

        triad = _best(lambda: on_all(_triad, a, b, c), repeats)
        update = _best(lambda: on_all(_update, a, b), repeats)
    return {"triad": 3 * a.nbytes / triad, "update": 4 * a.nbytes / update}


def matrix_products(num_cols: int, repeats: int = 5) -> dict[str, float]:
    """FLOP per second of the five products of a dense step, by MXNet and by NumPy.

    Forward: batch x cols by cols x width, batch x width by width x cols. Backward: the gradients
    of both weights and of the code.
    """
    import mxnet as mx

    mx.npx.set_np()
    flops = 5 * 2 * BATCH * num_cols * WIDTH
    rng = np.random.default_rng(0)
    x, code = (rng.standard_normal((BATCH, n), np.float32) for n in (num_cols, WIDTH))
    weight = rng.standard_normal((num_cols, WIDTH), np.float32)
    pairs = [(x, weight), (code, weight.T), (code.T, x), (x.T, code), (x, weight)]
    pairs = [(np.ascontiguousarray(a), np.ascontiguousarray(b)) for a, b in pairs]
    on_mxnet = [(mx.np.array(a), mx.np.array(b)) for a, b in pairs]

    def by_numpy() -> None:
        for a, b in pairs:
            np.dot(a, b)

    def by_mxnet() -> None:
        for a, b in on_mxnet:
            mx.np.dot(a, b).wait_to_read()

    works = {"mxnet": by_mxnet, "numpy": by_numpy}
    return {name: flops / _best(work, repeats) for name, work in works.items()}
