"""`query:` of a source of files: one SELECT over the lines of a delivered file, whose rows are then loaded like any
others.

The query sees `rows` alone: the file's columns as text (Parquet: with its types) and `_line`, the line where a row
begins. It runs in a database of its own that can open no file, load nothing and change no setting. A file of which one
line cannot be read is refused whole, since a query that counts on all lines would give something else without it.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from retention_pipeline.ingest.archive import ArchivedFile, UnusableFileError
from retention_pipeline.ingest.checks import WITH_THREE_DECIMALS, WITHOUT_DECIMALS
from retention_pipeline.ingest.joined import taken_parts
from retention_pipeline.ingest.lines import LineIndex
from retention_pipeline.ingest.prepared import needs_preparing, prepared
from retention_pipeline.ingest.readers import (
    Reading,
    csv_relation,
    read_csv,
    read_header,
    read_json_lines,
    read_parquet,
)
from retention_pipeline.ingest.schema import first_line, literal, quoted
from retention_pipeline.ingest.slow_path import read_csv_slowly, read_lines_slowly
from retention_pipeline.ingest.used_columns import used_columns
from retention_pipeline.settings import FileSource, Made, Source, memory_limit
from retention_pipeline.warehouse import connect

LINE = "_line"
NO_NUMBER = " is not a number"
EVERY_LINE = "a source with query, where or rows needs files of which every line can be read"
INSTANTS = (
    *("%Y-%m-%d %H:%M:%S.%f", "%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M:%S.%f", "%Y-%m-%dT%H:%M:%S"),
    *("%Y-%m-%dT%H:%M", "%Y-%m-%d"),
)


def checked_query(query: str) -> str:
    """The query without its final semicolon; raises UnusableFileError unless it is one SELECT."""
    try:
        statements = duckdb.extract_statements(query)
    except duckdb.Error as error:
        raise UnusableFileError(f"the query of the source cannot be read: {first_line(error)}") from None
    if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
        raise UnusableFileError("the query of the source has to be one SELECT")
    return query.strip().rstrip(";")


def query_of(source: FileSource) -> str:
    """What the settings say of rows, as one SELECT: `query` as it stands, else `where` and `rows`."""
    if source.query is not None:
        return source.query
    chosen = f"select * from rows where ({source.where})" if source.where else "select * from rows"
    if source.rows is None:
        return f"{chosen} order by {LINE}"
    keys = [quoted(name) for name in source.rows.keys]
    blank = " or ".join(f"nullif(trim(cast({key} as varchar)), '') is null" for key in keys)
    group = f"partition by {', '.join(keys)}, case when {blank} then {LINE} end"  # who has no key is nobody's row
    sums = [quoted(name) for name in source.rows.sum]
    added = "".join(f", sum({_number(name, source)}) over ({group}) as {_sum_of(name)}" for name in sums)
    dropped = ", ".join([quoted("place in group"), *(_sum_of(name) for name in sums)])
    totals = ", ".join(f"{_sum_of(name)} as {name}" for name in sums)
    replaced = f" replace ({totals})" if totals else ""
    return f"""select * exclude ({dropped}){replaced} from (
            select *, row_number() over ({group} order by {LINE}) as {quoted("place in group")}{added} from ({chosen})
        ) where {quoted("place in group")} = 1 order by {LINE}"""


def _sum_of(name: str) -> str:
    return quoted(f"sum of {name}")


def _number(name: str, source: FileSource) -> str:
    """A column to be added up; where the settings say that it has a decimal comma, a point in it parts thousands."""
    text = f"cast({name} as varchar)"
    return f"number(replace(replace({text}, '.', ''), ',', '.'))" if source.decimal == "," else f"number({text})"


def queried(
    file: ArchivedFile, source: FileSource, scratch: Path, load_id: int, watched: list[str]
) -> tuple[ArchivedFile, list[str]]:
    """(the rows that the source's query gives for a file, as a Parquet file in `scratch`; what looks wrong about them).

    `watched`: columns that the contract's are taken from. Raises UnusableFileError where a line cannot be read, or the
    query cannot be run on this file.
    """
    query = checked_query(query_of(source))
    result = scratch / f"queried {load_id}.parquet"
    with connect(config={"threads": 2}) as connection:
        connection.execute(f"set timezone = 'UTC'; set memory_limit = {literal(memory_limit())}")
        connection.execute(f"set temp_directory = {literal(str(scratch / 'spill'))}")
        used = used_columns(connection, query)
        if source.inputs:
            for relation, parts in taken_parts(file, source, scratch).items():
                _make_joined(connection, relation, parts, source, scratch, used)
            there = [name for name, *_ in connection.execute("describe rows").fetchall() if name != LINE]
        else:
            there = _make_rows(connection, file, source, scratch, used)
        _add_optional(connection, source, there)
        for macro in macros(source.timezone or "UTC"):
            connection.execute(macro)
        connection.execute("set enable_external_access = false; set lock_configuration = true")
        try:
            batches: pa.RecordBatchReader = connection.sql(query).to_arrow_reader(100_000)
            with pq.ParquetWriter(result, _plain(batches.schema), compression="zstd", compression_level=1) as writer:
                for batch in batches:
                    writer.write_table(pa.Table.from_batches([batch]).cast(_plain(batches.schema)))
            hints = _hints(connection, source, watched)
        except (duckdb.Error, pa.ArrowInvalid) as error:
            what = "the query" if source.query is not None else "where or rows"
            problem = f"{what} of the source fails: {_in_words(error)}"
            raise UnusableFileError(f"{problem}; the file has: {', '.join(there)}") from None
    return replace(file, plain=result, format="parquet", records=None, types={}), hints


def _in_words(error: Exception) -> str:
    """What is wrong with a query; a column that the file lacks is what goes wrong most."""
    text = first_line(error)
    missing = re.match(r'Binder Error: (?:Referenced column|Table "\w+" does not have a column named) "([^"]+)"', text)
    if missing:
        return f"there is no column {missing[1]}"
    wrong = re.search(f'Could not convert string "(.*){NO_NUMBER}"', text)
    return f"{wrong[1]!r}{NO_NUMBER}" if wrong else text


def _make_joined(
    connection: duckdb.DuckDBPyConnection,
    relation: str,
    parts: list[ArchivedFile],
    source: FileSource,
    scratch: Path,
    used: set[str] | None,
) -> None:
    """The table of a relation: the rows of its files, one after another, whose columns may differ."""
    for number, part in enumerate(parts):
        if needs_preparing(part, source):
            part = prepared(part, source, scratch, f"{relation} {number}")
        _make_rows(connection, part, source, scratch, used, "part")
        if number == 0:
            connection.execute(f"create table {quoted(relation)} as from part")
        else:
            both = f"from {quoted(relation)} union all by name from part"
            connection.execute(f"create or replace table {quoted(relation)} as {both}")
        connection.execute("drop table part; drop table if exists stage_rejects; drop table if exists stage_scans")


def _hints(connection: duckdb.DuckDBPyConnection, source: FileSource, watched: list[str]) -> list[str]:
    """Of short forms: lines of which `where` does not know, and columns that differ among rows that are added up."""
    hints = []
    if source.where:
        unknown, lines = connection.execute(
            f"select count(*) filter (where ({source.where}) is null), count(*) from rows"
        ).fetchall()[0]
        if unknown:
            hints.append(
                f"where is neither true nor false for {unknown:,} of {lines:,} lines (empty values?): left out"
            )
    if source.rows is None or not source.rows.sum or source.rows.take is not None:
        return hints
    there = {name for name, *_ in connection.execute("describe rows").fetchall()}
    keys = ", ".join(quoted(name) for name in source.rows.keys)
    shown = " || ', ' || ".join(f"cast({quoted(name)} as varchar)" for name in source.rows.keys)
    chosen = f"from rows where ({source.where})" if source.where else "from rows"
    differing = []
    for name in dict.fromkeys(watched):
        if name not in there or name in source.rows.keys or name in source.rows.sum:
            continue
        column = quoted(name)
        number, example = connection.execute(
            f"""select count(*), min(example) from (
                select {shown} || ': ' || min({column}) || ' and ' || max({column}) as example
                {chosen} group by {keys} having min({column}) <> max({column})
            )"""
        ).fetchall()[0]
        if number:
            each = ", ".join(source.rows.keys)
            differing.append(name)
            hints.append(
                f"{name} differs among the rows of one {each}, {number:,} times ({example}); the first is taken"
                " (rows: {take: first} says that it is right)"
            )
    if differing and source.refund_of is None:
        hints += _refunds_among(connection, source, chosen, differing)
    return hints


def _refunds_among(
    connection: duckdb.DuckDBPyConnection, source: FileSource, chosen: str, differing: list[str]
) -> list[str]:
    """Negative lines that are added up with what they may be refunds of."""
    assert source.rows is not None
    negative = " or ".join(f"{_number(quoted(name), source)} < 0" for name in source.rows.sum)
    [(number,)] = connection.execute(f"select count(*) from (select * {chosen}) where {negative}").fetchall()
    if not number:
        return []
    status = source.columns.get("status")
    apart = status if isinstance(status, str) and status in differing else differing[0]
    keys = source.rows.keys
    lines = "1 line is" if number == 1 else f"{number:,} lines are"
    return [
        f"{lines} negative and added up with the others: refunds? (rows: {{one_per: [{', '.join([*keys, apart])}], …}}"
        f" and refund_of: {keys[0]} book them on their own day)"
    ]


def _plain(schema: pa.Schema) -> pa.Schema:
    """Instants with a zone keep it, as UTC; everything else is as it is."""
    return pa.schema(
        [
            field.with_type(pa.timestamp("us", "UTC")) if pa.types.is_timestamp(field.type) and field.type.tz else field
            for field in schema
        ]
    )


def _make_rows(
    connection: duckdb.DuckDBPyConnection,
    file: ArchivedFile,
    source: FileSource,
    scratch: Path,
    used: set[str] | None,
    table: str = "rows",
) -> list[str]:
    """The table of a file's rows, with those of its columns that are `used` (None: all); the result names them all."""
    reading, lines = _reading(connection, file, source, scratch)
    taken = [column for column in reading.columns if used is None or column.name.lower() in used]
    columns = ", ".join(f"{column.expression} as {quoted(column.name)}" for column in taken or reading.columns[:1])
    numbered = f"select {columns}, row_number() over () as position from {reading.relation}"
    before = _constant_offset(lines)
    try:
        if before is not None:  # in the order of the file, as it is read
            connection.execute(
                f"create table {table} as select * exclude (position), position + {before} as {LINE} from ({numbered})"
            )
        else:
            connection.register("numbers", pa.table({"line": pa.array(lines, pa.int64())}))
            connection.execute(
                "create table lines as select row_number() over () as position, line from numbers;"
                f"""create table {table} as select of_file.* exclude (position),
                    coalesce(lines.line, of_file.position) as {LINE}
                from ({numbered}) as of_file left join lines using (position) order by of_file.position;"""
                "drop table lines"
            )
    except duckdb.Error as error:
        raise UnusableFileError(f"the file cannot be read: {first_line(error)}") from None
    if file.format == "csv" and lines is not None:
        counted = connection.execute(f"select count(*) from {table}").fetchone()
        if counted is None or counted[0] != len(lines):
            rejected = connection.execute("select min(line), min(error_message) from stage_rejects").fetchone()
            where = (
                f"line {rejected[0] + file.line_offset}: {rejected[1]}"
                if rejected and rejected[0]
                else "the lines do not add up"
            )
            raise UnusableFileError(f"{EVERY_LINE}; {where}")
    return [column.name for column in reading.columns]


def _add_optional(connection: duckdb.DuckDBPyConnection, source: FileSource, there: list[str]) -> None:
    """Gives `rows` the optional columns that the file lacks, empty ones."""
    known = {name.lower() for name in there}
    for name in source.optional_columns:
        if name.lower() not in known:
            known.add(name.lower())
            connection.execute(f"alter table rows add column {quoted(name)} varchar")


def _constant_offset(lines: np.ndarray | None) -> int | None:
    """By how much the line of every row is greater than its position, if that is the same for all."""
    if lines is None or len(lines) == 0:
        return 0
    first = int(lines[0])
    return first - 1 if np.array_equal(lines, np.arange(first, first + len(lines))) else None


def _reading(
    connection: duckdb.DuckDBPyConnection, file: ArchivedFile, source: FileSource, scratch: Path
) -> tuple[Reading, np.ndarray | None]:
    """How the file is read, and the line of each of its rows (None: rows are numbered from 1)."""
    if file.format == "parquet":
        return read_parquet(connection, file), None
    counts = file.counts
    if file.format == "jsonl":
        slow = read_lines_slowly(file, scratch)
        reading = read_json_lines(connection, file, f"read_parquet({literal(str(slow.path))})")
        return reading, np.array(slow.lines, dtype=np.int64) + file.line_offset
    header = read_header(file, source.separator)
    if counts.nul_bytes or counts.is_mixed or counts.stray_quotes or counts.lines_with_open_quote:
        slow = read_csv_slowly(file, source.separator, len(header.names), header.lines, scratch)
        if slow.rejected:
            first = min(slow.rejected, key=lambda one: one.line)
            where = f"line {first.line + file.line_offset}: {first.reason}"
            raise UnusableFileError(f"{EVERY_LINE}; {len(slow.rejected)} cannot; first: {where}")
        columns = read_csv(file, source.separator).columns
        lines = np.array(slow.lines, dtype=np.int64) + file.line_offset
        return Reading(f"read_parquet({literal(str(slow.path))})", columns), lines
    if counts.blank == 0:
        numbers = np.arange(header.lines + 1, counts.lines + 1) + file.line_offset
    else:
        numbers = LineIndex.of(file.plain).numbers[header.lines :] + file.line_offset
    relation = csv_relation(file.plain, source.separator, ["VARCHAR"] * len(header.names), counts.quotes > 0)
    return Reading(relation, read_csv(file, source.separator).columns), numbers


def make_functions_of_expressions(connection: duckdb.DuckDBPyConnection, source: Source) -> None:
    """The functions of queries that an `expression` may use too, where the source has one: those of texts, which no
    zone bears on.
    """
    if not any(isinstance(one, Made) and one.expression for one in source.columns.values()):
        return
    for macro in macros("UTC"):
        if macro.startswith(
            ("create macro number(", "create macro minor(", "create macro unquote(", "create macro email(")
        ):
            connection.execute(macro.replace("create macro", "create or replace temp macro", 1))


def macros(timezone: str) -> list[str]:
    """The functions that a query may use beside DuckDB's own. Times without a zone are those of `timezone`."""
    zone = literal(timezone)
    has_zone = "regexp_matches(x, '(Z|UTC|[+-][0-9]{2}:?[0-9]{2})$')"
    with_offset = r"regexp_replace(replace(trim(x), ' UTC', 'Z'), '\s*([+-][0-9]{2}):?([0-9]{2})$', '\1:\2')"
    in_zone = f"timezone({zone}, cast({with_offset} as timestamptz))"

    def parsed(formats: str) -> str:
        return (
            f"case when nullif(trim(x), '') is null then null when {has_zone} then {in_zone}"
            f" else coalesce(try_strptime(trim(x), {formats}),"
            " error(concat('''', x, ''' is not a time in the expected form'))) end"
        )

    known = f"[{', '.join(literal(one) for one in INSTANTS)}]"
    plain = r"regexp_full_match(trim(x), '[+-]?[0-9]+([.][0-9]+)?')"
    # Between its digits stand signs that part them, and no others: 1e5, 1/2 and "2 x 5" are no amounts.
    grouped = r"regexp_full_match(x, '[^0-9]*[0-9]([0-9.,\x{27}\x{2019}\s\x{a0}\x{2009}\x{202f}]*[0-9])?[^0-9]*')"
    # A point behind a letter belongs to a word ("Rs. 500"); each kind of dash is a minus.
    signed = r"regexp_replace(regexp_replace(x, '([\pL/])[.,]', '\1', 'g'), '[(\x{2212}\x{2013}\x{2014}]', '-', 'g')"
    bare = f"regexp_replace({signed}, '[^0-9,.+-]', '', 'g')"
    decimal_comma = (
        "(position(',' in n) > 0 and (case when position('.' in n) > 0"
        " then strpos(reverse(n), ',') < strpos(reverse(n), '.')"
        " else not regexp_matches(n, '^[+-]?[0-9]{1,3}(,[0-9]{3})+$') end))"
    )
    # error() would have side effects for DuckDB: no alias of an amount, and no try around it, were possible.
    no_number = f"cast(concat(x, {literal(NO_NUMBER)}) as decimal(28, 6))"
    amount = (
        f"list_transform([case when {grouped} then {bare} end], lambda n: coalesce(try_cast(case when {decimal_comma}"
        " then replace(replace(n, '.', ''), ',', '.') else replace(n, ',', '') end as decimal(28, 6)),"
        f" {no_number}))[1]"
    )
    exponent = (
        f"case when upper(c) in {WITHOUT_DECIMALS} then cast(1 as decimal(10, 3))"
        f" when upper(c) in {WITH_THREE_DECIMALS} then cast(0.001 as decimal(10, 3))"
        " else cast(0.01 as decimal(10, 3)) end"
    )
    return [
        f"create macro instant(x) as {parsed(known)}, (x, f) as {parsed('[f]')}, (x, f, g) as {parsed('[f, g]')}",
        "create macro number(x) as case"
        f" when {plain} then cast(trim(x) as decimal(28, 6))"
        f" when coalesce(trim(x), '') in ('', '-', '–', '—', '−') then null else {amount} end",
        f"create macro minor(x, c) as cast(cast(x as decimal(24, 0)) * {exponent} as decimal(28, 6))",
        "create macro epoch(x) as case when nullif(trim(cast(x as varchar)), '') is null then null"
        " else make_timestamptz(cast(cast(x as hugeint) * case when abs(cast(x as hugeint)) >= 100000000000000 then 1"
        " when abs(cast(x as hugeint)) >= 100000000000 then 1000 else 1000000 end as bigint)) end",
        "create macro unquote(x) as nullif(ltrim(trim(x), ''''), '')",
        "create macro email(x) as nullif(lower(trim(x)), '')",
    ]
