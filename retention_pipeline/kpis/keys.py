"""The key of a cell, in the words of SQL: by which columns cells and rows of figures are found."""

from __future__ import annotations

KEY = ("grain", "period_start", "basis", "segment_dimension", "segment_value")


def same_key(left: str, right: str, columns: tuple[str, ...] = KEY) -> str:
    """SQL: two relations' rows are of the same cell."""
    return " and ".join(f"{left}.{name} = {right}.{name}" for name in columns)
