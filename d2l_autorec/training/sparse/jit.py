"""How the sparse engine compiles its kernels."""

from __future__ import annotations

from typing import Any

from numba import njit


def jit(function: Any) -> Any:
    """Compile a kernel, and keep it for the next process where there is a place for it.

    Sums may be reordered for the vector units; divisions and roots stay as IEEE has them.
    """
    fastmath = {"reassoc", "contract", "nsz"}
    options: Any = {"nogil": True, "error_model": "numpy", "fastmath": fastmath}
    try:
        return njit(cache=True, **options)(function)
    except RuntimeError:  # neither the installation nor the user's home can be written
        return njit(**options)(function)
