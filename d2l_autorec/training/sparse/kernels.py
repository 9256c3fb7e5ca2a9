"""The compiled loops of the sparse engine.

All of them walk over *columns* (users, where the rows are items). A column owns one row of each
weight matrix, ``V[c]`` (column c of the chapter's encoder weight) and ``W[c]`` (row c of its
decoder weight), with Adam's two moments beside it, so that a thread reads and writes each of them
once in a pass. Every kernel works on the columns ``lo`` to ``hi``, which is one thread's share,
adds into arrays of its own thread, and releases the interpreter lock.

A column without a rating in a batch still changes: its moments fade and the decay goes on. That
depends on nothing but the column, so it is put off until the column is next needed, and then done
step by step with the same arithmetic (``_catch_up``); ``done[c]`` counts the steps it has been
through.

Shapes: rows of the batch x width for ``code``, ``delta`` and the like, columns x width for ``V``
and ``W``, columns x 2 x width for moments, columns x 3 for the output bias with its two moments. A
batch is given by column: column c holds ``rows[k]``, ``ratings[k]`` for ``ptr[c] <= k <
ptr[c + 1]``.
"""

from __future__ import annotations

import contextlib
import math
from pathlib import Path
from typing import Any

import numpy as np
from numba import njit

from d2l_autorec.models.activations import ACTIVATIONS, SELU_ALPHA, SELU_SCALE
from d2l_autorec.training.sparse.cache import CheckedCache


def _jit(function: Any) -> Any:
    """Compile a kernel, and keep it for the next process where there is a place for it.

    Sums may be reordered for the vector units; divisions and roots stay as IEEE has them.
    """
    fastmath = {"reassoc", "contract", "nsz"}
    options: Any = {"nogil": True, "error_model": "numpy", "fastmath": fastmath}
    kernel = njit(**options)(function)
    # where neither the installation nor the user's home can be written
    with contextlib.suppress(RuntimeError, OSError):
        kernel._cache = CheckedCache(function)
    return kernel


IDENTITY, SIGMOID, TANH, RELU, ELU, SELU = range(len(ACTIVATIONS))

_F = np.float32
_ZERO, _ONE = _F(0), _F(1)
_BETA1, _BETA2, _EPSILON = _F(0.9), _F(0.999), _F(1e-8)  # MXNet's defaults
_REST1, _REST2 = _ONE - _BETA1, _ONE - _BETA2


@_jit
def sort_by_column(
    indptr: Any, indices: Any, data: Any, batch: Any, ptr: Any, rows: Any, ratings: Any
) -> None:
    """Counting sort of a batch's entries of a CSR matrix: fills ``ptr``, ``rows``, ``ratings``."""
    ptr[:] = 0
    for i in range(batch.size):
        for k in range(indptr[batch[i]], indptr[batch[i] + 1]):
            ptr[indices[k] + 1] += 1
    for c in range(ptr.size - 1):
        ptr[c + 1] += ptr[c]
    # From the back, each entry takes the last free place of its column ...
    for i in range(batch.size - 1, -1, -1):
        for k in range(indptr[batch[i]], indptr[batch[i] + 1]):
            ptr[indices[k] + 1] -= 1
            rows[ptr[indices[k] + 1]] = i
            ratings[ptr[indices[k] + 1]] = data[k]
    # ... after which ptr[c + 1] is where column c starts.
    for c in range(ptr.size - 1):
        ptr[c] = ptr[c + 1]
    ptr[ptr.size - 1] = rows.size


