"""A source in the lake in one night: Spark reads, checks and writes its rows there; here is written down what became of
them, as of any other load. Rows come by here where they are refused, the first thousand of them, and the ids of
customers, which get their numbers from the one registry of raw.

A load writes tables of its own (load_tables.py). They are the source's when the ledger knows the load; what a killed
one left goes with the next load, and so do the tables of the load before.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from retention_pipeline.contracts import FACT_COLUMNS
from retention_pipeline.ingest.archive import UnusableFileError
from retention_pipeline.ingest.bad_rows import BadRow
from retention_pipeline.ingest.forgotten import check_key, keyed_hash, privacy_key, read_forgotten
from retention_pipeline.ingest.hints import hints_of_ids, known_keys
from retention_pipeline.ingest.identity import begin_epoch
from retention_pipeline.ingest.lake_tables import LakeTable, lake_tables, write_lake_table
from retention_pipeline.ingest.ledger import KnownFile, LoadRecord, SourceLedger, next_load_id, write_loads
from retention_pipeline.ingest.mapping import Mapping, has_other_keys, map_columns, mapping_fingerprint
from retention_pipeline.ingest.result import LoadResult
from retention_pipeline.ingest.schema import literal
from retention_pipeline.ingest.source_loader import MassDeletion, SourceLoader
from retention_pipeline.ingest.verdicts import conflict_in_words
from retention_pipeline.ingest.versions import OUTCOMES, register_customers
from retention_pipeline.settings import LakeSource, SettingsError
from retention_pipeline.testing import stop_for_test
from retention_pipeline.transform.spark import lake_rows
from retention_pipeline.transform.spark.dialect import NotOnSpark
from retention_pipeline.transform.spark.lake import Lake
from retention_pipeline.transform.spark.lake_rows import Before
from retention_pipeline.transform.spark.load_tables import sweep_tables, tables_of
from retention_pipeline.transform.spark.session import (
    SESSION_FILE,
    SparkError,
    interrupted_after,
    is_of_spark,
    said,
    settings_for,
    spark_session,
)
from retention_pipeline.transform.spark.tables import Table, quoted, register, text

SAMPLE = 1_000  # refused rows that come by here
KINDS_OF_REASONS = 1_000
# Products of decimals as DuckDB has them: with all their digits, or none.
OF_LOADS = {"spark.sql.decimalOperations.allowPrecisionLoss": "false"}


class _LoadFailed(Exception):
    """Nothing of the load stays; str() says why."""


@dataclass
class LakeLoader(SourceLoader):
    """A source in the lake: the table as it is now, against what the load before made of it."""

    session: Any = field(default=None)
    lake: Lake = field(init=False)

    def run(self) -> list[LoadResult]:
        assert isinstance(self.source, LakeSource) and self.settings.spark is not None
        self.lake = Lake.of(self.home, self.settings.spark)
        self.mapping = mapping_fingerprint(self.contract, self.source, self.settings.business.timezone)
        self.ledger = SourceLedger.read(self.connection, self.contract.dataset, self.name)
        self.load_id = next_load_id(self.connection)
        record = self.new_record(self.source.place)
        record.result.is_pull = True
        try:
            note = self.home.warehouse / SESSION_FILE
            with (
                spark_session(self.settings, note=note) as self.session,
                _ended(self.session, self.source.max_read_time),
            ):
                for name, value in OF_LOADS.items():
                    self.session.conf.set(name, value)
                self._load(record)
        except (SparkError, SettingsError, UnusableFileError, MassDeletion, _LoadFailed) as error:
            self._failed(record, str(error))
        except NotOnSpark as error:
            self._failed(record, f"Spark cannot read by these settings: {error}. Make a column of it in the lake")
        except Exception as error:
            if not is_of_spark(error):
                raise
            self._failed(record, f"Spark: {said(error)}")
        return [record.result]

    def _failed(self, record: LoadRecord, why: str) -> None:
        result = record.result
        if result.status != "too_many_bad":
            result.status, result.error = "failed", why
            result.good = result.bad = 0
        result.load_id = None
        result.new = result.changed = result.unchanged = result.stale = 0

    def _load(self, record: LoadRecord) -> None:
        """Everything from the table in the lake to the line in the ledger."""
        assert isinstance(self.source, LakeSource)
        relation = relation_of(self.source)
        stamp, size = self._state(relation)
        record.size = size
        dropped = sorted(self.settings.privacy.drop.get(self.name, ()))
        state = f"{relation} {dropped} {stamp or (self.now, self.load_id)}"
        record.sha256 = hashlib.sha256(state.encode()).hexdigest()
        known = lake_tables(self.connection, self.settings).get(self.contract.dataset)
        last = max(self.ledger.files.values(), key=lambda one: one.load_id, default=None)
        there = known if known and known.source == self.name and self._is_there(known.load_id) else None
        if there and stamp and there.stamp == record.sha256 and last and last.mapping == self.mapping:
            record.result.status, record.result.load_id = "already_loaded", None
            return
        for name, value in settings_for(size).items() if size is not None else ():
            self.session.conf.set(name, value)
        self.say(f"{self.name}: Spark reads {self.source.place}")
        self.lake.create_sources(self.session)
        before = self._before(there.load_id, last) if there else None
        has_ghosts = last is not None and has_other_keys(self.mapping, last.mapping)
        ours = self._tables(record.result.load_id or 0)
        mapping, columns = self._mapped(relation)
        self._note(record, mapping)
        self._stage(ours["stage"], relation, mapping, columns, record.result.load_id or 0)
        self._write(ours["refused"], lake_rows.refused_rows(self.contract, ours["stage"].name))
        self._account(record, ours["stage"].name, ours["refused"].name)
        self._write(ours["judged"], lake_rows.judged(self.contract, ours["stage"].name, before))
        self._count(record, ours["judged"].name)
        gone = self._leaving(ours, before, has_ghosts, record)
        self._keep(record, ours, mapping, gone, before, stamp is not None)
        sweep_tables(self.session, self.lake, self.contract, record.result.load_id or 0)

    def _before(self, load_id: int, last: KnownFile | None) -> Before:
        """The rows that an earlier load left, of which Spark is told."""
        tables = self._tables(load_id)
        for what in ("current", "history"):
            register(self.session, tables[what])
        has_same_mapping = last is not None and last.mapping == self.mapping
        return Before(tables["current"].name, tables["history"].name, has_same_mapping)

    def _count(self, record: LoadRecord, judged: str) -> None:
        """How many rows are new, changed and so on."""
        for outcome, number in self._rows(lake_rows.counts(judged)):
            name = OUTCOMES[outcome]
            setattr(record.result, name, getattr(record.result, name) + number)

    def _keep(
        self,
        record: LoadRecord,
        ours: dict[str, Table],
        mapping: Mapping,
        gone: str | None,
        before: Before | None,
        has_stamp: bool,
    ) -> None:
        """Write the rows of raw, and down that this load made them: both, or it never was."""
        load_id = record.result.load_id or 0
        self.connection.execute("begin transaction")
        try:
            keys_before = known_keys(self.connection)
            keys = self._keys(ours)
            rows = lake_rows.Judged(self.contract, ours["judged"].name, keys, gone, before, load_id, self.now)
            self._write(ours["current"], rows.current())
            self._write(ours["history"], rows.history())
            if self.contract.customer_columns:
                record.result.hints += hints_of_ids(self.connection, self.source, known_keys=keys_before)
            write_loads(self.connection, [record], self.now)
            self._settle(load_id)
            write_lake_table(self.connection, self._told(ours, mapping, record.sha256 if has_stamp else None, load_id))
            begin_epoch(self.connection, self.now)
            stop_for_test("staged")
            self.connection.execute("commit")
        except BaseException:
            self.connection.execute("rollback")
            raise
        stop_for_test("committed")

    def _state(self, relation: str) -> tuple[str | None, int | None]:
        """(what tells the state of the table, the bytes of its files); None where nothing does: a view, a query."""
        assert isinstance(self.source, LakeSource)
        if self.source.query is not None:
            return None, None
        told = ("path", "file_path"), ("size", "file_size"), ("changed", "file_modification_time")
        named = ", ".join(f"_metadata.{field} as {name}" for name, field in told)
        line = "concat_ws(' ', path, cast(size as string), cast(changed as string))"
        files = f"select sum(size) as bytes, sort_array(collect_list({line})) as files"
        files = f"{files} from (select distinct {named} from {relation})"
        try:
            [row] = self._rows(f"select bytes, size(files) as number, sha2(to_json(files), 256) as hash from ({files})")
        except Exception as error:
            if type(error).__name__ == "AnalysisException":
                return None, None
            raise
        return f"{row['number']} {row['hash']}", int(row["bytes"] or 0)

    def _mapped(self, relation: str) -> tuple[Mapping, list[Any]]:
        """Where each column of the contract comes from, and the columns of the table."""
        dropped = set(self.settings.privacy.drop.get(self.name, ()))
        columns = [one for one in columns_of(self.session, relation) if one.name not in dropped]
        return map_columns(self.contract, self.source, columns), columns

    def _note(self, record: LoadRecord, mapping: Mapping) -> None:
        record.result.drift = mapping.drift(self.ledger.columns, self.ledger.given)
        record.columns = [column.name for column in mapping.extra]
        record.given = [name for name, given in mapping.given.items() if given is not None]
        record.mode = "lake"

    def _stage(self, table: Table, relation: str, mapping: Mapping, columns: list[Any], load_id: int) -> None:
        query = lake_rows.checked_rows(
            self.contract,
            self.source,
            mapping,
            columns,
            relation,
            business_timezone=self.settings.business.timezone,
            load_id=load_id,
        )
        if mapping.counts_equal_rows:
            query = lake_rows.numbered(self.contract, mapping.hashed or "", "true", query)
        if mapping.refunds_share_ids:
            query = lake_rows.numbered(self.contract, "order_id", "refund_of is not null", query)
        self._write(table, query)

    def _account(self, record: LoadRecord, stage: str, refused: str) -> None:
        """How many rows are good; raises _LoadFailed where too many are not, or where they contradict each other."""
        row = self._rows(f"select count(*) as rows, count(_error) as bad from {stage}")[0]
        result = record.result
        result.lines, result.bad, result.good = row["rows"], row["bad"], row["rows"] - row["bad"]
        rate = self.source.max_quarantine_rate
        rate = self.settings.max_quarantine_rate if rate is None else rate
        sample = self._rows(f"select * from {refused} order by key nulls last, reason, row limit {SAMPLE}")
        row_text = self._without_forgotten()
        record.bad_rows = [
            BadRow(None, None, one["reason"], row_text(one["row"] or "").encode(), one["key"]) for one in sample
        ]
        if result.bad > rate * result.lines:
            share = f"{result.bad} of {result.lines} rows refused ({result.bad / result.lines:.1%}, allowed {rate:.1%})"
            result.status, result.error = "too_many_bad", f"{share}; first: {record.bad_rows[0].reason}"
            raise _LoadFailed
        number, example = self._rows(lake_rows.conflicts(self.contract, stage))[0]
        if number:
            raise _LoadFailed(conflict_in_words(self.contract, number, example))

    def _leaving(self, ours: dict[str, Table], before: Before | None, ghosts: bool, record: LoadRecord) -> str | None:
        """The table of the rows that are current no more, None where there is nothing before. Raises MassDeletion."""
        assert isinstance(self.source, LakeSource)
        if before is None:
            return None
        follows = self.source.deletes == "compare_keys"
        stage, judged = ours["stage"].name, ours["judged"].name
        self._write(
            ours["gone"], lake_rows.leaving(self.contract, stage, judged, before, follows=follows, ghosts=ghosts)
        )
        if follows:
            if record.result.lines == 0:
                raise _LoadFailed("the source has no rows at all; nothing was deleted here")
            missing = self._rows(lake_rows.missing(self.contract, stage, before))[0]
            if missing["gone"]:
                self.check_share(missing["gone"], missing["rows"])
        return ours["gone"].name

    def _keys(self, ours: dict[str, Table]) -> str:
        """Give new customers their numbers; the name of a table with those of tonight's."""
        ids = lake_rows.customers_of(self.contract, ours["judged"].name)
        if ids is None:
            return ours["keys"].name
        self._write(ours["ids"], ids)
        files = sorted(ours["ids"].path.glob("*.parquet"))
        self._refuse_forgotten(files)
        if ours["keys"].path.exists():
            shutil.rmtree(ours["keys"].path)
        ours["keys"].path.mkdir(parents=True)
        if files:
            read = f"read_parquet([{', '.join(literal(str(file)) for file in files)}])"
            register_customers(self.connection, f"select customer_id from {read}")
            self.connection.execute(
                f"copy (select customer_id, customer_key from raw.customer_keys where customer_id in"
                f" (select customer_id from {read})) to {literal(str(ours['keys'].path / 'keys.parquet'))}"
                " (format parquet)"
            )
        register(self.session, ours["keys"])
        return ours["keys"].name

    def _without_forgotten(self) -> Callable[[str], str]:
        """What shows a refused row without the ids of people who were forgotten."""
        if not read_forgotten(self.home):
            return lambda row: row
        return replace(self.made_door(), dropped=frozenset()).line  # dropped columns are not in it

    def _refuse_forgotten(self, files: list[Path]) -> None:
        """Rows of the lake do not pass the door: whoever was forgotten must be gone there first."""
        people = read_forgotten(self.home)
        if not people:
            return
        key = privacy_key(self.settings)
        check_key(self.home, key)
        ids = (one for file in files for one in pq.read_table(file, columns=["customer_id"]).column(0).to_pylist())
        found = sum(keyed_hash(key, one) in people for one in ids)
        if found:
            people_in_words = "1 forgotten person" if found == 1 else f"{found:,} forgotten people"
            raise _LoadFailed(f"it has rows of {people_in_words}: take them out of the lake, too")

    def _settle(self, load_id: int) -> None:
        """The table was read whole: what earlier loads refused is told again, or came in good, or is gone."""
        self.connection.execute(
            "update raw.quarantine set resolved_by = $1 where dataset = $2 and resolved_by is null and load_id < $1",
            [load_id, self.contract.dataset],
        )

    def _told(self, ours: dict[str, Table], mapping: Mapping, stamp: str | None, load_id: int) -> LakeTable:
        """What raw keeps about the rows."""
        current, history = ours["current"].name, ours["history"].name
        fact = quoted(FACT_COLUMNS.get(self.contract.dataset, ""))
        bounds = [f"cast({which}({fact}) as timestamp)" if len(fact) > 2 else "null" for which in ("min", "max")]
        without = "count_if(customer_id is null)" if "customer_id" in self.contract.names else "0"
        asked = ", ".join(["count(*)", without, *(f"cast({bound} as string)" for bound in bounds)])
        rows, without_customer, earliest, latest = self._rows(f"select {asked} from {current}")[0]
        [(replaced,)] = self._rows(f"select count(*) from {history}")
        conditions = {name: f"{quoted(name)} is not null" for name in self.contract.names}
        conditions |= {
            one.name: f"contains(_extra, {text(json.dumps(one.name, ensure_ascii=False))})" for one in mapping.extra
        }
        names = ", ".join(quoted(name) for name in [*self.contract.names, "_extra"])
        both = f"select {names} from {current} union all select {names} from {history}"
        found = self._rows(f"select {', '.join(f'bool_or({one})' for one in conditions.values())} from ({both})")[0]
        kinds = self._rows(f"{lake_rows.reasons(ours['refused'].name)} limit {KINDS_OF_REASONS}")
        return LakeTable(
            self.contract.dataset,
            self.name,
            load_id,
            stamp,
            rows,
            replaced,
            without_customer,
            datetime.fromisoformat(earliest) if earliest else None,
            datetime.fromisoformat(latest) if latest else None,
            tuple(name for name, has in zip(conditions, found, strict=True) if has),
            {row["reason"]: row["rows"] for row in kinds},
        )

    def _tables(self, load_id: int) -> dict[str, Table]:
        return tables_of(self.lake, self.contract, load_id)

    def _is_there(self, load_id: int) -> bool:
        tables = self._tables(load_id)
        return tables["current"].path.is_dir() and tables["history"].path.is_dir()

    def _write(self, table: Table, query: str) -> None:
        """Make a table of the rows of a query, in the place of what a killed load left under its name."""
        self.session.sql(f"drop table if exists {table.name}")
        shutil.rmtree(table.path, ignore_errors=True)
        register(self.session, table)
        self.session.sql(f"insert into {table.name} select * from (\n{query}\n)")

    def _rows(self, query: str) -> list[Any]:
        found: list[Any] = self.session.sql(query).collect()
        return found


def relation_of(source: LakeSource) -> str:
    """What stands behind FROM for a source."""
    if source.query is not None:
        return f"(\n{source.query.rstrip('; ' + chr(10))}\n)"
    if source.folder is not None:
        folder = source.folder if "://" in source.folder else Path(source.folder).as_uri()
        return f"{source.format}.{quoted(folder)}"
    return ".".join(quoted(part) for part in (source.table or "").split("."))


def columns_of(session: Any, relation: str) -> list[Any]:
    """The columns of a relation, for the loader's queries."""
    schema = session.sql(f"select * from {relation}").schema
    return [lake_rows.column(one.name, one.dataType.simpleString()) for one in schema.fields]


@contextmanager
def _ended(session: Any, limit: timedelta) -> Iterator[None]:
    """Stops what Spark does for a session when its time is over."""
    with interrupted_after(session, limit.total_seconds()) as has_passed:
        try:
            yield
        except Exception as error:
            if has_passed.is_set():
                minutes = limit.total_seconds() / 60
                raise _LoadFailed(f"it was not loaded after {minutes:g} minutes (max_read_time)") from error
            raise
