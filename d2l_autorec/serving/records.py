"""Tables as plain values, for JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd


def plain_values(column: pd.Series) -> list[Any]:
    """Return a column as plain Python values: None for what is missing."""
    missing = column.isna().tolist()
    return [None if lacks else value for value, lacks in zip(column.tolist(), missing)]


def records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows as plain Python values: None for what is missing, six decimals."""
    columns = [
        [round(cell, 6) if isinstance(cell, float) else cell for cell in plain_values(cells)]
        for _, cells in table.items()
    ]
    return [dict(zip(table.columns, row)) for row in zip(*columns)]
