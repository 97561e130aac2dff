"""Which rows of the stage become current: held against each other, and against the current row of their key.

The result is in temporary tables: `superseded` (rows that another row of the stage beats), `verdict` (what becomes of
each row that stands) and, with `replace_by`, `group_verdict`. Nothing durable changes here.
"""

from __future__ import annotations

from datetime import datetime

import duckdb

from retention_pipeline.contracts import Contract
from retention_pipeline.ingest.ids import CUSTOMER_IDS
from retention_pipeline.ingest.schema import quoted

NEW, CHANGED, UNCHANGED, STALE, REMOVED = 0, 1, 2, 3, 4
FEW_ROWS = 1_000_000
_FORGOTTEN_LAST = {"_extra", *CUSTOMER_IDS}


def by_weight(contract: Contract) -> list[str]:
    """The columns of a row's content, as they decide which of two versions is the greater: what `retention forget`
    changes decides last, so that of two versions the same one stays the greater.
    """
    names = [*(name for name, _ in contract.typed_columns), "_extra"]
    return sorted(names, key=lambda name: name in _FORGOTTEN_LAST)


def conflict_in_words(contract: Contract, number: int, example: str) -> str:
    """Why a load is refused in which keys stand on several rows of other content."""
    keys = ", ".join(contract.key)
    one = "1 key stands" if number == 1 else f"{number:,} keys stand"
    newer = ", updated_at where these are versions" if contract.version_column else ""
    return (
        f"{one} on several rows of other content, such as {keys} {example}; one row per {keys} is expected."
        " To make one row of line items: rows: {one_per: …, sum: […]} or query; else a wider key"
        f" ({contract.key[0]}: {{expression: …}}){newer}"
    )


