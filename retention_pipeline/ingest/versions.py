"""From the stage into the raw table: which version of a row is current, and where the others go.

Order of versions: (`updated_at` where given, load, line); with equal `updated_at` the greater content, so that the
order of delivery does not matter. The loser of two versions is kept in `raw.<dataset>_history`; the same content twice
is one version. Call within a transaction.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime

import duckdb

from retention_pipeline.contracts import Contract
from retention_pipeline.ingest.schema import literal, quoted

NEW, CHANGED, UNCHANGED, STALE, REMOVED = 0, 1, 2, 3, 4
OUTCOMES = {NEW: "new", CHANGED: "changed", UNCHANGED: "unchanged", STALE: "stale", REMOVED: "changed"}


def merge(
    connection: duckdb.DuckDBPyConnection,
    contract: Contract,
    *,
    replace_by: str | None,
    now: datetime,
    rereads: dict[int, list[int]] | None = None,
) -> dict[int, dict[str, int]]:
    """Bring the good rows of the stage into `raw.<dataset>`; the result counts outcomes per load.

    `replace_by` names the column whose value a delivery holds in full: current rows with one of its values that are
    not in the delivery are taken out. `rereads` says which loads read again, by other
    settings, what former loads had read: what is current from those gives way to it.
    """
    merger = _Merger(connection, contract, replace_by, now)
    merger.note_rereads(rereads or {})
    merger.register_customers()
    merger.find_beaten()
    merger.judge()
    merger.write()
    return merger.counts()


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


class _Merger:
    def __init__(
        self, connection: duckdb.DuckDBPyConnection, contract: Contract, replace_by: str | None, now: datetime
    ) -> None:
        self.connection = connection
        self.contract = contract
        self.replace_by = replace_by
        self.now = f"timestamp '{now:%Y-%m-%d %H:%M:%S.%f}'"
        self.table = f"raw.{contract.dataset}"
        self.history = f"raw.{contract.dataset}_history"
        self.content = [quoted(name) for name, _ in contract.typed_columns] + ["_extra"]
        self.version = contract.version_column
        self.all_new = False
        self.run("create or replace temp table rereads (load_id bigint, former_loads bigint[])")
        self.run("create or replace temp table beaten (stage_row bigint, by_load bigint, outcome utinyint)")
        self.run(
            """
            create or replace temp table verdict (
                stage_row bigint, load_id bigint, current_row bigint, current_load bigint, outcome utinyint
            )
            """
        )

    def run(self, query: str) -> duckdb.DuckDBPyConnection:
        return self.connection.execute(query)

    def number(self, query: str) -> int:
        row = self.run(query).fetchone()
        return int(row[0]) if row else 0

    def content_of(self, alias: str) -> str:
        """The row's content as one text, which has an order and is never null."""
        return f"cast(json_array({', '.join(f'{alias}.{name}' for name in self.content)}) as varchar)"

    def same_key(self, one: str, other: str) -> str:
        conditions = []
        for name in self.contract.key:
            equal = "=" if self.contract.column(name).required else "is not distinct from"
            conditions.append(f"{one}.{quoted(name)} {equal} {other}.{quoted(name)}")
        return " and ".join(conditions)

    def same_content(self, one: str, other: str) -> str:
        return " and ".join(f"{one}.{name} is not distinct from {other}.{name}" for name in self.content)

    def newest_first(self, alias: str) -> str:
        if self.version is None:
            return f"{alias}._load_id desc, {alias}.rowid desc"
        version = f"{alias}.{self.version}"
        content = f"case when {version} is not null then {self.content_of(alias)} end"
        return f"{version} desc nulls last, {content} desc nulls last, {alias}._load_id desc, {alias}.rowid desc"

    def note_rereads(self, rereads: dict[int, list[int]]) -> None:
        for load_id, former_loads in rereads.items():
            self.connection.execute("insert into rereads values ($1, $2)", [load_id, former_loads])

    def register_customers(self) -> None:
        """Give every customer id of the good rows its integer key; keys are never given twice."""
        if not self.contract.customer_columns:
            return
        ids = " union all ".join(
            f"select {name} as customer_id from stage where _error is null and {name} is not null"
            for name in self.contract.customer_columns
        )
        self.run(
            f"""
            insert into raw.customer_keys
            select customer_id, (select coalesce(max(customer_key), 0) from raw.customer_keys)
                + row_number() over (order by customer_id)
            from (select distinct customer_id from ({ids}) as ids) as found
            where not exists (from raw.customer_keys as known where known.customer_id = found.customer_id)
            """
        )

    def find_beaten(self) -> None:
        """Rows of the stage that another row of the stage beats."""
        if self.replace_by:
            self._find_beaten_groups()
        keys = ", ".join(quoted(name) for name in self.contract.key)
        standing = "_error is null" + (" and rowid not in (select stage_row from beaten)" if self.replace_by else "")
        self.run(
            f"create or replace temp table twice as select {keys} from stage where {standing}"
            " group by all having count(*) > 1"
        )
        if self.number("select count(*) from twice") == 0:
            return
        self.run(
            f"""
            insert into beaten
            select stage_row, by_load, case when content = winner then {UNCHANGED} else {STALE} end
            from (
                select stage.rowid as stage_row, {self.content_of("stage")} as content,
                    first_value({self.content_of("stage")}) over newest as winner,
                    first_value(stage._load_id) over newest as by_load,
                    row_number() over newest as position
                from stage join twice on {self.same_key("stage", "twice")}
                where {standing.replace("rowid", "stage.rowid")}
                window newest as (
                    partition by {", ".join(f"stage.{quoted(name)}" for name in self.contract.key)}
                    order by {self.newest_first("stage")}
                )
            )
            where position > 1
            """
        )

    def _find_beaten_groups(self) -> None:
        """With `replace_by`: of several deliveries of a value the newest stands as a whole, against the others on
        the stage and against what is current. `group_verdict` says which groups stand, and which are complete."""
        group = quoted(self.replace_by or "")
        version = f"max(part.{self.version})" if self.version else "cast(null as timestamp)"
        content = f"string_agg({self.content_of('part')}, '' order by {self.content_of('part')})"
        self.run(
            f"""
            create or replace temp table groups as
            select {group} as value, _load_id as load_id, {version} as version, {content} as content
            from stage as part where _error is null and {group} is not null group by all
            """
        )
        order = "version desc nulls last, case when version is not null then content end desc nulls last, load_id desc"
        self.run(
            f"""
            create or replace temp table standing as
            select *, not exists (
                from stage where stage._error is not null and stage.{group} is not distinct from standing.value
            ) as complete
            from (select * from groups qualify row_number() over (partition by value order by {order}) = 1) as standing
            """
        )
        self.run(
            f"""
            insert into beaten
            select stage.rowid, standing.load_id, {STALE}
            from stage join standing on stage.{group} = standing.value
            where stage._error is null and stage._load_id <> standing.load_id
            """
        )
        self.run(
            f"""
            create or replace temp table group_verdict as
            select standing.value, standing.load_id, standing.complete,
                coalesce(
                    case
                        when list_has_any(rereads.former_loads, here.loads) then true
                        when standing.version is null then here.version is null
                        when here.version is null then true
                        when standing.version = here.version then standing.content >= here.content
                        else standing.version > here.version
                    end, true
                ) as is_newer
            from standing left join (
                select {group} as value, {version} as version, {content} as content,
                    list(distinct _load_id) as loads
                from {self.table} as part where {group} in (select value from standing) group by all
            ) as here on here.value = standing.value
            left join rereads on rereads.load_id = standing.load_id
            """
        )

    def judge(self) -> None:
        """What becomes of each row that stands, held against the current row of its key."""
        if self.number(f"select count(*) from (from {self.table} limit 1)") == 0:
            if self.number("select (select count(*) from beaten) + count(*) from stage where _deleted") == 0:
                self.all_new = True  # a first load: every good row stands, no need to say so row by row
                return
            self.run(
                f"""
                insert into verdict
                select rowid, _load_id, null, null, case when _deleted then {STALE} else {NEW} end from stage
                where _error is null and rowid not in (select stage_row from beaten)
                """
            )
            return
        newer = self._is_newer()
        outcome = f"""case when here.rowid is null then {NEW} when {self.same_content("stage", "here")}
            then {UNCHANGED} when {newer} then {CHANGED} else {STALE} end"""
        groups = ""
        if self.replace_by:
            outcome = f"""case when not complete then {outcome}
                when here.rowid is not null and {self.same_content("stage", "here")} then {UNCHANGED}
                when not is_newer then {STALE} when here.rowid is null then {NEW} else {CHANGED} end"""
            groups = f"join group_verdict on group_verdict.value = stage.{quoted(self.replace_by)}"
        outcome = f"""case when not stage._deleted then {outcome} when here.rowid is null then {STALE}
            when {newer} or {self.same_content("stage", "here")} then {REMOVED} else {STALE} end"""
        self.run(
            f"""
            insert into verdict
            select stage.rowid, stage._load_id, here.rowid, here._load_id, {outcome}
            from stage {groups} left join {self.table} as here on {self.same_key("stage", "here")}
            left join rereads on rereads.load_id = stage._load_id
            where stage._error is null and stage.rowid not in (select stage_row from beaten)
            """
        )

    def _is_newer(self) -> str:
        if self.version is None:
            return "true"  # the later load is the newer version
        ours, theirs = f"stage.{self.version}", f"here.{self.version}"
        return f"""case when list_contains(rereads.former_loads, here._load_id) then true
            when {ours} is null then {theirs} is null when {theirs} is null then true
            when {ours} = {theirs} then {self.content_of("stage")} > {self.content_of("here")}
            else {ours} > {theirs} end"""

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
        self.take_out()
        winners = f"stage.rowid in (select stage_row from verdict where outcome in ({NEW}, {CHANGED}))"
        self._insert(self.table, raw_names, "stage._error is null" if self.all_new else winners)
        if self.number(
            f"select count(*) from (from verdict where outcome = {STALE} union all by name"
            f" from beaten where outcome = {STALE})"
        ):
            self.run(
                f"""
                create or replace temp table late as
                select stage_row, coalesce(current_load, load_id) as by_load from verdict where outcome = {STALE}
                union all select stage_row, by_load from beaten where outcome = {STALE}
                """
            )
            self._insert_late(history_names)

    def take_out(self) -> None:
        """Move the rows of `leaving` from the raw table to the history."""
        if self.number("select count(*) from leaving") == 0:
            return
        names = ", ".join(quoted(name) for name, _ in self.contract.history_columns)
        current = ", ".join(f"here.{quoted(name)}" for name, _ in self.contract.raw_columns)
        self.run(
            f"""
            insert into {self.history} ({names})
            select {current}, leaving.by_load, {self.now}
            from {self.table} as here join leaving on here.rowid = leaving.current_row
            """
        )
        self.run(f"delete from {self.table} where rowid in (select current_row from leaving)")

    def _keys(self) -> tuple[str, str]:
        """(the key columns of a row of the stage, the joins that give them)."""
        values, joins = "", ""
        for position, (name, _) in enumerate(self.contract.customer_columns.items()):
            values += f", keys_{position}.customer_key"
            joins += f" left join raw.customer_keys as keys_{position} on keys_{position}.customer_id = stage.{name}"
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
        """Versions that came too late go to the history, each content once however often it comes."""
        values, joins = self._keys()
        content = ", ".join(f"stage.{name}" for name in self.content)
        self.run(
            f"""
            insert into {self.history} ({", ".join(names)})
            select {content}, stage._load_id, {self.now}{values}, late.by_load, {self.now}
            from stage join late on stage.rowid = late.stage_row{joins}
            where not exists (
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
            select stage._load_id, beaten.outcome, count(*)
            from beaten join stage on stage.rowid = beaten.stage_row group by all
            """
        ).fetchall():
            counts[load_id][OUTCOMES[outcome]] += number
        return counts
