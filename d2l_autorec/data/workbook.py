"""Excel workbooks, where openpyxl is installed: a sheet becomes CSV, which is read as such."""

from __future__ import annotations

import csv
import io
from typing import Any

from d2l_autorec.data.blobs import MAX_UNPACKED, Blob, open_archive, readable
from d2l_autorec.errors import InputError, plain
from d2l_autorec.packages import require


def sheet_as_csv(blob: Blob) -> Blob:
    """Make CSV of the sheet of a workbook that has something on it.

    Formulas count as the values that Excel saved. Each row has a line, so that messages name the
    row. Raises an InputError if openpyxl is missing, the workbook is damaged or empty, or several
    sheets have something on them.
    """
    what = f"{blob.label} is an Excel workbook, which"
    openpyxl = require("openpyxl", "excel", what, ", or save the sheet as CSV")
    with readable(blob.label), blob.open() as stream:
        content = stream.read(MAX_UNPACKED)
    open_archive(content, blob.label)
    try:
        book = openpyxl.load_workbook(io.BytesIO(content), read_only=True, data_only=True)
        filled = {sheet.title: text for sheet in book.worksheets if (text := _text(sheet))}
        book.close()
    except Exception as error:  # openpyxl lets through whatever a damaged part brings about
        words = " ".join(plain(error).split()) or type(error).__name__
        raise InputError(
            f"{blob.label} is damaged ({words[:200]}); save the workbook again, or as CSV."
        ) from error
    if len(filled) != 1:
        found = f"has several sheets ({', '.join(list(filled)[:5])})" if filled else "is empty"
        raise InputError(f"{blob.label} {found}; save the sheet with the ratings as CSV.")
    data = next(iter(filled.values())).encode()
    return Blob(blob.label, blob.name + ".csv", lambda: io.BytesIO(data))


def _text(sheet: Any) -> str:
    rows = [[_cell(value) for value in row] for row in sheet.iter_rows(values_only=True)]
    width = max((i + 1 for row in rows for i, cell in enumerate(row) if cell), default=0)
    file = io.StringIO()
    csv.writer(file, lineterminator="\n").writerows(row[:width] for row in rows if width)
    return file.getvalue()


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
