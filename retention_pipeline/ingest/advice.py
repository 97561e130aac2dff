"""What would help a file that would be refused, or rows of it: told from what the file and its rows look like."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import duckdb

from retention_pipeline import templates
from retention_pipeline.contracts import Contract
from retention_pipeline.ingest.mapping import Mapping
from retention_pipeline.ingest.records import BrokenRecordError, split_record
from retention_pipeline.ingest.schema import quoted

DELIMITERS = (",", ";", "\t", "|")
ENCODINGS = ("windows-1252", "latin-1")
ZIP = b"PK\x03\x04"
MADE = "made from others"  # where a contract column comes from that is not a column of the file
ALIKE = 0.75  # of names, for one to be offered for the other
MOST_COLUMNS = 0.7  # of what the fullest of the first lines holds, a header names
SHOWN_VALUES = 5

FOR_PEOPLE = re.compile(
    r"(\w+): '[^']*' is not a number[^\n;]*"
    r"\(it (?:has separators between thousands|is in brackets|has a currency sign)"
)
QUOTES = "a quote says nothing in this file? (quotes: none reads it as a sign)"
# What stands in the reason of a refused row, and what helps.
FOR_REASONS = {
    "the setting decimal of the source is '.'": "amounts have a decimal comma (decimal: ',')",
    "the setting decimal of the source is ','": "amounts have a decimal point (decimal: '.')",
    "a quote stands inside a value without quotes": QUOTES,
    "text follows a closing quote": QUOTES,
    "the settings of the source give no timezone": "say in which zone its times are (timezone: Europe/Amsterdam)",
}
_TIME = re.compile(
    r"(?P<first>[0-9]{1,4})(?P<between>[-/.])(?P<second>[0-9]{1,2})[-/.](?P<third>[0-9]{1,4})"
    r"(?P<gap>[ T]*)(?P<hour>[0-9]{1,2}:[0-9]{2})?(?P<seconds>:[0-9]{2})?(?P<half> ?[AaPp][Mm])?"
)
_WITH_NAME = re.compile(
    r"[0-9]{1,2}([ -])(?i:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)\1[0-9]{4}( [0-9]{1,2}:[0-9]{2}(:[0-9]{2})?)?"
)


def of_bytes(path: Path) -> list[str]:
    """What a file is that is not UTF-8 text."""
    head = path.read_bytes()
    if head.startswith(ZIP):
        is_book = b"[Content_Types].xml" in head or b"xl/" in head
        return ["it is a spreadsheet (format: xlsx)" if is_book else "it is a zip file: unpack it"]
    if b"\0" in head[:200]:
        return []  # its error says what it is
    try:
        head.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start < len(head) - 4:  # the last character may be cut
            for encoding in ENCODINGS:
                try:
                    head.decode(encoding)
                except UnicodeDecodeError:
                    continue
                return [f"it is not UTF-8 text, it looks like {encoding} (encoding: {encoding})"]
    return []


def of_header(path: Path, delimiter: str) -> list[str]:
    """Why the first line of a CSV file may be no header of the kind that the settings expect."""
    lines = path.read_bytes().decode("utf-8", "replace").splitlines()[:10]
    if not lines:
        return []
    hints = []
    cut = [(other, line) for other in DELIMITERS for line in lines]
    better, widest = max(cut, key=lambda one: _width(one[1], one[0]))
    if better != delimiter and _width(widest, better) > 2 * _width(widest, delimiter):
        sign, written = ("a tab", '"\\t"') if better == "\t" else (repr(better), repr(better))
        hints.append(f"the delimiter looks like {sign} (delimiter: {written})")
        delimiter = better
    filled = [sum(bool(value) for value in _values(line, delimiter)) for line in lines]
    header = next(number for number, values in enumerate(filled) if values >= MOST_COLUMNS * max(filled))
    if header > 0 and filled[0] < filled[header]:
        hints.append(f"line {header + 1} looks like the header (skip_lines: {header})")
    values = _values(lines[header + 1], delimiter) if len(lines) > header + 1 else []
    if delimiter != "," and any(re.fullmatch(r"-?[0-9.]*,[0-9]{1,2}", (value or "").strip()) for value in values):
        hints.append("numbers look as if they had a decimal comma (decimal: ',')")
    return hints


def of_names(missing: Sequence[str], there: Sequence[str]) -> list[str]:
    """Which columns of the file that are `there`, and of no other use, may be those that are missing."""
    own = [name for name in missing if name in there]
    if own:
        named = [f"the file has {name} itself: take it out of columns" for name in own]
        others = [name for name in missing if name not in own]
        return named + (of_names(others, [name for name in there if name not in own]) if others else [])
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


def of_reasons(reasons: Iterable[str], columns: dict[str, str | None], *, has_zone: bool = True) -> list[str]:
    """What helps rows that are refused for these reasons; `columns`: where each contract column comes from.

    `has_zone`: the source says in which zone its times are.
    """
    together = "\n".join(dict.fromkeys(reasons))
    found = [help for sign, help in FOR_REASONS.items() if sign in together]
    for column in dict.fromkeys(FOR_PEOPLE.findall(together)):
        named = columns.get(column) or column
        reading = f"{{expression: 'number(\"{'…' if named == MADE else named}\")'}}"
        found.append(f"amounts are written for people: columns: {{{column}: {reading}}} reads them")
    times: dict[str, list[str]] = {}
    known: dict[str, list[str]] = {}
    of_times = r"(\w+): '([^']*)' is not a (?:timestamp or date|time of the form ([^;\n]*))"
    for column, value, given in re.findall(of_times, together):
        times.setdefault(column, []).append(value)
        known[column] = given.split(" or ") if given else []
    for column, values in times.items():
        named = columns.get(column) or column
        forms = _form_of(values, column, "…" if named == MADE else named, known[column])
        found += [
            f"{form}; and in which zone they are (timezone: …)" if "%H" in form and not has_zone else form
            for form in forms
        ]
    unknown: dict[str, dict[str, None]] = {}
    for column, value in re.findall(r"(\w+): '([^']*)' is not one of: ", together):
        unknown.setdefault(column, {})[value] = None
    for column, values_ in unknown.items():
        listed = ", ".join(list(values_)[:SHOWN_VALUES])
        more = f" and {len(values_) - SHOWN_VALUES} more" if len(values_) > SHOWN_VALUES else ""
        found.append(f"say what these are: values: {{{column}: {{…: [{listed}]}}}}{more}")
    return list(dict.fromkeys(found))


def of_lines_without(reasons: Sequence[str], columns: dict[str, str | None], good: int) -> list[str]:
    """What helps where a few lines lack what all others have, as lines of totals do."""
    without = [reason for reason in reasons if all(part.endswith(" is missing") for part in reason.split("; "))]
    if not without or len(without) > max(2, good // 10):
        return []
    missing = [columns.get(part.removesuffix(" is missing")) for part in without[0].split("; ")]
    named = next((name for name in missing if name and name != MADE and "." not in name), None)
    if named is None:
        return []
    lines, them = ("1 line has", "it") if len(without) == 1 else (f"{len(without):,} lines have", "them")
    return [f"{lines} no {named}, as totals have none? (where: '\"{named}\" is not null' leaves {them} out)"]


def _form_of(values: list[str], column: str, source_column: str, known: list[str]) -> list[str]:
    """How times are written that are not ISO 8601, as the setting that reads them; `known`: the forms that it has, of
    which one with the same parts in another order gives its place.
    """

    def setting(what: str, form: str, note: str = "") -> list[str]:
        if form in known:
            return []  # there is no such day
        kept = [one for one in known if sorted(_parts(one)) != sorted(_parts(form))]
        forms = [one if one == "epoch" else f"'{one}'" for one in (*kept, form)]
        written = f"[{', '.join(forms)}]" if kept else forms[0]
        return [f"{what}: columns: {{{column}: {{column: {source_column}, format: {written}}}}}{note}"]

    if all(re.fullmatch(r"[0-9]{9,16}(\.[0-9]+)?", value) for value in values):
        return setting("Unix timestamps", "epoch")
    if all(re.fullmatch(r"(19|20)[0-9]{6}", value) for value in values):
        return setting("days without dashes", "%Y%m%d")
    parts = [found for value in values if (found := _TIME.fullmatch(value))]
    named = next((found for value in values if (found := _WITH_NAME.fullmatch(value))), None)
    if not parts and named is not None:
        time = (" %H:%M" if named[2] else "") + (":%S" if named[3] else "")
        return setting("times", f"%d{named[1]}%b{named[1]}%Y{time}")
    if not parts:
        return []
    months = {name for name in ("first", "second") if all(1 <= int(part[name]) <= 12 for part in parts)}
    one = parts[0]
    if not months and len(one["first"]) < 4:
        return [f"times of {column}: some begin with the day, others with the month"]
    time = ""
    if one["hour"]:
        time = one["gap"] + ("%I:%M" if one["half"] else "%H:%M") + (":%S" if one["seconds"] else "")
        time += (" %p" if one["half"].startswith(" ") else "%p") if one["half"] else ""
    if len(one["first"]) == 4:
        return setting("times", f"%Y{one['between']}%m{one['between']}%d{time}")
    order = "%m{0}%d{0}" if months == {"first"} else "%d{0}%m{0}"
    days = order.format(one["between"]) + ("%Y" if len(one["third"]) == 4 else "%y")
    first = "the month" if months == {"first"} else "the day"
    note = f" if {first} comes first, which no value tells" if len(months) == 2 else f"; {first} comes first"
    return setting("times", f"{days}{time}", note)


def _parts(form: str) -> list[str]:
    return re.findall("%.", form)


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
    repeated = rows - different
    repeat = f"{repeated:,} of {rows:,} rows {'repeats' if repeated == 1 else 'repeat'}"
    in_file = [found.name for name in keys if (found := mapping.given[name]) is not None and found.name]
    one_per = in_file[0] if len(in_file) == 1 else f"[{', '.join(in_file)}]"
    is_one = f" rows: {{one_per: {one_per}, take: first}} makes one of them, sum: [...] adds up" if in_file else ""
    return [f"{repeat} the {', '.join(keys)} of another: line items?{is_one}"]


def _width(line: str, delimiter: str) -> int:
    try:
        return len(split_record(line, delimiter))
    except BrokenRecordError:
        return 0


def _values(line: str, delimiter: str) -> Sequence[str | None]:
    """The values of a line; of one that is no row of its own, what stands between the delimiters."""
    try:
        return split_record(line, delimiter)
    except BrokenRecordError:
        return line.split(delimiter)