class Verdicts:
    """One load or several of a dataset on their way into its raw table; `all_new`: every good row is new."""

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
        self.by_weight = [quoted(name) for name in by_weight(contract)]
        self.version = contract.version_column
        self.from_the_beginning: list[int] = []
        self.has_places = False
        self.all_new = False
        self.no_key_twice = False
        self.are_fetched = False
        self.run("create or replace temp table rereads (load_id bigint, former_loads bigint[], ties_only boolean)")
        self.run("create or replace temp table superseded (stage_row bigint, by_load bigint, outcome utinyint)")
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
        return f"cast(json_array({', '.join(f'{alias}.{name}' for name in self.by_weight)}) as varchar)"

    def same_key(self, one: str, other: str) -> str:
        conditions = []
        required = {
            name for column in self.contract.columns if column.required for name in (column.name, column.companion)
        }
        for name in self.contract.key_columns:
            equal = "=" if name in required else "is not distinct from"
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

    def note_rereads(self, rereads: dict[int, list[int]], *, ties_only: bool, of_then: bool) -> None:
        """`of_then`: they say what was true when it was first read, so that what other sources said since is newer."""
        for load_id, former_loads in rereads.items():
            self.connection.execute("insert into rereads values ($1, $2, $3)", [load_id, former_loads, ties_only])
        self.has_places = of_then and bool(rereads)
        if self.has_places:
            self.run(
                f"""
                create or replace temp table places as
                select load_id, source, max(case when is_new then load_id end) over (
                    partition by source, sha256 order by load_id rows unbounded preceding
                ) as place
                from (
                    select load_id, source, sha256, mapping = lag(mapping, 1, mapping) over (
                        partition by source, sha256 order by load_id
                    ) as is_new
                    from raw.ledger where dataset = '{self.contract.dataset}' and status = 'loaded'
                )
                """
            )

    def conflicts(self) -> dict[int, str]:
        """Loads in which one key stands on several rows of other content, though nothing says which is newer."""
        keys = [quoted(name) for name in self.contract.key_columns]
        self.run(
            f"""
            create or replace temp table doubled as
            select {", ".join(keys)} from stage where _error is null group by all having count(*) > 1
            """
        )
        self.no_key_twice = self.number("select count(*) from (from doubled limit 1)") == 0
        if self.no_key_twice:
            return {}
        others = [quoted(name) for name, _ in self.contract.typed_columns if name not in self.contract.key_columns]
        texts = [f"coalesce(cast(stage.{name} as varchar), 'empty')" for name in others]
        differ = ", ".join(
            f"case when count(distinct {text}) > 1 then '{name.strip(chr(34))} '"
            f" || string_agg(distinct {text}, ' and ' order by {text}) end"
            for name, text in zip(others, texts, strict=True)
        )
        named = [quoted(name) for name in self.contract.key]
        shown = " || ', ' || ".join(f"coalesce(cast(stage.{name} as varchar), 'empty')" for name in named)
        version = f"bool_and(stage.{self.version} is null)" if self.version else "true"
        found = self.run(
            f"""
            select load_id, count(*), min(example) from (
                select stage._load_id as load_id, {shown} || ' (' || concat_ws('; ', {differ})
                    || ')' as example
                from stage join doubled on {self.same_key("stage", "doubled")}
                where stage._error is null and not stage._deleted
                group by stage._load_id, {", ".join(f"stage.{name}" for name in keys)}
                having count(distinct {self.content_of("stage")}) > 1 and {version}
            ) group by all
            """
        ).fetchall()
        return {load_id: conflict_in_words(self.contract, number, example) for load_id, number, example in found}

    def find_superseded(self) -> None:
        """Rows of the stage that another row of the stage beats."""
        if self.replace_by:
            self._find_superseded_groups()
        elif self.no_key_twice:
            return
        keys = ", ".join(quoted(name) for name in self.contract.key_columns)
        standing = "_error is null" + (
            " and rowid not in (select stage_row from superseded)" if self.replace_by else ""
        )
        self.run(
            f"create or replace temp table twice as select {keys} from stage where {standing}"
            " group by all having count(*) > 1"
        )
        if self.number("select count(*) from twice") == 0:
            return
        self.run(
            f"""
            insert into superseded
            select stage_row, by_load, case when content = winner then {UNCHANGED} else {STALE} end
            from (
                select stage.rowid as stage_row, {self.content_of("stage")} as content,
                    first_value({self.content_of("stage")}) over newest as winner,
                    first_value(stage._load_id) over newest as by_load,
                    row_number() over newest as position
                from stage join twice on {self.same_key("stage", "twice")}
                where {standing.replace("rowid", "stage.rowid")}
                window newest as (
                    partition by {", ".join(f"stage.{quoted(name)}" for name in self.contract.key_columns)}
                    order by {self.newest_first("stage")}
                )
            )
            where position > 1
            """
        )

    def _find_superseded_groups(self) -> None:
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
            insert into superseded
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
                        when (not rereads.ties_only or standing.version = here.version)
                            and list_has_any(rereads.former_loads, here.loads) then true
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
        all_stand = self.number("select (select count(*) from superseded) + count(*) from stage where _deleted") == 0
        if self.number(f"select count(*) from (from {self.table} limit 1)") == 0:
            if all_stand:
                self.all_new = True  # a first load: every good row stands, no need to say so row by row
                return
            self.run(
                f"""
                insert into verdict
                select rowid, _load_id, null, null, case when _deleted then {STALE} else {NEW} end from stage
                where _error is null and rowid not in (select stage_row from superseded)
                """
            )
            return
        current_rows = self._with_current_rows()
        is_known = not self.are_fetched or self.number("select count(*) from (from pairs limit 1)") > 0
        if all_stand and not is_known and not self.replace_by:
            self.all_new = True  # as mostly with events
            return
        newer = self._is_newer()
        outcome = f"""case when here.current_row is null then {NEW} when {self._says_nothing_new()}
            then {UNCHANGED} when {newer} then {CHANGED} else {STALE} end"""
        groups = ""
        if self.replace_by:
            outcome = f"""case when not complete then {outcome}
                when here.current_row is not null and {self.same_content("stage", "here")} then {UNCHANGED}
                when not is_newer then {STALE} when here.current_row is null then {NEW} else {CHANGED} end"""
            groups = f"join group_verdict on group_verdict.value = stage.{quoted(self.replace_by)}"
        outcome = f"""case when not stage._deleted then {outcome} when here.current_row is null then {STALE}
            when {newer} or {self.same_content("stage", "here")} then {REMOVED} else {STALE} end"""
        self.run(
            f"""
            insert into verdict
            select stage.rowid, stage._load_id, here.current_row, here._load_id, {outcome}
            from stage {groups} {current_rows}
            left join rereads on rereads.load_id = stage._load_id
            where stage._error is null and stage.rowid not in (select stage_row from superseded)
            """
        )

    def _with_current_rows(self) -> str:
        """A join of the stage with the current row of each key, `here`.

        For a stage of few rows the current ones are fetched first, into the temporary table `current_rows`: of a table
        of 50 million rows a join by key alone and a fetch by row number cost less than a join that has to carry every
        column.
        """
        self.are_fetched = self.number("select count(*) from stage") <= FEW_ROWS
        if not self.are_fetched:
            current = f"(select *, rowid as current_row from {self.table})"
            return f"left join {current} as here on {self.same_key('stage', 'here')}"
        self.run(
            f"""
            create or replace temp table pairs as select stage.rowid as stage_row, here.rowid as current_row
            from stage join {self.table} as here on {self.same_key("stage", "here")} where stage._error is null
            """
        )
        self.run(
            f"""
            create or replace temp table current_rows as select *, rowid as current_row from {self.table}
            where rowid in (select current_row from pairs)
            """
        )
        return """left join pairs on pairs.stage_row = stage.rowid
            left join current_rows as here on here.current_row = pairs.current_row"""

    def _says_nothing_new(self) -> str:
        """Whether a row of the stage is the current one again. Where replaced versions count, a row that says "from the
        beginning" of what holds since a later day takes the versions before it away, and so is a version itself.
        """
        same = self.same_content("stage", "here")
        if not self.from_the_beginning:
            return same
        loads = ", ".join(str(load_id) for load_id in self.from_the_beginning)
        return f"""({same} and not (
            stage.valid_from is null and stage._load_id in ({loads})
            and here._load_id not in (
                select load_id from raw.ledger
                where dataset = '{self.contract.dataset}' and json_contains(drift, '{{"given": ["valid_from"]}}')
            )
            and here._customer_key in (select _customer_key from {self.history} where valid_from is null)
        ))"""

    def _is_newer(self) -> str:
        if self.version is None:
            return self._is_later()
        ours, theirs = f"stage.{self.version}", f"here.{self.version}"
        return f"""case when (not rereads.ties_only or {ours} = {theirs})
                and list_contains(rereads.former_loads, here._load_id) then true
            when {ours} is null then {theirs} is null and {self._is_later()} when {theirs} is null then true
            when {ours} = {theirs} then {self.content_of("stage")} > {self.content_of("here")}
            else {ours} > {theirs} end"""

    def _is_later(self) -> str:
        """Where nothing else orders versions, the later load is the newer. What is read again stays behind what another
        source has said since; files of one source are read again in the order in which they came.
        """
        if not self.has_places:
            return "true"
        of_another = """(select here_place.place > former.place and here_place.source <> former.source
            from places as here_place, places as former
            where here_place.load_id = here._load_id and former.load_id = list_max(rereads.former_loads))"""
        return f"coalesce(not {of_another}, true)"
