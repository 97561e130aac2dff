"""Files as a company's systems deliver them: CSV, compressed CSV, Parquet, and lines that are broken.

Only the writing. What is in a file is decided by people.py, shop.py, plans.py and rates.py.
"""

import gzip
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pandas as pd

ROWS_PER_BROKEN_LINE = 40


@dataclass(frozen=True)
class Landing:
    """Writes files below `root`/landing; byte for byte the same for the same rows."""

    root: Path

    def write(
        self, dataset: str, name: str, rows: pd.DataFrame, *, broken: Sequence[str] = (), folder: str = "landing"
    ) -> None:
        """Write rows as `folder`/`dataset`/`name`; the suffix of `name` decides the form. No rows, no file.

        `broken` are lines to add as they stand, spread over the file (CSV only): so few of them that the load stays far
        from what `max_quarantine_rate` refuses, also of a small company.
        """
        if rows.empty:
            return
        target = self.root / folder / dataset / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.suffix == ".parquet":
            self._write_parquet(target, rows)
            return
        text = rows.to_csv(index=False, lineterminator="\n")
        if broken := broken[: len(rows) // ROWS_PER_BROKEN_LINE]:
            text = _with_lines_between(text, broken)
        data = text.encode("utf-8")
        target.write_bytes(gzip.compress(data, mtime=0) if target.suffix == ".gz" else data)

    def _write_parquet(self, target: Path, rows: pd.DataFrame) -> None:
        """Money (columns whose name ends in Total) as decimal, as a database's own export would have it."""
        columns = ", ".join(
            f'cast("{name}" as decimal(18, 2)) as "{name}"' if name.endswith("Total") else f'"{name}"'
            for name in map(str, rows)
        )
        with duckdb.connect(config={"threads": 1}) as connection:
            connection.register("rows", rows)
            connection.execute(f"copy (select {columns} from rows) to '{target}' (format parquet, compression zstd)")


def _with_lines_between(text: str, broken: Sequence[str]) -> str:
    """The text with each broken line put after an equal share of the others, never before the header."""
    lines = text.splitlines()
    step = max(1, len(lines) // (len(broken) + 1))
    for number, line in enumerate(broken, start=1):
        lines.insert(min(len(lines), 1 + number * step), line)
    return "\n".join(lines) + "\n"
