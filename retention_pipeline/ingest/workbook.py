"""A sheet of an .xlsx workbook as lines of CSV, a line per row: what a cell shows, not how it is stored."""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Iterator
from datetime import date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any

from retention_pipeline.ingest.archive import UnusableFileError

# A cell keeps 15 digits; more are how a binary number misses a decimal one.
DIGITS = 15


def rows_of_sheet(path: Path, sheet: str | None, delimiter: str) -> Iterator[str]:
    """The rows of a sheet, the only one where none is named. Raises UnusableFileError."""
    from openpyxl import load_workbook
    from openpyxl.utils.exceptions import InvalidFileException

    try:
        with path.open("rb") as stream:
            workbook = load_workbook(stream, read_only=True, data_only=True)
            formulas = load_workbook(stream, read_only=True) if _has_formulas(path) else None
            name = _sheet(workbook.sheetnames, sheet)
            cells = workbook[name].iter_rows()
            texts = formulas[name].iter_rows() if formulas is not None else None
            for row in cells:
                asked = next(texts, ()) if texts is not None else ()
                for cell, formula in zip(row, asked, strict=False):
                    if cell.value is None and str(formula.value or "").startswith("="):
                        raise UnusableFileError(
                            f"cell {formula.coordinate} of sheet {name} is a formula that was never calculated:"
                            " open the workbook in a spreadsheet and save it"
                        )
                yield _line([_shown(cell) for cell in row], delimiter)
    except (zipfile.BadZipFile, InvalidFileException, KeyError, OSError) as error:
        raise UnusableFileError(f"not a complete .xlsx workbook: {error}") from None


def _sheet(names: list[str], asked: str | None) -> str:
    if asked is None and len(names) == 1:
        return names[0]
    if asked not in names:
        said = f"there is no sheet {asked!r}" if asked else "the workbook has several sheets; name one (sheet: …)"
        raise UnusableFileError(f"{said}; it has: {', '.join(names)}")
    return asked


def _has_formulas(path: Path) -> bool:
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            if name.startswith("xl/worksheets/") and name.endswith(".xml"):
                before = b""
                with archive.open(name) as stream:
                    while block := stream.read(1 << 20):
                        if b"<f>" in before + block or b"<f " in before + block:
                            return True
                        before = block[-3:]
    return False


def _shown(cell: Any) -> str:
    value = cell.value
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return format(Decimal(format(value, f".{DIGITS}g")), "f")
    if isinstance(value, datetime):
        is_day = value.time() == time() and "h" not in str(cell.number_format or "").lower()
        return value.date().isoformat() if is_day else value.isoformat(sep=" ")
    if isinstance(value, date | time):
        return value.isoformat()
    return " ".join(str(value).splitlines())


def _line(values: list[str], delimiter: str) -> str:
    if not any(values):
        return "\n"
    written = io.StringIO()
    csv.writer(written, delimiter=delimiter, lineterminator="\n").writerow(values)
    return written.getvalue()
