"""The compiled loops of the sparse engine.

All of them walk over *columns* (users, where the rows are items). A column owns one row of each
weight matrix, ``V[c]`` (column c of the chapter's encoder weight) and ``W[c]`` (row c of its
decoder weight), with Adam's two moments beside it, so that a thread reads and writes each of them
once in a pass. Every pass works on the columns ``lo`` to ``hi``, which is one thread's share,
adds into arrays of its own thread, and releases the interpreter lock.

A column without a rating in a batch still changes: its moments fade and the decay goes on. That
depends on nothing but the column, so it is put off until the column is next needed, and then done
step by step with the same arithmetic (``_catch_up``).

Shapes: (batch, width) for ``code`` and ``delta``, (columns, 3) for the bias and its moments.

Numba compiles a kernel anew when its own file changes, so what they call stands here with them.
"""

from __future__ import annotations

import math
from typing import Any

from numpy import float32 as Float
from numpy import ndarray as Array

from d2l_autorec.models.activations import ACTIVATIONS, SELU_ALPHA, SELU_SCALE
from d2l_autorec.training.sparse.jit import jit, prefetch
from d2l_autorec.training.sparse.tuples import Entries, Layer, Steps

IDENTITY, SIGMOID, TANH, RELU, ELU, SELU = range(len(ACTIVATIONS))

_ZERO, _ONE = Float(0), Float(1)
_BETA1, _BETA2, _EPSILON = Float(0.9), Float(0.999), Float(1e-8)  # MXNet's defaults
_REST1, _REST2 = _ONE - _BETA1, _ONE - _BETA2


@jit
def adam(w: Array, m: Array, v: Array, g: Array, rate: Float, wd: Float) -> None:
    """One step of MXNet's ``adam_update``; ``rate`` is the bias-corrected learning rate.

    ``g += wd w``, ``m = b1 m + (1 - b1) g``, ``v = b2 v + (1 - b2) g^2``,
    ``w -= rate m / (sqrt(v) + eps)``
    """
    for j in range(w.size):
        grad = g[j] + wd * w[j]
        m[j] = _BETA1 * m[j] + _REST1 * grad
        v[j] = _BETA2 * v[j] + _REST2 * grad * grad
        w[j] -= rate * m[j] / (math.sqrt(v[j]) + _EPSILON)


@jit
def _catch_up(
    w: Array, m: Array, v: Array, start: int, stop: int, rates: Array, wd: Float
) -> None:
    """Take the steps ``start`` to ``stop``, in which this column had no rating: ``g = wd w``."""
    for step in range(start, stop):
        for j in range(w.size):
            grad = wd * w[j]
            m[j] = _BETA1 * m[j] + _REST1 * grad
            v[j] = _BETA2 * v[j] + _REST2 * grad * grad
            w[j] -= rates[step] * m[j] / (math.sqrt(v[j]) + _EPSILON)


@jit
def _activate(kind: int, z: Any) -> Any:
    if kind == SIGMOID:
        return _ONE / (_ONE + math.exp(-z))
    if kind == TANH:
        return math.tanh(z)
    if kind == RELU:
        return max(z, _ZERO)
    if kind == ELU:
        return z if z > _ZERO else math.expm1(z)
    if kind == SELU:
        return Float(SELU_SCALE) * (z if z > _ZERO else Float(SELU_ALPHA) * math.expm1(z))
    return z


@jit
def _slope(kind: int, y: Any) -> Any:
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
        return Float(SELU_SCALE) if y > _ZERO else y + Float(SELU_SCALE * SELU_ALPHA)
    return _ONE


@jit
def _dot(x: Array, y: Array) -> Float:
    total = _ZERO
    for j in range(x.size):
        total += x[j] * y[j]
    return total


@jit
def _add(y: Array, a: Float, x: Array) -> None:
    for j in range(y.size):
        y[j] += a * x[j]


# The next three take two ratings of a column at a time, so that what these share is read once.


@jit
def _dot_pair(w: Array, x1: Array, x2: Array) -> tuple[Float, Float]:
    total1, total2 = _ZERO, _ZERO
    for j in range(w.size):
        total1 += w[j] * x1[j]
        total2 += w[j] * x2[j]
    return total1, total2


@jit
def _add_pair(y: Array, a1: Float, x1: Array, a2: Float, x2: Array) -> None:
    for j in range(y.size):
        y[j] += a1 * x1[j] + a2 * x2[j]


@jit
def _add_to_pair(y1: Array, a1: Float, y2: Array, a2: Float, x: Array) -> None:
    for j in range(x.size):
        y1[j] += a1 * x[j]
        y2[j] += a2 * x[j]


@jit
def _fetch_next(layer: Layer, c: int, hi: int, ptr: Array, next_ptr: Array) -> None:
    """Begin to read the next column that is in either batch, while this one is worked on."""
    c += 1
    while c < hi and ptr[c] == ptr[c + 1] and next_ptr[c] == next_ptr[c + 1]:
        c += 1
    if c < hi:
        w, m, v = layer.weight[c], layer.moments[c, 0], layer.moments[c, 1]
        for j in range(0, w.size, 16):  # float32 values in a cache line
            prefetch(w, j)
            prefetch(m, j)
            prefetch(v, j)


