"""How the sparse engine compiles its kernels."""

from __future__ import annotations

import contextlib
from typing import Any

from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic
from numba.np.arrayobj import make_array

from d2l_autorec.training.sparse.cache import CheckedCache


def jit(function: Any) -> Any:
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


def _prefetch(typing: Any, array: Any, place: Any) -> Any:
    """Have the cache line of a place in an array brought to the second level of the cache.

    Delete the cached kernels by hand after a change here: numba does not see it.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = make_array(signature.args[0])(context, builder, arguments[0]).data
        address = builder.bitcast(builder.gep(data, [arguments[1]]), cgutils.voidptr_t)
        number = ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [address.type, number, number, number])
        call = builder.module.declare_intrinsic("llvm.prefetch", [address.type], kind)
        builder.call(call, [address, number(0), number(2), number(1)])  # to read; level 2; data
        return context.get_dummy_value()

    return types.void(array, types.intp), generate


prefetch: Any = intrinsic(_prefetch)
