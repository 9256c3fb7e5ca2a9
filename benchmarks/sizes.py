"""What is trained on, for how long, and by which engines."""

from __future__ import annotations

from dataclasses import dataclass

BATCH = 256
WIDTH = 500
LARGE_BATCH = 1024
ENGINES = ("fast", "sparse", "torch", "torch-fused")
LARGE = f"sparse, batches of {LARGE_BATCH}"


@dataclass(frozen=True)
class Size:
    """A matrix and how much of it is trained on in one measurement.

    Where whole epochs of the dense engines would take too long, they are timed on some batches.
    """

    shape: tuple[int, int, int]  # users, items, ratings
    epochs: int  # timed
    dense_batches: int | None = None
    engines: tuple[str, ...] = ENGINES

    @property
    def cells(self) -> int:
        """Users times items."""
        return self.shape[0] * self.shape[1]


SIZES = {
    "toy": Size((400, 300, 12_000), 2),
    "ml-100k": Size((943, 1682, 100_000), 25),
    "ml-1m": Size((6040, 3706, 1_000_209), 4),
    "ml-10m": Size((69_878, 10_677, 10_000_054), 2, 6, (*ENGINES, LARGE)),
    "ml-20m": Size((138_493, 26_744, 20_000_263), 2, engines=("sparse", LARGE)),
    "netflix": Size((480_189, 17_770, 100_480_507), 2, engines=(LARGE,)),
}
"""MovieLens 100K itself; for the others, synthetic ratings of that size."""


def title(size: str) -> str:
    """What a size is called in tables."""
    if size == "toy":
        return "toy (synthetic)"
    if size == "ml-100k":
        return "ML-100K"
    return f"{size.upper() if size.startswith('ml-') else size.title()} shape (synthetic)"