@_jit
def share_columns(ptr: Any, next_ptr: Any, bounds: Any) -> None:
    """Cut the columns into shares of about equal work: ``bounds[i]`` to ``bounds[i + 1]``.

    A column that is in either batch costs about as much as five entries.
    """
    total = 0
    for turn in range(2):
        work, cut = 0, 1
        for c in range(ptr.size - 1):
            entries = ptr[c + 1] - ptr[c] + next_ptr[c + 1] - next_ptr[c]
            if turn == 1:
                while cut < bounds.size - 1 and work * (bounds.size - 1) >= total * cut:
                    bounds[cut] = c
                    cut += 1
            if entries > 0:
                work += entries + 5
        total = work
    bounds[0] = 0
    while cut < bounds.size:
        bounds[cut] = ptr.size - 1
        cut += 1


@_jit
def adam(w: Any, m: Any, v: Any, g: Any, rate: Any, wd: Any) -> None:
    """One step of MXNet's ``adam_update``; ``rate`` is the bias-corrected learning rate.

    ``g += wd w``, ``m = b1 m + (1 - b1) g``, ``v = b2 v + (1 - b2) g^2``,
    ``w -= rate m / (sqrt(v) + eps)``
    """
    for j in range(w.size):
        grad = g[j] + wd * w[j]
        m[j] = _BETA1 * m[j] + _REST1 * grad
        v[j] = _BETA2 * v[j] + _REST2 * grad * grad
        w[j] -= rate * m[j] / (math.sqrt(v[j]) + _EPSILON)


@_jit
def _catch_up(w: Any, m: Any, v: Any, start: Any, stop: Any, rates: Any, wd: Any) -> None:
    """Take the steps ``start`` to ``stop``, in which this column had no rating: ``g = wd w``."""
    for step in range(start, stop):
        for j in range(w.size):
            grad = wd * w[j]
            m[j] = _BETA1 * m[j] + _REST1 * grad
            v[j] = _BETA2 * v[j] + _REST2 * grad * grad
            w[j] -= rates[step] * m[j] / (math.sqrt(v[j]) + _EPSILON)


@_jit
def _activate(kind: Any, z: Any) -> Any:
    if kind == SIGMOID:
        return _ONE / (_ONE + math.exp(-z))
    if kind == TANH:
        return math.tanh(z)
    if kind == RELU:
        return max(z, _ZERO)
    if kind == ELU:
        return z if z > _ZERO else math.expm1(z)
    if kind == SELU:
        return _F(SELU_SCALE) * (z if z > _ZERO else _F(SELU_ALPHA) * math.expm1(z))
    return z


@_jit
def _slope(kind: Any, y: Any) -> Any:
    """Derivative of an activation, from its value ``y``."""
    if kind == SIGMOID:
        return y * (_ONE - y)
    if kind == TANH:
        return _ONE - y * y
    if kind == RELU:
        return _ONE if y > _ZERO else _ZERO
    if kind == ELU:
        return _ONE if y > _ZERO else y + _ONE
    if kind == SELU:
        return _F(SELU_SCALE) if y > _ZERO else y + _F(SELU_SCALE * SELU_ALPHA)
    return _ONE


@_jit
def _dot(x: Any, y: Any) -> Any:
    total = _ZERO
    for j in range(x.size):
        total += x[j] * y[j]
    return total


@_jit
def _add(y: Any, a: Any, x: Any) -> None:
    for j in range(y.size):
        y[j] += a * x[j]


# The next three do two ratings of a column at a time, so that what these share is read once. An
# odd number of ratings begins with a single one.


@_jit
def _dot_pair(w: Any, x1: Any, x2: Any) -> Any:
    total1, total2 = _ZERO, _ZERO
    for j in range(w.size):
        total1 += w[j] * x1[j]
        total2 += w[j] * x2[j]
    return total1, total2


@_jit
def _add_pair(y: Any, a1: Any, x1: Any, a2: Any, x2: Any) -> None:
    for j in range(y.size):
        y[j] += a1 * x1[j] + a2 * x2[j]


@_jit
def _add_to_pair(y1: Any, a1: Any, y2: Any, a2: Any, x: Any) -> None:
    for j in range(x.size):
        y1[j] += a1 * x[j]
        y2[j] += a2 * x[j]


