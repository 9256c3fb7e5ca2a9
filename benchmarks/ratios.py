"""The ratios that the engines are to reach, and what was measured."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import Any

from benchmarks.parts import IMPORTS, WHOLE
from benchmarks.sizes import LARGE, SIZES, title

MEMORY = 4e9
STEP_FLOPS = 5 * 2 * 500  # for a cell: five products in a dense step


@dataclass(frozen=True)
class Ratio:
    """One line of the table."""

    what: str
    value: float | None  # None where something it needs was not measured
    limit: float | None = None  # None for a line that only informs
    least: bool = False  # whether the limit is the least, not the most
    form: str = "{:.3g}"  # how to print the value

    @property
    def shown(self) -> str:
        """The value as printed."""
        return "" if self.value is None else self.form.format(self.value)

    @property
    def target(self) -> str:
        """The limit as printed."""
        if self.limit is None:
            return ""
        return f"at {'least' if self.least else 'most'} {self.form.format(self.limit)}"

    @property
    def verdict(self) -> str:
        """Met or not."""
        if self.value is None or self.limit is None:
            return ""
        met = self.value >= self.limit if self.least else self.value <= self.limit
        return "met" if met else "**not met**"


def ratios(record: dict[str, Any]) -> list[Ratio]:
    """Work out all ratios for which there are readings."""
    parts = record["parts"]

    def of(key: str, case: str, field: str = "value") -> float | None:
        readings = parts.get(key, {}).get("readings", [])
        values = [r[field] for r in readings if r["case"] == case and r.get(field) is not None]
        return median(values) if values else None

    def lowest(key: str, *cases: str) -> float | None:
        found = [value for case in cases if (value := of(key, case)) is not None]
        return min(found) if found else None

    lines: list[Ratio] = []

    def add(what: str, value: float | None, limit: float | None = None, **how: Any) -> None:
        lines.append(Ratio(what, value, limit, **how))

    for command, limit in zip(WHOLE, (0.25, 0.12, 0.12)):
        value = _over(of("whole:ml-100k", command), of("whole:ml-100k", "book"))
        add(f"whole `{command}` over the book, ML-100K", value, limit)
    imports = _over(of("startup", IMPORTS), of("whole:ml-100k", "book"))
    add("of that, the import of MXNet, pandas, numba and others alone", imports)
    for size, limit in (("ml-100k", 0.4), ("ml-1m", 0.25), ("ml-10m", 0.07)):
        key, name = f"train:{size}", title(size)
        torch, best = of(key, "torch"), lowest(key, "torch", "torch-fused")
        fast, sparse = of(key, "fast"), of(key, "sparse")
        add(f"fast over PyTorch with default Adam, {name}", _over(fast, torch), 1.0)
        add(f"sparse over PyTorch's better Adam, {name}", _over(sparse, best), limit)
    peaks = (of("train:ml-10m", engine, "peak_bytes") for engine in ("sparse", "fast"))
    add("peak memory, sparse over fast, ML-10M shape", _over(*peaks), 0.8)

    triad, update = (of("limits", f"memory, {name}") for name in ("triad", "update"))
    for size in ("ml-100k", "ml-1m", "ml-10m", "ml-20m"):
        part = parts.get(f"train:{size}")
        sparse = of(f"train:{size}", "sparse")
        rate = part["traffic_bytes"] / sparse / 1e9 if part and sparse else None
        target = 0.55 if size == "ml-10m" else None
        what = f"sparse: its traffic over the memory triad, {title(size)}"
        if rate is not None or target:
            add(what, _over(rate, triad), target, least=True, form="{:.0%}")
        if target:
            what = "the same over the rate of an update in place"
            add(what, _over(rate, update), form="{:.0%}")
    for size in ("ml-100k", "ml-1m", "ml-10m"):
        fast = of(f"train:{size}", "fast")
        rates = [of("limits", f"products at {size}, {by}") or 0.0 for by in ("mxnet", "numpy")]
        if fast and (best := max(rates)):
            rate = STEP_FLOPS * SIZES[size].cells / fast / 1e9
            what = f"fast: its matrix products over the machine's rate, {title(size)}"
            add(what, rate / best, form="{:.0%}")

    def cost(size: str, case: str = "sparse") -> float | None:
        return _over(of(f"train:{size}", case), parts.get(f"train:{size}", {}).get("ratings"))

    for case, limit in (("sparse", 1.8), (LARGE, 1.5)):
        ratio = _over(cost("ml-20m", case), cost("ml-1m"))
        add(f"{case}: cost of a rating, 20M over 1M", ratio, limit)
    peak = of("train:ml-20m", "sparse", "peak_bytes")
    gigabytes = None if peak is None else peak / 1e9
    add("sparse: peak memory at 20M", gigabytes, MEMORY / 1e9, form="{:.3g} GB")
    for engine, limit in (("fast", 1.3), ("sparse", 1.2)):
        key = "distributed:ml-1m"
        value = _over(of(key, f"{engine}, 2 x 1"), of(key, f"{engine}, 1 x 2"))
        what = f"dist_sync, 2 workers of 1 thread over 1 process of 2, {engine}, ML-1M shape"
        add(what, value, limit)
    for size, limit in (("ml-100k", 1.0), ("ml-1m", None)):
        for by in ("item", "user"):
            what = f"all users' ten best items, {by}-based, {title(size)}"
            add(what, of(f"recommend:{size}", f"{by}-based"), limit, form="{:.2g} s")
    help_ = of("startup", "d2l-autorec --help")
    add("`d2l-autorec --help`", help_, 0.3, form="{:.3g} s")
    imported = parts.get("startup", {}).get("imported")
    heavy = None if imported is None else len({"d2l", "matplotlib", "pandas"} & set(imported))
    what = "`import d2l_autorec` brings of d2l, matplotlib, pandas"
    add(what, heavy, 0, form="{:.0f}")
    return lines


def _over(a: float | None, b: float | None) -> float | None:
    return None if a is None or b is None else a / b
