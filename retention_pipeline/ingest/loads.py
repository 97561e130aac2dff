"""Which loads raw.duckdb holds: up to which one figures can be made, and how many wait for the next run."""

from retention_pipeline.settings import Home
from retention_pipeline.warehouse import opened_raw


def max_load_id(home: Home) -> int:
    """The highest load in raw, -1 if nothing was ever loaded."""
    if not home.raw_file.exists():
        return -1
    with opened_raw(home) as connection:
        row = connection.execute("select coalesce(max(load_id), -1) from raw.ledger").fetchone()
    return int(row[0]) if row else -1


def waiting_loads(home: Home, applied_load_id: int) -> int:
    """How many loads brought something to raw since this one."""
    if not home.raw_file.exists():
        return 0
    question = "select count(*) from raw.ledger where status = 'loaded' and load_id > $1"
    with opened_raw(home) as connection:
        row = connection.execute(question, [applied_load_id]).fetchone()
    return int(row[0]) if row else 0


def datasets_loaded(home: Home, applied_load_id: int) -> frozenset[str]:
    """The datasets of which loads up to this one are in raw."""
    if not home.raw_file.exists():
        return frozenset()
    with opened_raw(home) as connection:
        question = "select distinct dataset from raw.ledger where status = 'loaded' and load_id <= $1"
        return frozenset(name for (name,) in connection.execute(question, [applied_load_id]).fetchall())


def any_rows(home: Home) -> bool:
    """Whether any load brought a row that could be used."""
    if not home.raw_file.exists():
        return False
    with opened_raw(home) as connection:
        question = "select exists (from raw.ledger where status = 'loaded' and n_good > 0)"
        row = connection.execute(question).fetchone()
    return bool(row and row[0])
