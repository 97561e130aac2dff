"""How DuckDB reads each format: every row of a file as one row of a relation, in order, all values as they stand.

A reader never guesses. Columns are found by the header's names, not by position; a file that cannot be read that way
is refused as a whole, and one whose lines need care goes to `slow_path`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import duckdb

from retention_pipeline.ingest.archive import ArchivedFile, UnusableFileError
from retention_pipeline.ingest.file_columns import FileColumn
from retention_pipeline.ingest.lines import BLOCK, BYTE_ORDER_MARK
from retention_pipeline.ingest.records import BrokenRecordError, split_record
from retention_pipeline.ingest.schema import BROKEN, first_line, literal, quoted

MAX_LINE = 16_000_000


@dataclass(frozen=True)
class Reading:
    """A relation that yields the rows of a file in order, and the columns that can be read from it.

    Of CSV: `width` is the number of values in a line, those without a name included.
    """

    relation: str
    columns: list[FileColumn]
    header_lines: int = 0
    width: int = 0
    row_error: str | None = None
    whole_row: str | None = None


MAX_LINES_OF_HEADER = 200


@dataclass(frozen=True)
class Header:
    """The column names of a CSV file in its order, and over how many lines they go. An empty name: no column.

    `repeated`: names that stand there more than once; the second is called `name_2`.
    """

    names: list[str]
    lines: int = 1
    repeated: frozenset[str] = frozenset()

    @property
    def named(self) -> list[tuple[int, str]]:
        """(position, name) of the columns that have a name."""
        return [(position, name) for position, name in enumerate(self.names) if name]


def read_header(file: ArchivedFile, delimiter: str) -> Header:
    """The header of a CSV file; raises UnusableFileError where its first lines cannot be one."""
    head = _text_head(file)
    lines = head.split(b"\n", MAX_LINES_OF_HEADER)[:MAX_LINES_OF_HEADER]
    if not lines[0].strip():
        raise UnusableFileError("the file begins with a blank line where its header should be")
    names, used = _header_record(lines, delimiter)
    if not any(names):
        raise UnusableFileError("the header has no columns")
    if names[-1] == "":
        names.pop()  # a delimiter at the end, which lines may have or not
    return Header(_told_apart(names), used, frozenset(name for name in names if name and names.count(name) > 1))


def _told_apart(names: list[str]) -> list[str]:
    """Names of which none stands twice: the second `name` is `name_2`, or what number is free."""
    told: list[str] = []
    for name in names:
        free, number = name, 2
        while name and (free in told or (free != name and free in names)):
            free, number = f"{name}_{number}", number + 1
        told.append(free)
    return told


def _header_record(lines: list[bytes], delimiter: str) -> tuple[list[str], int]:
    """The names of the header, which may go over several lines where they are quoted, and how many lines it takes."""
    text = ""
    for used, line in enumerate(lines, start=1):
        if b"\0" in line:
            raise UnusableFileError("the header holds a NUL byte")
        try:
            text += ("\n" if text else "") + line.decode("utf-8").removesuffix("\r")
        except UnicodeDecodeError:
            raise UnusableFileError("the header is not valid UTF-8 (encoding: windows-1252, or latin-1)") from None
        if "\r" in text:
            raise UnusableFileError("a CR stands within the header; lines are expected to end in LF or CR LF")
        try:
            return [(name or "").strip() for name in split_record(text, delimiter)], used
        except BrokenRecordError as error:
            if not error.open_quote:
                raise UnusableFileError(f"the header cannot be read: {error}") from None
    raise UnusableFileError("the header cannot be read: a quote is not closed")


def _text_head(file: ArchivedFile) -> bytes:
    """The first bytes of a text file, up to the end of its first line, without a byte order mark."""
    head = file.counts.head
    if file.counts.size == 0:
        raise UnusableFileError("the file is empty")
    if head[:2] in (b"\xff\xfe", b"\xfe\xff") or head[:200].count(b"\0") > len(head[:200]) // 4:
        raise UnusableFileError("the file is not UTF-8 text but, it seems, UTF-16 (encoding: utf-16)")
    if file.counts.lines == 1 and file.counts.carriage_returns > 1:
        raise UnusableFileError("the lines end in CR alone; LF or CR LF is expected")
    if b"\n" not in head or b'"' in head.split(b"\n", 1)[0]:
        with file.plain.open("rb") as stream:
            head = stream.read(MAX_LINE if b"\n" not in head else BLOCK)
    return head.removeprefix(BYTE_ORDER_MARK)


def read_csv(file: ArchivedFile, delimiter: str, types: dict[str, str] | None = None) -> Reading:
    """Read a CSV file with a header; lines with the wrong number of values or bytes are reported, not loaded.

    Columns are text but for those in `types`; a line whose value its type cannot hold is reported too.
    """
    header = read_header(file, delimiter)
    kinds = [(types or {}).get(name, "VARCHAR") for name in header.names]
    columns = [
        FileColumn(name, f"c{position}", kinds[position], is_repeated=name in header.repeated)
        for position, name in header.named
    ]
    relation = csv_relation(file.plain, delimiter, kinds, file.counts.quotes > 0)
    return Reading(relation, columns, header_lines=header.lines, width=len(kinds))


def csv_relation(paths: Path | list[Path], delimiter: str, types: list[str], has_quotes: bool) -> str:
    """The rows of CSV files that all have the same header, with columns of `types`; of several with their `filename`.

    Files without any quote are read as having none, so that nothing in them can go over several lines.
    """
    quote = '"' if has_quotes else ""
    listed = ", ".join(f"'c{index}': '{kind}'" for index, kind in enumerate(types))
    files = literal(str(paths)) if isinstance(paths, Path) else f"[{', '.join(literal(str(path)) for path in paths)}]"
    filename = "" if isinstance(paths, Path) else "filename=true, "
    return f"""read_csv({files}, auto_detect=false, header=true, delim={literal(delimiter)}, {filename}
        quote={literal(quote)}, escape={literal(quote)}, columns={{{listed}}}, max_line_size={MAX_LINE},
        store_rejects=true, rejects_limit=0, rejects_table='stage_rejects', rejects_scan='stage_scans')"""


def read_json_lines(connection: duckdb.DuckDBPyConnection, file: ArchivedFile, relation: str | None = None) -> Reading:
    """Read one JSON object per line. `relation` (one text column `line`) stands in for the lines of the file."""
    if file.counts.size:
        _text_head(file)
    if relation is None:
        relation = f"""(select line from read_csv({literal(str(file.plain))}, auto_detect=false, header=false,
            delim=chr(1), quote='', escape='', columns={{'line': 'VARCHAR'}}, max_line_size={MAX_LINE},
            store_rejects=true, rejects_limit=0, rejects_table='stage_rejects', rejects_scan='stage_scans')
            where line is not null)"""
    is_object = "coalesce(case when json_valid(line) then json_type(line) = 'OBJECT' end, false)"
    names = [
        name
        for (name,) in connection.execute(
            f"select distinct unnest(json_keys(line)) from {relation} where {is_object} order by all"
        ).fetchall()
    ]
    if not names:
        raise UnusableFileError(
            "no line of the file is a JSON object with keys; one object per line, or one array of objects, is expected"
            if file.counts.size
            else "the file is empty"
        )
    # The names in one of DuckDB's structs differ in more than case, and none is empty; other keys are read one by one.
    in_struct = {name.lower(): name for name in reversed(names) if name}
    structure = json.dumps(dict.fromkeys(in_struct.values(), "VARCHAR"))
    fields = f"from_json(line, {literal(structure)})" if in_struct else "null"
    rows = f"""(select line, {is_object} as is_object, case when is_object then {fields} end as fields
        from {relation})"""
    return Reading(
        rows,
        [
            FileColumn(name, f"fields.{quoted(name)}" if name in in_struct.values() else _value_of_key(name))
            for name in names
        ],
        row_error="case when not is_object then 'the line is not a JSON object' end",
        whole_row="case when is_object then line end",
    )


def _value_of_key(name: str) -> str:
    pointer = "/" + name.replace("~", "~0").replace("/", "~1")
    return f"case when is_object then json_extract_string(line, {literal(pointer)}) end"


def read_parquet(connection: duckdb.DuckDBPyConnection, file: ArchivedFile) -> Reading:
    """Read a Parquet file with the types that it has."""
    relation = f"read_parquet({literal(str(file.plain))})"
    try:
        described = connection.execute(f"describe select * from {relation}").fetchall()
    except BROKEN:
        raise
    except duckdb.Error as error:
        raise UnusableFileError(f"not a complete Parquet file: {first_line(error)}") from None
    return Reading(relation, [_parquet_column(name, kind) for name, kind, *_ in described])


def _parquet_column(name: str, kind: str) -> FileColumn:
    """Instants in nanoseconds, as pandas writes them, have no cast to a timestamp without a zone."""
    if kind == "TIMESTAMPTZ_NS":
        return FileColumn(name, f"cast({quoted(name)} as timestamptz)", "TIMESTAMP WITH TIME ZONE")
    return FileColumn(name, quoted(name), kind)
