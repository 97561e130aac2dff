"""The rows of a source in the lake as Spark's queries: mapped and checked by the loader's own SQL (dialect.py), refused
or good, and of the good ones which version of a row is current. Pure functions of texts; nothing is run here.

Versions follow `ingest/verdicts.py` and `ingest/versions.py`, which work on rows one load at a time: of several rows of
a key the newest counts, by `updated_at` and then by the greater content; what is replaced, or came too late, goes to
the history. A table is read whole, so what it says now is the truth, also of a row that changed without being newer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from retention_pipeline.contracts import Contract
from retention_pipeline.ingest.checks import stage_query
from retention_pipeline.ingest.file_columns import FileColumn
from retention_pipeline.ingest.mapping import Mapping
from retention_pipeline.ingest.verdicts import CHANGED, NEW, REMOVED, STALE, UNCHANGED, by_weight
from retention_pipeline.settings import Source
from retention_pipeline.transform.spark.dialect import in_spark
from retention_pipeline.transform.spark.tables import duckdb_type, listed, quoted, spark_type, text

DELIVERED = "delivered"  # the relation that the loader's query reads
ROW = "_delivered"  # a refused row as it stands in the lake, as JSON


def column(name: str, kind: str) -> FileColumn:
    """A column of a table of the lake for the loader's queries. `kind`: Spark's type."""
    return FileColumn(name, f'"{_within(name)}"', duckdb_type(kind))


def _within(name: str) -> str:
    """The name of a delivered column in the query, which has columns of the contract, too."""
    return "in " + name.replace('"', "")


def checked_rows(
    contract: Contract,
    source: Source,
    mapping: Mapping,
    columns: Sequence[FileColumn],
    relation: str,
    *,
    business_timezone: str,
    load_id: int,
) -> str:
    """The rows of `relation`, what follows FROM in Spark, as the stage has them, in the order of `stage_columns`.

    Raises NotOnSpark.
    """
    types = {_within(one.name): one.type for one in columns}
    for one in contract.columns:
        given = mapping.given[one.name]
        is_text = one.kind in ("text", "enum", "currency") or one.name in source.values
        if given is not None and not is_text:
            types[f"given {one.name}"] = given.type
    query = stage_query(
        contract,
        source,
        mapping,
        DELIVERED,
        business_timezone=business_timezone,
        load_id=str(load_id),
        beside=(ROW,),
        short_ways=False,
    )
    named = ", ".join(f"{quoted(one.name)} as {quoted(_within(one.name))}" for one in columns)
    whole = f"to_json(struct({listed([one.name for one in columns])}), map('ignoreNullFields', 'false'))"
    names = [name for name, _ in stage_columns(contract)]
    shown = [f"case when _error is not null then {ROW} end as {ROW}" if name == ROW else quoted(name) for name in names]
    return (
        f"with {DELIVERED} as (select {named}, {whole} as {ROW} from {relation})\n"
        f"select {', '.join(shown)} from (\n{in_spark(query, types)}\n)"
    )


def stage_columns(contract: Contract) -> list[tuple[str, str]]:
    """(name, Spark's type) of the rows that are checked."""
    typed = [(name, spark_type(kind)) for name, kind in contract.typed_columns]
    return [*typed, ("_extra", "string"), ("_error", "string"), ("_deleted", "boolean"), (ROW, "string")]


def content(contract: Contract, alias: str) -> str:
    """The content of a row as one text: that of `Verdicts.content_of`."""
    kinds = dict(contract.typed_columns) | {"_extra": "varchar"}
    parts = [_as_json(f"{alias}.{quoted(name)}", kinds[name]) for name in by_weight(contract)]
    return f"concat('[', concat_ws(',', {', '.join(parts)}), ']')"


def _as_json(value: str, kind: str) -> str:
    if kind == "varchar":
        held = f"to_json(named_struct('a', {value}))"
        return f"case when {value} is null then 'null' else substring({held}, 6, length({held}) - 6) end"
    written = f"cast({value} as string)"
    if kind in ("timestamp", "date"):
        written = f"concat('\"', {written}, '\"')"
    return f"coalesce({written}, 'null')"


def told_key(contract: Contract) -> str:
    """The key of a refused row as one text, as quarantine.told_key has it; null where it is what is wrong."""
    parts = [_as_json(f"cast(stage.{quoted(name)} as string)", "varchar") for name in contract.key_columns]
    names = "|".join(contract.key_columns)
    is_wrong = f"rlike(_error, {text(f'(^|; )({names})(:| )')})"
    first = f"stage.{quoted(contract.key_columns[0])}"
    key = f"concat('[', concat_ws(',', {', '.join(parts)}), ']')"
    return f"case when {first} is not null and not {is_wrong} then {key} end"


def refused_rows(contract: Contract, stage: str) -> str:
    """The quarantine of a load: why, the key where it can be told, and the row as it stands in the lake."""
    return (
        f"select _error as reason, {told_key(contract)} as key, {ROW} as row from {stage} as stage"
        " where _error is not null"
    )


def reasons(refused: str) -> str:
    """How many rows there are of each kind of reason, the values left out as in `data_quality`."""
    kind = r"regexp_replace(reason, '(?d): \'.*\' is', ': … is')"
    return f"select {kind} as reason, count(*) as rows from {refused} group by 1 order by 2 desc, 1"


def numbered(contract: Contract, name: str, condition: str, stage: str) -> str:
    """The stage with equal keys of made ones told apart: `key`, `key-2`, `key-3`."""
    is_one = f"_error is null and {condition}"
    place = f"row_number() over (partition by {quoted(name)}, {is_one} order by {content(contract, 'stage')}, _deleted)"
    told = f"case when {is_one} and place > 1 then concat({quoted(name)}, '-', place) else {quoted(name)} end"
    shown = [f"{told} as {quoted(one)}" if one == name else quoted(one) for one, _ in stage_columns(contract)]
    return f"select {', '.join(shown)} from (select *, {place} as place from ({stage}) as stage)"


def conflicts(contract: Contract, stage: str) -> str:
    """(number, example) of keys that stand on several rows of other content though nothing says which is newer."""
    keys = listed(contract.key_columns)
    others = [name for name, _ in contract.typed_columns if name not in contract.key_columns]

    def shown(name: str) -> str:
        return f"coalesce(cast({quoted(name)} as string), 'empty')"

    differ = ", ".join(
        f"case when count(distinct {shown(name)}) > 1 then"
        f" concat({text(f'{name} ')}, array_join(array_sort(collect_set({shown(name)})), ' and ')) end"
        for name in others
    )
    key = " , ', ', ".join(f"coalesce(cast({quoted(name)} as string), 'empty')" for name in contract.key)
    version = f"bool_and({quoted(contract.version_column)} is null)" if contract.version_column else "true"
    return f"""
        with counted as (
            select *, count(*) over (partition by {keys}) as times from {stage} where _error is null
        )
        select count(*) as number, min(example) as example from (
            select concat({key}, ' (', concat_ws('; ', {differ}), ')') as example
            from counted where times > 1 and not _deleted group by {keys}
            having count(distinct {content(contract, "counted")}) > 1 and {version}
        )
    """


@dataclass(frozen=True)
class Before:
    """What the load before left: its current rows and its history. `same_mapping`: it read by the settings of today."""

    current: str
    history: str
    same_mapping: bool = True


def judged(contract: Contract, stage: str, before: Before | None) -> str:
    """The good rows with what becomes of each: `_outcome` (as in verdicts), `_by_load` (the load that it gives way to;
    null: its own)."""
    keys = listed(contract.key_columns)
    version = contract.version_column
    order = "_content desc nulls last"
    if version:
        order = f"{quoted(version)} desc nulls last, {order}"
    names = [name for name, _ in contract.typed_columns] + ["_extra", "_deleted"]
    ranked = f"""
        select {listed(names)}, _content, times,
            row_number() over (partition by {keys} order by {order}) as place,
            first_value(_content) over (partition by {keys} order by {order}) as winner
        from (
            select *, case when times > 1 then {content(contract, "counted")} end as _content
            from (select *, count(*) over (partition by {keys}) as times from {stage} where _error is null) as counted
        )
    """
    superseded = f"when place > 1 then case when _content = winner then {UNCHANGED} else {STALE} end"
    if before is None:
        outcome = f"case {superseded} when _deleted then {STALE} else {NEW} end"
        return f"select {listed(names)}, {outcome} as _outcome, cast(null as bigint) as _by_load from ({ranked})"
    same = " and ".join(f"ranked.{quoted(name)} <=> here.{quoted(name)}" for name in by_weight(contract))
    is_here = "here._load_id is not null"
    outcome = f"""case {superseded}
        when not {is_here} then case when ranked._deleted then {STALE} else {NEW} end
        when ranked._deleted then case when {_is_newer(contract, before)} or ({same}) then {REMOVED} else {STALE} end
        when {same} then {UNCHANGED} when {_is_newer(contract, before)} then {CHANGED} else {STALE} end"""
    return f"""
        select {listed(names, "ranked")}, {outcome} as _outcome,
            case when place = 1 then here._load_id end as _by_load
        from ({ranked}) as ranked left join {before.current} as here
            on place = 1 and {_same_key(contract, "ranked", "here")}
    """


def judged_columns(contract: Contract) -> list[tuple[str, str]]:
    """(name, Spark's type) of the rows of `judged`."""
    typed = [(name, spark_type(kind)) for name, kind in contract.typed_columns]
    return [*typed, ("_extra", "string"), ("_deleted", "boolean"), ("_outcome", "int"), ("_by_load", "bigint")]


def missing(contract: Contract, stage: str, before: Before) -> str:
    """(gone, rows): how many of the current rows of before the table has no longer, of how many."""
    return (
        f"select count_if(not is_there) as gone, count(*) as rows from (select exists (select 1 from {stage} as stage"
        f" where {_same_key(contract, 'stage', 'here')}) as is_there from {before.current} as here)"
    )


def _same_key(contract: Contract, one: str, other: str) -> str:
    return " and ".join(f"{one}.{quoted(name)} <=> {other}.{quoted(name)}" for name in contract.key_columns)


def _is_newer(contract: Contract, before: Before) -> str:
    """Whether a row of tonight replaces the current one of its key; both are of this table."""
    if contract.version_column is None or not before.same_mapping:
        return "true"
    ours, theirs = f"ranked.{quoted(contract.version_column)}", f"here.{quoted(contract.version_column)}"
    return f"case when {ours} is null then {theirs} is null when {theirs} is null then true else {ours} >= {theirs} end"


def leaving(contract: Contract, stage: str, judgement: str, before: Before, *, follows: bool, ghosts: bool) -> str:
    """Current rows of before that are current no more, as they were. follows: rows that the table has no longer go,
    those that it has and that are refused stay; ghosts: so do rows that have no good one with their key."""
    replaced = f"exists (select 1 from {judgement} as judged where _outcome in ({CHANGED}, {REMOVED})"
    conditions = [f"{replaced} and {_same_key(contract, 'judged', 'here')})"]
    if follows:
        conditions.append(f"not exists (select 1 from {stage} as stage where {_same_key(contract, 'stage', 'here')})")
    if ghosts:
        conditions.append(
            f"not exists (select 1 from {judgement} as judged where {_same_key(contract, 'judged', 'here')})"
        )
    parts = [f"select * from {before.current} as here where {condition}" for condition in conditions]
    return " union ".join(parts)


def customers_of(contract: Contract, judgement: str) -> str | None:
    """Every customer id of the good rows; None where the dataset has none."""
    if not contract.customer_columns:
        return None
    parts = [
        f"select {quoted(name)} as customer_id from {judgement} where {quoted(name)} is not null"
        for name in contract.customer_columns
    ]
    return f"select distinct customer_id from ({' union all '.join(parts)})"


@dataclass(frozen=True)
class Judged:
    """The good rows of a load, and what its rows of raw are made of: names of Spark's tables.

    rows: of `judged`. keys: the customers' numbers. gone: of `leaving`; None where there is nothing `before`.
    """

    contract: Contract
    rows: str
    keys: str
    gone: str | None
    before: Before | None
    load_id: int
    now: datetime

    def current(self) -> str:
        """The rows of raw.<dataset>: those that stay, and those that came."""
        came = self._as_raw(f"_outcome in ({NEW}, {CHANGED})")
        if self.before is None:
            return came
        names = listed([name for name, _ in self.contract.raw_columns], "here")
        stay = f"select {names} from {self.before.current} as here"
        if self.gone is not None:
            left = f"select 1 from {self.gone} as gone where {_same_key(self.contract, 'gone', 'here')}"
            stay += f" where not exists ({left})"
        return f"{stay} union all {came}"

    def history(self) -> str:
        """The rows of raw.<dataset>_history: those of before, what left, and what came too late, each content once."""
        parts = []
        if self.before is not None:
            names = [name for name, _ in self.contract.history_columns]
            parts.append(f"select {listed(names)} from {self.before.history}")
        if self.gone is not None:
            names = [name for name, _ in self.contract.raw_columns]
            left = f"cast({self.load_id} as bigint) as _superseded_by, {self._now} as _superseded_at"
            parts.append(f"select {listed(names)}, {left} from {self.gone}")
        return " union all ".join([*parts, self._late()])

    def _late(self) -> str:
        """What came after a newer version of its key, unless its content is in the history or goes there now."""
        by_load = f"coalesce(_by_load, {self.load_id}) as _superseded_by"
        came = self._as_raw(f"_outcome = {STALE}", also=by_load)
        names = [name for name, _ in self.contract.raw_columns]
        weighed = by_weight(self.contract)
        rows = f"""
            select {listed(names)}, _superseded_by, {self._now} as _superseded_at from (
                select *, row_number() over (partition by {listed(weighed)} order by _superseded_by) as place
                from ({came})
            ) as late where place = 1
        """
        same = " and ".join(f"known.{quoted(name)} <=> late.{quoted(name)}" for name in weighed)
        for known in (self.before.history if self.before else None, self.gone):
            if known is not None:
                rows += f" and not exists (select 1 from {known} as known where {same})"
        return rows

    def _as_raw(self, condition: str, also: str | None = None) -> str:
        """Rows of tonight with the columns of raw."""
        typed = [name for name, _ in self.contract.typed_columns]
        joins, numbers = "", []
        for place, (name, key) in enumerate(self.contract.customer_columns.items()):
            joins += f" left join {self.keys} as keys_{place} on keys_{place}.customer_id = judged.{quoted(name)}"
            numbers.append(f"keys_{place}.customer_key as {quoted(key)}")
        shown = [
            listed([*typed, "_extra"], "judged"),
            f"cast({self.load_id} as bigint) as _load_id",
            f"{self._now} as _loaded_at",
            *numbers,
            *([also] if also else []),
        ]
        return f"select {', '.join(shown)} from {self.rows} as judged{joins} where {condition}"

    @property
    def _now(self) -> str:
        return f"timestamp '{self.now:%Y-%m-%d %H:%M:%S.%f}'"


def counts(judgement: str) -> str:
    """How many rows have which outcome."""
    return f"select _outcome, count(*) as rows from {judgement} group by _outcome"
