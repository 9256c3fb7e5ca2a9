"""How the sparse engine compiles its kernels and keeps them on disk."""

from __future__ import annotations

import contextlib
import hashlib
import os
import pickle
from typing import Any

from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.core.caching import FunctionCache, IndexDataCacheFile
from numba.extending import intrinsic
from numba.np.arrayobj import make_array


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


class CheckedCache(FunctionCache):
    """The cache of one kernel, with digests: numba loads damaged machine code, and crashes.

    What is wrong with the cache costs a compilation, and never a run. A damaged file is deleted.
    What cannot be written, on a full disk for one, is not kept.
    """

    def __init__(self, py_func: Any) -> None:
        super().__init__(py_func)
        locator = self._impl.locator
        self._cache_file = _CheckedFile(
            cache_path=locator.get_cache_path(),
            filename_base=self._impl.filename_base,
            source_stamp=locator.get_source_stamp(),
        )

    def holds_any(self) -> bool:
        """Return whether something is kept that was compiled from the kernel as it is."""
        try:
            return bool(self._cache_file._load_index())
        except Exception:
            return False

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Load what was compiled for a signature; None if it is not there or damaged."""
        try:
            return super().load_overload(sig, target_context)
        except Exception:
            self._cache_file.remove()
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep what was compiled for a signature, if it can be written."""
        with contextlib.suppress(OSError):
            super().save_overload(sig, data)


class _CheckedFile(IndexDataCacheFile):
    """An index and the files that it names; a digest stands before each content."""

    def remove(self) -> None:
        """Delete the index; the files that it named will be written anew."""
        with contextlib.suppress(OSError):
            os.unlink(self._index_path)

    def _load_index(self) -> Any:
        try:
            with open(self._index_path, "rb") as file:
                content = file.read()
        except FileNotFoundError:
            return {}
        return self._content(content)

    def _save_index(self, overloads: Any) -> None:
        with self._open_for_write(self._index_path) as file:
            file.write(self._dump(overloads))

    def _load_data(self, name: str) -> Any:
        with open(self._data_path(name), "rb") as file:
            return self._content(file.read())

    def _dump(self, obj: Any) -> bytes:
        data = super()._dump(obj)
        return self._digest(data) + data

    def _content(self, content: bytes) -> Any:
        digest, data = content[:32], content[32:]
        if digest != self._digest(data):
            raise ValueError("damaged, or of another version of the kernels or of numba")
        return pickle.loads(data)

    def _digest(self, data: bytes) -> bytes:
        of = repr((self._version, self._source_stamp)).encode()
        return hashlib.sha256(of + data).digest()