@_jit
def decoder_pass(
    lo: Any, hi: Any, ptr: Any, rows: Any, ratings: Any, code: Any, kind: Any, scale: Any,
    W: Any, moments: Any, bias: Any, done: Any, step: Any, rates: Any, wd: Any, bias_wd: Any,
    delta: Any, grad: Any,
) -> float:  # fmt: skip
    """Predict the batch's ratings, and update the output layer, in one pass over its columns.

    For each rating: ``pred = f(W[c] . code[i] + bias[c])``, ``e = (pred - r) f'(pred) scale``,
    ``delta[i] += e W[c]`` and the column's gradient ``+= e code[i]``; then Adam on ``W[c]`` and
    ``bias[c]``. Returns the sum of ``(pred - r)^2``.
    """
    loss = 0.0
    delta[:] = _ZERO
    for c in range(lo, hi):
        if ptr[c] == ptr[c + 1]:
            continue
        w, m, v = W[c], moments[c, 0], moments[c, 1]
        b, bm, bv = bias[c, 0:1], bias[c, 1:2], bias[c, 2:3]
        _catch_up(w, m, v, done[c], step, rates, wd)
        _catch_up(b, bm, bv, done[c], step, rates, bias_wd)
        grad[:] = _ZERO
        bias_grad = _ZERO
        odd = ptr[c] + (ptr[c + 1] - ptr[c]) % 2
        for k in range(ptr[c], odd):
            x = code[rows[k]]
            pred = _activate(kind, _dot(w, x) + b[0])
            error = pred - ratings[k]
            loss += error * error
            error *= scale * _slope(kind, pred)
            bias_grad += error
            _add(delta[rows[k]], error, w)
            _add(grad, error, x)
        for k in range(odd, ptr[c + 1], 2):
            x1, x2 = code[rows[k]], code[rows[k + 1]]
            sum1, sum2 = _dot_pair(w, x1, x2)
            pred1, pred2 = _activate(kind, sum1 + b[0]), _activate(kind, sum2 + b[0])
            error1, error2 = pred1 - ratings[k], pred2 - ratings[k + 1]
            loss += error1 * error1 + error2 * error2
            error1 *= scale * _slope(kind, pred1)
            error2 *= scale * _slope(kind, pred2)
            bias_grad += error1 + error2
            _add_to_pair(delta[rows[k]], error1, delta[rows[k + 1]], error2, w)
            _add_pair(grad, error1, x1, error2, x2)
        adam(w, m, v, grad, rates[step], wd)
        grad[0] = bias_grad
        adam(b, bm, bv, grad, rates[step], bias_wd)
        done[c] = step + 1
    return loss


@_jit
def encoder_pass(
    lo: Any, hi: Any, ptr: Any, rows: Any, inputs: Any, delta: Any,
    next_ptr: Any, next_rows: Any, next_inputs: Any,
    V: Any, moments: Any, done: Any, step: Any, rates: Any, wd: Any,
    pre: Any, grad: Any,
) -> None:  # fmt: skip
    """Update the input layer for this batch, and read the next one with the new weights.

    The column's gradient is the sum of ``r delta[i]`` over its ratings in this batch, then Adam on
    ``V[c]``, then ``pre[i] += r V[c]`` for its ratings in the next batch. With an empty batch on
    either side it only does the other half.
    """
    pre[:] = _ZERO
    for c in range(lo, hi):
        in_batch = ptr[c] < ptr[c + 1]
        if not in_batch and next_ptr[c] == next_ptr[c + 1]:
            continue
        w, m, v = V[c], moments[c, 0], moments[c, 1]
        if in_batch:
            _catch_up(w, m, v, done[c], step, rates, wd)
            grad[:] = _ZERO
            odd = ptr[c] + (ptr[c + 1] - ptr[c]) % 2
            for k in range(ptr[c], odd):
                _add(grad, inputs[k], delta[rows[k]])
            for k in range(odd, ptr[c + 1], 2):
                _add_pair(grad, inputs[k], delta[rows[k]], inputs[k + 1], delta[rows[k + 1]])
            adam(w, m, v, grad, rates[step], wd)
        else:
            _catch_up(w, m, v, done[c], step + 1, rates, wd)
        done[c] = step + 1
        odd = next_ptr[c] + (next_ptr[c + 1] - next_ptr[c]) % 2
        for k in range(next_ptr[c], odd):
            _add(pre[next_rows[k]], next_inputs[k], w)
        for k in range(odd, next_ptr[c + 1], 2):
            first, second = pre[next_rows[k]], pre[next_rows[k + 1]]
            _add_to_pair(first, next_inputs[k], second, next_inputs[k + 1], w)


