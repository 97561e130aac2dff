"""What would help a file that would be refused, or rows of it: told from what the file and its rows look like."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import duckdb

from retention_pipeline import formatting, templates
from retention_pipeline.contracts import Contract
from retention_pipeline.ingest.mapping import Mapping
from retention_pipeline.ingest.records import BrokenRecordError, split_record
from retention_pipeline.ingest.schema import quoted

DELIMITERS = (",", ";", "\t", "|")
ENCODINGS = ("windows-1252", "latin-1")
QUERY = "docs/sources.md#query-of-files"
ALIKE = 0.75  # of names, for one to be offered for the other
SHOWN_VALUES = 5

FOR_PEOPLE = f"amounts are written for people: a query with number(…) reads them ({QUERY})"
# What stands in the reason of a refused row, and what helps.
FOR_REASONS = {
    "it has separators between thousands": FOR_PEOPLE,
    "it is in brackets": FOR_PEOPLE,
    "it has a currency sign": FOR_PEOPLE,
    "the setting decimal of the source is '.'": "amounts have a decimal comma (decimal: ',')",
    "the setting decimal of the source is ','": "amounts have a decimal point (decimal: '.')",
    "it looks like a count of seconds": "times are counts of seconds (in columns: {column: …, format: epoch})",
    "the hour has one digit": f"times went through a spreadsheet: a query with instant(…) reads them ({QUERY})",
    "the settings of the source give no timezone": "say in which zone its times are (timezone: Europe/Amsterdam)",
}


def of_bytes(path: Path) -> list[str]:
    """What a file is that is no UTF-8 text."""
    head = path.read_bytes()
    if head.startswith(b"PK\x03\x04"):
        return ["it is a workbook or a zip file, whatever its name says: call it .xlsx, or unpack it"]
    if head[:2] in (b"\xff\xfe", b"\xfe\xff") or head[:200].count(b"\0") > len(head[:200]) // 4:
        return ["it is UTF-16 text (encoding: utf-16)"]
    try:
        head.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start < len(head) - 4:  # the last character may be cut
            for encoding in ENCODINGS:
                try:
                    head.decode(encoding)
                except UnicodeDecodeError:
                    continue
                return [f"it is no UTF-8 text, it looks like {encoding} (encoding: {encoding})"]
    return []


def of_header(path: Path, delimiter: str) -> list[str]:
    """Why the first line of a CSV file may be no header of the kind that the settings expect."""
    lines = path.read_bytes().decode("utf-8", "replace").splitlines()[:10]
    widths = {other: [_width(line, other) for line in lines] for other in DELIMITERS}
    hints: list[str] = []
    if not lines:
        return hints
    better = max(DELIMITERS, key=lambda other: widths[other][0])
    if better != delimiter and widths[better][0] > 2 * _width(lines[0], delimiter):
        hints.append(f"the delimiter looks like {better!r} (setting delimiter)")
        values = lines[1].split(better) if len(lines) > 1 else []
        if any(value.strip('" ').replace("-", "").replace(",", "", 1).isdigit() and "," in value for value in values):
            hints.append("numbers look as if they had a decimal comma (decimal: ',')")
    elif len(lines) > 1:
        filled = [sum(bool(value) for value in line.split(delimiter)) for line in lines]
        header = filled.index(max(filled))
        if header > 0 and filled[0] < filled[header]:
            hints.append(f"line {header + 1} looks like the header (skip_lines: {header})")
    return hints


def of_names(missing: Sequence[str], there: Sequence[str]) -> list[str]:
    """Which columns of the file may be those that are missing."""
    plain = {re.sub(r"[^a-z0-9]", "", name.lower()): name for name in there}
    pairs = []
    for name in missing:
        [*found] = difflib.get_close_matches(re.sub(r"[^a-z0-9]", "", name.lower()), plain, n=1, cutoff=ALIKE)
        if found:
            pairs.append(f"{name}: {plain[found[0]]}")
    perhaps = f", perhaps {{{', '.join(pairs)}}}" if pairs else ""
    return [f"say under columns which of its columns {', '.join(missing)} {'are' if missing[1:] else 'is'}{perhaps}"]


def template_of(delivered: Iterable[str]) -> str | None:
    """The template for an export with these columns."""
    return templates.recognised(delivered)


def of_template(name: str) -> str:
    return f"these are the columns of {name}: retention init NEW_HOME --from {name} writes settings for it"


def of_reasons(reasons: Iterable[str]) -> list[str]:
    """What helps rows that are refused for these reasons."""
    reasons = list(reasons)
    together = "\n".join(reasons)
    found = [help for sign, help in FOR_REASONS.items() if sign in together]
    if "the order of day and month is not said" in together:
        found.append(_order_of_days(together))
    unknown: dict[str, dict[str, None]] = {}
    for column, value in re.findall(r"(\w+): '([^']*)' is none of: ", together):
        unknown.setdefault(column, {})[value] = None
    for column, values in unknown.items():
        listed = ", ".join(list(values)[:SHOWN_VALUES])
        more = f" and {len(values) - SHOWN_VALUES} more" if len(values) > SHOWN_VALUES else ""
        found.append(f"say what these are: values: {{{column}: {{…: [{listed}]}}}}{more}")
    return list(dict.fromkeys(found))


def _order_of_days(reasons: str) -> str:
    days = re.findall(r"'([0-9]{1,2})[-/.]([0-9]{1,2})[-/.][0-9]{2,4}[^']*'", reasons)
    if any(int(first) > 12 for first, _ in days):
        return "dates begin with the day (in columns: {column: …, format: '%d/%m/%Y'})"
    if any(int(second) > 12 for _, second in days):
        return "dates begin with the month (in columns: {column: …, format: '%m/%d/%Y'})"
    return "say whether day or month comes first (in columns: {column: …, format: '%d/%m/%Y'}, or '%m/%d/%Y')"


def of_repeated_keys(connection: duckdb.DuckDBPyConnection, contract: Contract, mapping: Mapping) -> list[str]:
    """Rows that repeat a key, good or not: line items. Of the rows on the stage, in the order of the file."""
    keys = [name for name in contract.key if mapping.given[name] is not None]
    if len(keys) < len(contract.key) or mapping.hashed is not None:
        return []
    listed = ", ".join(quoted(name) for name in keys)
    there = " and ".join(f"{quoted(name)} is not null" for name in keys)
    [(rows, different)] = connection.execute(
        f"select count(*), count(distinct ({listed})) from stage where {there}"
    ).fetchall()
    if different == rows:
        return []
    number = formatting.counted(rows - different, "row")
    help = "line items? (rows: {one_per: …, sum: […]})"
    return [f"{number} of {rows:,} repeat the {', '.join(keys)} of another: {help}"]


def _width(line: str, delimiter: str) -> int:
    try:
        return len(split_record(line, delimiter))
    except BrokenRecordError:
        return 0
