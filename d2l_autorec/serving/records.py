"""Tables as plain values, for JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd


def records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows as plain Python values: None for what is missing, six decimals."""
    import pandas as pd

    def value(cell: Any) -> Any:
        if cell is None or cell is pd.NA or cell != cell:  # nan
            return None
        return round(cell, 6) if isinstance(cell, float) else cell

    columns = [map(value, cells.tolist()) for _, cells in table.items()]
    return [dict(zip(table.columns, row)) for row in zip(*columns)]
