"""A reader who opens published/current.duckdb again and again, and ends with an error at the first look that does not
show one of the known generations, whole.

A program of its own, so that it opens the file as analysts do: `python -m kills.watcher HOME KNOWN.json PAUSE`. KNOWN
is a list of known contents ({as_of, applied_load_id, tables}; any load where that is null). It looks once every PAUSE
seconds; a line on standard input asks for a thorough look at all tables, answered by a line of JSON about it; the end
of input ends it.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import duckdb

from kills.contents import Contents, hashed, warehouse_tables
from retention_pipeline.settings import Home

KEY = "kpi, grain, period_start, basis, segment_dimension, segment_value"
BRIDGE = """
select count(*), count(*) filter (
    where customers_start + customers_new + customers_reactivated - customers_lost <> customers_end)
from current.main.period_customers
"""


class NotWhole(Exception):
    """What a look found."""


@dataclass
class Seen:
    """How many looks there were, at how many tables in all, and the generation of the last one (None: not there)."""

    looks: int = 0
    thorough: int = 0
    generation: int | None = None


def look(home: Path, known: list[dict[str, Any]], seen: Seen, *, thorough: bool = False) -> None:
    """Open, ask, close; raises NotWhole, or what opening raises. Before the first generation nothing need be there."""
    current = Home(home).current
    if seen.generation is None and not os.path.lexists(current):
        seen.looks += 1
        return
    with duckdb.connect() as connection:
        connection.execute(f"attach '{current}' as current (read_only)")
        states = connection.execute(
            "select generation, cast(as_of as varchar), applied_load_id from current.main.pipeline_state"
        ).fetchall()
        if len(states) != 1:
            raise NotWhole(f"pipeline_state has {len(states)} rows")
        generation, as_of, load = states[0]
        if generation < (seen.generation or 0):
            raise NotWhole(f"generation {generation} after {seen.generation}")
        expected = next(
            (one for one in known if one["as_of"] == as_of and one["applied_load_id"] in (None, load)), None
        )
        if expected is None:
            raise NotWhole(f"generation {generation} as of {as_of} with load {load} is not known")
        tables = warehouse_tables(connection, "current", with_pulls=expected["applied_load_id"] is None)
        _compare(connection, tables, expected["tables"], thorough=thorough)
    seen.generation = generation
    seen.looks += 1
    seen.thorough += thorough


def _compare(
    connection: duckdb.DuckDBPyConnection, tables: dict[str, str], expected: Contents, *, thorough: bool
) -> None:
    # What a night notes about itself depends on how often it was begun.
    named = {table for table in expected if not table.startswith("night_")}
    if not named <= tables.keys():
        raise NotWhole(f"no table {', '.join(sorted(named - tables.keys()))}")
    counts = " union all ".join(f"select '{table}', count(*) from ({tables[table]})" for table in sorted(named))
    for table, number in connection.execute(counts).fetchall():
        if number != expected[table][0]:
            raise NotWhole(f"{table} has {number:,} rows, not {expected[table][0]:,}")
    periods, open_bridges = _one_row(connection, BRIDGE)
    if not periods or open_bridges:
        raise NotWhole(f"{open_bridges} of {periods} bridges do not close")
    if thorough:
        (keys,) = _one_row(connection, f"select count(*) from (select distinct {KEY} from current.main.retention_kpis)")
        if keys != expected["retention_kpis"][0]:
            raise NotWhole(f"{keys:,} keys of retention_kpis in {expected['retention_kpis'][0]:,} rows")
    for table in sorted(named) if thorough else ["retention_kpis", "period_customers"]:
        if list(hashed(connection, tables[table])) != list(expected[table]):
            raise NotWhole(f"{table} has other rows than it had")


def _one_row(connection: duckdb.DuckDBPyConnection, query: str) -> tuple[Any, ...]:
    row = connection.execute(query).fetchone()
    assert row is not None
    return row


class Watch:
    """The watcher as a process beside the runs; ending the block asks for its last answer and raises what it found."""

    def __init__(self, home: Home, known: Path, pause: float) -> None:
        command = [sys.executable, "-m", "kills.watcher", str(home.root), str(known), str(pause)]
        tests = Path(__file__).resolve().parent.parent
        folders = os.pathsep.join([str(tests), str(tests.parent)])
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": folders},
        )
        self.seen = Seen()

    def look(self) -> Seen:
        """A thorough look, now; raises NotWhole with what the watcher said if one of its looks has failed."""
        assert self.process.stdin is not None and self.process.stdout is not None
        try:
            self.process.stdin.write("look\n")
            self.process.stdin.flush()
            answer = self.process.stdout.readline()
        except BrokenPipeError:
            answer = ""
        if not answer:
            _, said = self.process.communicate()
            raise NotWhole(said)
        self.seen = Seen(**json.loads(answer))
        return self.seen

    def __enter__(self) -> Watch:
        return self

    def __exit__(self, *error: object) -> None:
        _, said = self.process.communicate()  # closes its input, which is the end
        if self.process.returncode:
            raise NotWhole(said)


def main() -> None:
    """Look until the input ends."""
    home, known, pause = Path(sys.argv[1]), json.loads(Path(sys.argv[2]).read_text()), float(sys.argv[3])
    seen = Seen()
    look(home, known, seen, thorough=True)
    while True:
        asked, _, _ = select.select([sys.stdin], [], [], pause)
        if asked and not sys.stdin.readline():
            break
        look(home, known, seen, thorough=bool(asked))
        if asked:
            print(json.dumps(asdict(seen)), flush=True)


if __name__ == "__main__":
    main()
