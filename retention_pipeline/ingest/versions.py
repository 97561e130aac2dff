"""From the stage into the raw table: which version of a row is current, and where the others go.

Order of versions: (`updated_at` where given, load, line); with equal `updated_at` the greater content, so that the
order of delivery does not matter. The loser of two versions is kept in `raw.<dataset>_history`; the same content twice
is one version. Call within a transaction.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from datetime import datetime

import duckdb

from retention_pipeline.contracts import Contract
from retention_pipeline.ingest.hints import known_keys
from retention_pipeline.ingest.schema import literal, quoted
from retention_pipeline.ingest.verdicts import CHANGED, NEW, REMOVED, STALE, UNCHANGED, Verdicts

MANY_ROWS = 100_000
OUTCOMES = {NEW: "new", CHANGED: "changed", UNCHANGED: "unchanged", STALE: "stale", REMOVED: "changed"}


def merge(
    connection: duckdb.DuckDBPyConnection,
    contract: Contract,
    *,
    replace_by: str | None,
    now: datetime,
    rereads: dict[int, list[int]] | None = None,
    rereads_are_whole: bool = False,
    rereads_of_ties_only: bool = False,
    rereads_of_then: bool = False,
    no_key_twice: bool = False,
    from_the_beginning: Collection[int] = (),
) -> dict[int, dict[str, int]]:
    """Bring the good rows of the stage into `raw.<dataset>`; the result counts outcomes per load.

    `replace_by` names the column whose value a delivery holds in full: current rows with one of its values that are
    not in the delivery are taken out. `rereads` says which loads read again, by other
    settings, what former loads had read: what is current from those gives way to it. Where they are whole, what they
    have no longer (rows that got another key, rows that are refused now) is taken out. Of ties only: where versions
    are equal too, and not whatever they are. Of then: they say again what was true when it was first read, not what is
    true now. `no_key_twice`: it is known that no key stands twice on the stage.
    `from_the_beginning`: loads whose rows hold from the beginning where they name no day, instead of from now on.
    """
    merger = _Merger(connection, contract, replace_by, now)
    merger.no_key_twice = no_key_twice
    merger.from_the_beginning = sorted(from_the_beginning)
    merger.note_rereads(rereads or {}, ties_only=rereads_of_ties_only, of_then=rereads_of_then)
    merger.ghosts_leave = bool(rereads) and rereads_are_whole
    merger.register_customers()
    merger.find_superseded()
    merger.judge()
    merger.write()
    return merger.counts()


def refuse_conflicts(
    connection: duckdb.DuckDBPyConnection, contract: Contract, now: datetime
) -> tuple[dict[int, str], bool]:
    """Take loads off the stage in which one key stands on several rows of other content.

    The result says why, per load, and whether no key at all stands twice on the stage.
    """
    merger = _Merger(connection, contract, None, now)
    conflicts = merger.conflicts()
    if conflicts:
        connection.execute("delete from stage where _load_id in (select unnest($1))", [list(conflicts)])
    return conflicts, merger.no_key_twice


def remove_missing(
    connection: duckdb.DuckDBPyConnection, contract: Contract, *, source: str, load_id: int, now: datetime
) -> int:
    """Take out the rows of a source whose key is not in the temporary table `keys_there`, beside those of the load
    itself; the result is their number."""
    merger = _Merger(connection, contract, None, now)
    merger.run("create or replace temp table leaving (current_row bigint, by_load bigint)")
    merger.run(
        f"""
        insert into leaving
        select here.rowid, {load_id} from {merger.table} as here
        where here._load_id in (
                select load_id from raw.ledger where dataset = '{contract.dataset}' and source = {literal(source)}
            )
            and here._load_id <> {load_id}
            and not exists (from keys_there where {merger.same_key("keys_there", "here")})
        """
    )
    merger.take_out()
    return merger.number("select count(*) from leaving")


def register_customers(connection: duckdb.DuckDBPyConnection, ids: str) -> None:
    """Give every customer id of a query (one column, customer_id) its integer key; keys are never given twice."""
    _add_customers(
        connection,
        f"""
        select customer_id from (select distinct customer_id from ({ids}) as ids) as found
        where not exists (from raw.customer_keys as known where known.customer_id = found.customer_id)
        """,
    )


def _add_customers(connection: duckdb.DuckDBPyConnection, new_ids: str) -> None:
    """Give every id of a query its key; it has each once, and none that has a key."""
    connection.execute(
        f"""
        insert into raw.customer_keys
        select customer_id, (select coalesce(max(customer_key), 0) from raw.customer_keys)
            + row_number() over (order by customer_id)
        from ({new_ids}) as new_ids
        """
    )


class _Merger(Verdicts):
    ghosts_leave = False
    keys = "raw.customer_keys"  # with those of the ids of good rows

    def register_customers(self) -> None:
        """Give every customer id of the good rows its integer key. Of many rows the keys are looked up once, where some
        are known: `keys` are then those of their ids.
        """
        if not self.contract.customer_columns:
            return
        ids = " union all ".join(
            f"select {name} as customer_id from stage where _error is null and {name} is not null"
            for name in self.contract.customer_columns
        )
        is_large = self.number("select count(*) from stage") >= MANY_ROWS
        before = known_keys(self.connection) if is_large else 0
        if not before:
            register_customers(self.connection, ids)
            return
        self.run(
            f"""
            create or replace temp table stage_keys as
            select found.customer_id, known.customer_key
            from (select distinct customer_id from ({ids}) as ids) as found
                left join raw.customer_keys as known on known.customer_id = found.customer_id
            """
        )
        _add_customers(self.connection, "select customer_id from stage_keys where customer_key is null")
        self.keys = f"""(
            from stage_keys where customer_key is not null
            union all select customer_id, customer_key from raw.customer_keys where customer_key > {before}
        )"""

    def write(self) -> None:
        raw_names = [quoted(name) for name, _ in self.contract.raw_columns]
        history_names = [quoted(name) for name, _ in self.contract.history_columns]
        self.run("create or replace temp table leaving (current_row bigint, by_load bigint)")
        self.run(
            f"insert into leaving select current_row, load_id from verdict where outcome in ({CHANGED}, {REMOVED})"
        )
        if self.replace_by:
            group = quoted(self.replace_by)
            self.run(
                f"""
                insert into leaving
                select here.rowid, group_verdict.load_id
                from {self.table} as here join group_verdict on here.{group} = group_verdict.value
                where group_verdict.complete and group_verdict.is_newer
                    and not exists (
                        from stage where stage._error is null and stage._load_id = group_verdict.load_id
                            and {self.same_key("stage", "here")}
                    )
                """
            )
        if self.ghosts_leave:
            self.run(
                f"""
                insert into leaving
                select here.rowid, former.load_id
                from {self.table} as here
                    join (select load_id, unnest(former_loads) as read_before from rereads) as former
                        on here._load_id = former.read_before
                where here.rowid not in (select current_row from leaving)
                    and not exists (
                        from stage where stage._error is null and stage._load_id = former.load_id
                            and {self.same_key("stage", "here")}
                    )
                """
            )
        self.take_out()
        winners = f"stage.rowid in (select stage_row from verdict where outcome in ({NEW}, {CHANGED}))"
        self._insert(self.table, raw_names, "stage._error is null" if self.all_new else winners)
        if self.number(
            f"select count(*) from (from verdict where outcome = {STALE} union all by name"
            f" from superseded where outcome = {STALE})"
        ):
            self.run(
                f"""
                create or replace temp table late as
                select stage_row, coalesce(current_load, load_id) as by_load from verdict where outcome = {STALE}
                union all select stage_row, by_load from superseded where outcome = {STALE}
                """
            )
            self._insert_late(history_names)

    def take_out(self) -> None:
        """Move the rows of `leaving` from the raw table to the history."""
        if self.number("select count(*) from leaving") == 0:
            return
        names = ", ".join(quoted(name) for name, _ in self.contract.history_columns)
        current = ", ".join(f"here.{quoted(name)}" for name, _ in self.contract.raw_columns)
        others_leave = self.replace_by or self.ghosts_leave  # rows of other keys than those of the stage
        is_there = self.are_fetched and not others_leave
        here, row = ("current_rows", "current_row") if is_there else (self.table, "rowid")
        self.run(
            f"""
            insert into {self.history} ({names})
            select {current}, leaving.by_load, {self.now}
            from {here} as here join leaving on here.{row} = leaving.current_row
            """
        )
        self.run(f"delete from {self.table} where rowid in (select current_row from leaving)")

    def _keys(self) -> tuple[str, str]:
        """(the key columns of a row of the stage, the joins that give them)."""
        values, joins = "", ""
        for position, (name, _) in enumerate(self.contract.customer_columns.items()):
            values += f", keys_{position}.customer_key"
            joins += f" left join {self.keys} as keys_{position} on keys_{position}.customer_id = stage.{name}"
        return values, joins

    def _insert(self, table: str, names: list[str], condition: str) -> None:
        values, joins = self._keys()
        content = ", ".join(f"stage.{name}" for name in self.content)
        self.run(
            f"""
            insert into {table} ({", ".join(names)})
            select {content}, stage._load_id, {self.now}{values}
            from stage{joins} where {condition}
            """
        )

    def _insert_late(self, names: list[str]) -> None:
        """Versions that came too late go to the history, each content once however often it comes; where replaced
        versions count, also what is read again, for it stands in place of what was read then."""
        again = "stage._load_id in (select load_id from rereads)" if self.contract.history_counts else "false"
        values, joins = self._keys()
        content = ", ".join(f"stage.{name}" for name in self.content)
        self.run(
            f"""
            insert into {self.history} ({", ".join(names)})
            select {content}, stage._load_id, {self.now}{values}, late.by_load, {self.now}
            from stage join late on stage.rowid = late.stage_row{joins}
            where {again} or not exists (
                from {self.history} as known
                where {self.same_key("stage", "known")} and {self.same_content("stage", "known")}
            )
            qualify row_number() over (partition by {content} order by stage._load_id, stage.rowid) = 1
            """
        )

    def counts(self) -> dict[int, dict[str, int]]:
        counts: dict[int, dict[str, int]] = defaultdict(lambda: dict.fromkeys(OUTCOMES.values(), 0))
        if self.all_new:
            for load_id, number in self.run(
                "select _load_id, count(*) from stage where _error is null group by all"
            ).fetchall():
                counts[load_id]["new"] = number
            return counts
        for load_id, outcome, number in self.run(
            """
            select load_id, outcome, count(*) from verdict group by all
            union all
            select stage._load_id, superseded.outcome, count(*)
            from superseded join stage on stage.rowid = superseded.stage_row group by all
            """
        ).fetchall():
            counts[load_id][OUTCOMES[outcome]] += number
        return counts
