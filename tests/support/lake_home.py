"""Two homes that get the same rows: one as files, or from a database, through the loader, one from a folder of the lake
through Spark. And what raw has of them, so that they can be held against each other.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from retention_pipeline.contracts import CONTRACTS
from retention_pipeline.ingest import ingest
from retention_pipeline.ingest.result import IngestResult
from retention_pipeline.settings import Home, Settings, load_settings
from retention_pipeline.transform.engine import loaders, rows_in_lake
from retention_pipeline.transform.spark.local_server import local_server
from retention_pipeline.warehouse import opened_raw
from support.spark_home import ON_SPARK, REMOTE

NOT_COMPARED = ("_loaded_at", "_superseded_at")


@contextmanager
def spark_for_tests(folder: Path) -> Iterator[str]:
    """The address of a Spark: of one that runs already, where the variable has it, else of one for this block."""
    known = os.environ.get(REMOTE)
    if known:
        yield known
        return
    with local_server(folder) as address:
        yield address


class Lakeside:
    """A folder with the lake and with two homes, `here` and `lake`, that have the same settings of each source.

    `as_pulls`: the rows of `here` are a table of a DuckDB file that is read whole, else a file per night.
    """

    def __init__(self, root: Path, sources: Mapping[str, Mapping[str, Any]], *, as_pulls: bool = False) -> None:
        self.root, self.sources, self.as_pulls, self.nights = root, sources, as_pulls, 0
        general: dict[str, Any] = {
            "business": {"timezone": "Europe/Amsterdam", "reporting_currency": "EUR"},
            "max_quarantine_rate": 1.0,
        }
        for kind in ("here", "lake"):
            (root / kind).mkdir()
            places = {name: {**source, **self._place(kind, name)} for name, source in sources.items()}
            schema = "t_" + "".join(sign for sign in root.name.lower() if sign.isalnum())[-30:]
            engine = {"engine": "spark", "spark": {"remote": {"env": REMOTE}, "schema": schema}}
            content = general | {"sources": places} | (engine if kind == "lake" else {})
            (root / kind / "settings.yaml").write_text(yaml.safe_dump(content))

    def _place(self, kind: str, name: str) -> dict[str, Any]:
        if kind == "lake":
            return {"type": "lake", "folder": str(self.root / "tables" / name)}
        if self.as_pulls:
            return {"type": "duckdb", "path": str(self.root / "shop.duckdb"), "table": name}
        return {"type": "files", "path": f"landing/{name}/*.parquet"}

    def home(self, kind: str) -> Home:
        return Home(self.root / kind)

    def settings(self, kind: str) -> Settings:
        return load_settings(self.home(kind))

    def put(self, tables: Mapping[str, pa.Table]) -> None:
        """What the tables hold from now on."""
        self.nights += 1
        for name, table in tables.items():
            folder = self.root / "tables" / name
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            pq.write_table(table, folder / f"part-{self.nights}.parquet")
            landing = self.root / "here" / "landing" / name
            landing.mkdir(parents=True, exist_ok=True)
            pq.write_table(table, landing / f"night-{self.nights:03}.parquet")
            if self.as_pulls:
                with duckdb.connect(str(self.root / "shop.duckdb")) as shop:
                    shop.register("rows_now", table)
                    shop.execute(f'create or replace table "{name}" as from rows_now')

    def load(self, kind: str) -> IngestResult:
        settings = self.settings(kind)
        now = datetime(2024, 6, max(1, self.nights), 2)
        return ingest(self.home(kind), settings, now=now, lake_loader=loaders(settings).get("lake_loader"))

    def night(self, tables: Mapping[str, pa.Table]) -> tuple[dict[str, Any], dict[str, Any]]:
        """Put tables, load both homes; what raw has of each."""
        self.put(tables)
        for kind in ("here", "lake"):
            failed = [load.error for load in self.load(kind).loads if load.status not in ("loaded", "already_loaded")]
            assert failed == []
        return self.raw("here"), self.raw("lake")

    def raw(self, kind: str) -> dict[str, Any]:
        """By table of raw its rows as texts, without what a night's time is in; what the last loads refused and
        counted; the customers' keys.
        """
        settings, found = self.settings(kind), {}
        with opened_raw(self.home(kind)) as raw:
            in_lake = rows_in_lake(self.home(kind), settings)
            for name in self.sources:
                contract = CONTRACTS[settings.dataset_of(name)]
                for table, columns in (
                    (contract.dataset, contract.raw_columns),
                    (f"{contract.dataset}_history", contract.history_columns),
                ):
                    files = in_lake.get(table)  # a table without rows has none
                    relation = f"read_parquet({[str(file) for file in files]})" if files else f"raw.{table}"
                    listed = ", ".join(
                        f'cast(cast("{column}" as {type_}) as varchar)'
                        for column, type_ in columns
                        if column not in NOT_COMPARED
                    )
                    found[table] = sorted(raw.execute(f"select {listed} from {relation}").fetchall(), key=repr)
                last = "load_id = (select max(load_id) from raw.ledger where dataset = $1)"
                found[f"{name} refused"] = sorted(
                    raw.execute(
                        f"select reason, key, count(*) from raw.quarantine where dataset = $1 and {last} group by all",
                        [contract.dataset],
                    ).fetchall(),
                    key=repr,
                )
                found[f"{name} counts"] = raw.execute(
                    f"""select n_good, n_bad, n_new, n_changed, n_unchanged, n_stale, drift
                    from raw.ledger where dataset = $1 and {last}""",
                    [contract.dataset],
                ).fetchall()
            found["customers' keys"] = raw.execute("select * from raw.customer_keys order by all").fetchall()
        return found


def differences(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> dict[str, Any]:
    """By table the first rows that only one of two raws has."""
    return {
        name: (
            [one for one in ours[name] if one not in theirs[name]][:2],
            [one for one in theirs[name] if one not in ours[name]][:2],
        )
        for name in ours
        if ours[name] != theirs[name]
    }


def into_the_lake(root: Path, *datasets: str) -> None:
    """Turn a home of files so that the sources of some datasets are folders of the lake with the same rows as text."""
    home = Home(root)
    content = yaml.safe_load(home.settings_file.read_text()) | ON_SPARK
    for name in datasets:
        source = content["sources"][name]
        folder = root / "tables" / name
        folder.mkdir(parents=True)
        files = source.pop("path")
        with duckdb.connect() as connection:
            connection.execute(
                f"copy (from read_csv('{root / files}', all_varchar = true, header = true, nullstr = ''))"
                f" to '{folder / 'part-1.parquet'}' (format parquet)"
            )
        source |= {"type": "lake", "folder": str(folder)}
    home.settings_file.write_text(yaml.safe_dump(content, sort_keys=False))