@_jit
def settle(
    lo: Any, hi: Any, weight: Any, moments: Any, done: Any, bias: Any, step: Any, rates: Any,
    wd: Any, bias_wd: Any,
) -> None:  # fmt: skip
    """Bring all columns up to ``step``; ``bias`` may have no rows."""
    for c in range(lo, hi):
        _catch_up(weight[c], moments[c, 0], moments[c, 1], done[c], step, rates, wd)
        if bias.shape[0] > 0:
            b, bm, bv = bias[c, 0:1], bias[c, 1:2], bias[c, 2:3]
            _catch_up(b, bm, bv, done[c], step, rates, bias_wd)
        done[c] = step


@_jit
def squared_error(
    lo: Any, hi: Any, ptr: Any, rows: Any, ratings: Any, code: Any, kind: Any, W: Any, bias: Any,
    low: Any, high: Any,
) -> float:  # fmt: skip
    """Sum of ``(pred - r)^2`` over held-out ratings, predictions clipped to ``low .. high``."""
    total = 0.0
    for c in range(lo, hi):
        for k in range(ptr[c], ptr[c + 1]):
            pred = _activate(kind, _dot(W[c], code[rows[k]]) + bias[c, 0])
            error = min(max(pred, low), high) - ratings[k]
            total += error * error
    return total


_KERNELS = (
    sort_by_column, share_columns, adam, decoder_pass, encoder_pass, settle, squared_error,
)  # fmt: skip


def kernels_are_cached() -> bool:
    """Tell whether the kernels have been compiled on this machine, so that a start is quick.

    Compiling takes some seconds, once: say so before the first call where this is False.
    """
    newest = Path(__file__).stat().st_mtime
    for kernel in _KERNELS:
        name = f"{Path(__file__).stem}.{kernel.py_func.__name__}-*.nbi"
        files = Path(kernel.stats.cache_path or "").glob(name)
        if not any(file.stat().st_mtime >= newest for file in files):
            return False
    return True


def compile_kernels() -> None:
    """Compile every kernel, or load it, by running it on nothing."""
    ints, longs, floats = np.zeros(2, np.int32), np.zeros(2, np.int64), np.zeros(2, _F)
    none, table, moments = longs[:0], np.zeros((1, 3), _F), np.zeros((1, 2, 3), _F)
    sort_by_column(longs, ints, floats, none, ints, ints, floats)
    share_columns(ints, ints, longs)
    adam(floats, floats, floats, floats, _ZERO, _ZERO)
    decoder_pass(
        0, 0, ints, ints, floats, table, 0, _ZERO,
        table, moments, table, ints, 0, floats, _ZERO, _ZERO, table, floats,
    )  # fmt: skip
    encoder_pass(
        0, 0, ints, ints, floats, table, ints, ints, floats,
        table, moments, ints, 0, floats, _ZERO, table, floats,
    )  # fmt: skip
    settle(0, 0, table, moments, ints, table, 0, floats, _ZERO, _ZERO)
    squared_error(0, 0, ints, ints, floats, table, 0, table, table, _ZERO, _ZERO)