@jit
def decoder_pass(
    lo: int,
    hi: int,
    batch: Entries,
    code: Array,
    scale: Float,
    W: Layer,
    steps: Steps,
    delta: Array,
    grad: Array,
) -> float:
    """Predict the batch's ratings, and update the output layer, in one pass over its columns.

    For each rating: ``pred = f(W[c] . code[i] + bias[c])``, ``e = (pred - r) f'(pred) scale``,
    ``delta[i] += e W[c]`` and the column's gradient ``+= e code[i]``; then Adam on ``W[c]`` and
    ``bias[c]``. Returns the sum of ``(pred - r)^2``.
    """
    ptr, rows, ratings = batch
    step, rates, wd, bias_wd = steps
    bias, kind = W.bias, W.kind
    loss = 0.0
    delta[:] = _ZERO
    for c in range(lo, hi):
        if ptr[c] == ptr[c + 1]:
            continue
        _fetch_next(W, c, hi, ptr, ptr)
        w, m, v = W.weight[c], W.moments[c, 0], W.moments[c, 1]
        b, bm, bv = bias[c, 0:1], bias[c, 1:2], bias[c, 2:3]
        _catch_up(w, m, v, W.done[c], step, rates, wd)
        _catch_up(b, bm, bv, W.done[c], step, rates, bias_wd)
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
        W.done[c] = step + 1
    return loss


@jit
def encoder_pass(
    lo: int,
    hi: int,
    batch: Entries,
    delta: Array,
    following: Entries,
    V: Layer,
    steps: Steps,
    pre: Array,
    grad: Array,
) -> None:
    """Update the input layer for this batch, and read the next one with the new weights.

    The column's gradient is the sum of ``r delta[i]`` over its ratings in this batch, then Adam on
    ``V[c]``, then ``pre[i] += r V[c]`` for its ratings in the next batch. With an empty batch on
    either side it only does the other half.
    """
    ptr, rows, inputs = batch
    next_ptr, next_rows, next_inputs = following
    step, rates, wd, _ = steps
    pre[:] = _ZERO
    for c in range(lo, hi):
        in_batch = ptr[c] < ptr[c + 1]
        if not in_batch and next_ptr[c] == next_ptr[c + 1]:
            continue
        _fetch_next(V, c, hi, ptr, next_ptr)
        w, m, v = V.weight[c], V.moments[c, 0], V.moments[c, 1]
        if in_batch:
            _catch_up(w, m, v, V.done[c], step, rates, wd)
            grad[:] = _ZERO
            odd = ptr[c] + (ptr[c + 1] - ptr[c]) % 2
            for k in range(ptr[c], odd):
                _add(grad, inputs[k], delta[rows[k]])
            for k in range(odd, ptr[c + 1], 2):
                _add_pair(grad, inputs[k], delta[rows[k]], inputs[k + 1], delta[rows[k + 1]])
            adam(w, m, v, grad, rates[step], wd)
        else:
            _catch_up(w, m, v, V.done[c], step + 1, rates, wd)
        V.done[c] = step + 1
        odd = next_ptr[c] + (next_ptr[c + 1] - next_ptr[c]) % 2
        for k in range(next_ptr[c], odd):
            _add(pre[next_rows[k]], next_inputs[k], w)
        for k in range(odd, next_ptr[c + 1], 2):
            first, second = pre[next_rows[k]], pre[next_rows[k + 1]]
            _add_to_pair(first, next_inputs[k], second, next_inputs[k + 1], w)


@jit
def settle(lo: int, hi: int, layer: Layer, steps: Steps) -> None:
    """Bring all columns up to the step at hand."""
    moments, bias, done = layer.moments, layer.bias, layer.done
    step, rates, wd, bias_wd = steps
    for c in range(lo, hi):
        w, m, v = layer.weight[c], moments[c, 0], moments[c, 1]
        _catch_up(w, m, v, done[c], step, rates, wd)
        if bias.shape[0] > 0:
            b, bm, bv = bias[c, 0:1], bias[c, 1:2], bias[c, 2:3]
            _catch_up(b, bm, bv, done[c], step, rates, bias_wd)
        done[c] = step


@jit
def squared_error(
    lo: int, hi: int, held_out: Entries, code: Array, W: Layer, low: Float, high: Float
) -> float:
    """Sum of ``(pred - r)^2`` over held-out ratings, predictions clipped to ``low .. high``."""
    total = 0.0
    ptr, rows, ratings = held_out
    for c in range(lo, hi):
        for k in range(ptr[c], ptr[c + 1]):
            pred = _activate(W.kind, _dot(W.weight[c], code[rows[k]]) + W.bias[c, 0])
            error = min(max(pred, low), high) - ratings[k]
            total += error * error
    return total
