"""numba's cache on disk, with digests: numba itself loads damaged machine code, and crashes."""

from __future__ import annotations

import contextlib
import hashlib
import os
import pickle
from typing import Any

from numba.core.caching import FunctionCache, IndexDataCacheFile


class CheckedCache(FunctionCache):
    """The cache of one kernel. What is wrong with it costs a compilation, and never a run.

    A damaged file is deleted. What cannot be written, on a full disk for one, is not kept.
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
