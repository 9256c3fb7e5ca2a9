"""AutoRec as in *Dive into Deep Learning*: the chapter, its data, and the model taken further.

Reading order:

1. `d2l_autorec.chapter.autorec`: the network, its evaluator and its training, as in the book.
2. `d2l_autorec.data`: how ratings become a training matrix and held-out ratings.
3. `d2l_autorec.experiments.reproduce`: the chapter's run beside the book's numbers.
4. `d2l_autorec.models` and `d2l_autorec.training`: the same model, general and fast.

Importing the package loads neither MXNet nor d2l; the three names below do, when first used. It
installs the import hook of `d2l_autorec.compat`, which makes MXNet run on today's Python.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from d2l_autorec import compat

if TYPE_CHECKING:
    from d2l_autorec.chapter.autorec import AutoRec, evaluator, train_autorec

__version__ = "0.1.0"
__all__ = ["AutoRec", "evaluator", "train_autorec"]

compat.install()


def __getattr__(name: str) -> Any:
    """Import the chapter's names on first use (PEP 562)."""
    if name in __all__:
        from d2l_autorec.chapter import autorec

        return getattr(autorec, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
