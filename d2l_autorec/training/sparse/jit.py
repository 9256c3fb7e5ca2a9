"""How the sparse engine compiles its kernels."""

from __future__ import annotations

import contextlib
from typing import Any

from numba import njit

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
