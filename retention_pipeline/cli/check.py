"""`retention check`: whether a run would load what is there, told before the run, and whether what was made holds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.text import Text

from retention_pipeline import formatting
from retention_pipeline.cli.json_output import print_json
from retention_pipeline.cli.terminal import terminal
from retention_pipeline.read.published import open_published
from retention_pipeline.settings import (
    BUILT_IN_DIMENSIONS,
    DatabaseSource,
    FileSource,
    Home,
    LakeSource,
    ServerSource,
    Settings,
    load_settings,
    resolve_home,
)

if TYPE_CHECKING:
    from retention_pipeline.ingest.preview import Preview


class CheckFailed(Exception):
    """At least one check found something wrong; the text lists it."""


def check_home(home: Path | None, *, as_json: bool) -> None:
    """Settings, sources, raw keys, and the audit of the published generation. Raises CheckFailed."""
    place = resolve_home(home)
    settings = load_settings(place)
    previews: dict[str, Preview] = {}
    findings = [("settings", True, f"{place.settings_file} is fine")]
    findings += check_sources(place, settings, previews)
    findings += _check_segments(place, settings, previews)
    findings += _check_changed_settings(place, settings)
    findings += _check_rules(place, settings)
    if as_json:
        answer: list[dict[str, Any]] = [{"check": name, "ok": ok, "finding": text} for name, ok, text in findings]
        for name, preview in previews.items():
            [*_, one] = [one for one in answer if one["check"] == f"source {name}"]
            one["preview"] = preview.as_json()
        print_json(answer)
    else:
        console = terminal(highlight=False)
        for name, ok, text in findings:
            mark = ("✓", "green") if ok else ("✗", "red")
            console.print(Text.assemble(mark, f" {name:24} ", (text, "" if not ok else "dim")), soft_wrap=True)
    wrong = [name for name, ok, _ in findings if not ok]
    if wrong:
        if as_json:
            raise SystemExit(1)
        raise CheckFailed(
            f"{formatting.counted(len(wrong), 'thing')} to fix, listed above: {', '.join(dict.fromkeys(wrong))}"
        )


def check_sources(
    home: Home, settings: Settings, previews: dict[str, Preview] | None = None
) -> list[tuple[str, bool, str]]:
    """What the newest file of each source would become, and the first rows of each database; `previews` takes them."""
    from retention_pipeline.ingest.landing import delivered_files, newest_of
    from retention_pipeline.ingest.preview import preview_file, preview_joined, preview_pull

    if not settings.sources:
        return [("sources", False, "none: say in settings.yaml where orders or subscriptions are")]
    previews = {} if previews is None else previews
    findings = []
    for name, source in settings.sources.items():
        if isinstance(source, FileSource):
            files = delivered_files(home, source, with_waiting=True)
            if not files:
                where = f"no file matches {', '.join(source.paths)}"
                findings.append((f"source {name}", False, f"{where}: put the files there, or change path"))
                continue
            problems = formatting.few_of_each((name, file.name, file.problem) for file in files if file.problem)
            findings += [(f"source {name}", False, f"{file_name}: {problem}") for file_name, problem in problems]
            usable = [file for file in files if not file.problem]
            if not usable:
                continue
            if source.inputs:
                preview = preview_joined(settings, name, home)
                read = f"{formatting.counted(len(files), 'file')}, joined with {', '.join(source.inputs)}"
            else:
                preview = preview_file(settings, name, newest_of(usable), home)
                read = f"{formatting.counted(len(files), 'file')}, the newest is {preview.file_name}"
            waiting = formatting.few_of_each((name, file.name, file.waits) for file in usable if file.waits)
            preview.hints += [f"{file_name} would be left for the next run: {why}" for file_name, why in waiting]
        elif isinstance(source, LakeSource):
            from retention_pipeline.transform.spark.lake_preview import preview_lake

            preview = preview_lake(settings, name, home)
            read = f"{source.place} in the lake"
        else:
            preview = preview_pull(settings, name, home)
            read = _read_from(source, source.type, preview)
        previews[name] = preview
        findings.append((f"source {name}", preview.would_load, _previewed(preview, read)))
    return findings


def _read_from(source: DatabaseSource, kind: str, preview: Preview) -> str:
    from retention_pipeline.ingest.databases import NAMES

    answers = " answers" if preview.there else ""
    credentials = f", credentials from {source.dsn.env}" if isinstance(source, ServerSource) else ""
    return f"{NAMES[kind]}{answers}{credentials}"


def _check_segments(home: Home, settings: Settings, previews: dict[str, Preview]) -> list[tuple[str, bool, str]]:
    """Whether dimensions have values: in what is loaded, before the first load in what each source would deliver. One
    that the settings ask for and that has none is wrong; of the usual ones it is only told.
    """
    from retention_pipeline.transform.delivered_segments import empty_segments

    if home.raw_file.exists():
        empty = empty_segments(home, settings)
        if settings.segments is None:
            return _left_out(empty, "no row has a value of it")
        return [(f"segment {name}", False, "no row has a value of it; runs leave it out") for name in empty]
    if settings.segments is None:
        return _left_out(_not_delivered(settings, previews), "no source delivers it")
    of_customers = [name for name in settings.sources if settings.dataset_of(name) == "customers"]
    if any(name in previews and not previews[name].there for name in of_customers):
        return []
    found = {column for name in of_customers if name in previews for column in previews[name].there}
    return [
        (f"segment {name}", False, f"no source of customers has a column {name} (there are {', '.join(sorted(found))})")
        for name in settings.segments or ()
        if name not in BUILT_IN_DIMENSIONS and found and name not in found
    ]


def _left_out(names: list[str], why: str) -> list[tuple[str, bool, str]]:
    return [(f"segment {name}", True, f"{why}, so figures leave it out") for name in names]


def _not_delivered(settings: Settings, previews: dict[str, Preview]) -> list[str]:
    """The usual dimensions whose dataset is connected, and whose column none of its sources would give."""
    from retention_pipeline.transform.delivered_segments import COLUMNS

    by_dataset: dict[str, list[Preview]] = {}
    for name, preview in previews.items():
        by_dataset.setdefault(settings.dataset_of(name), []).append(preview)
    return [
        name
        for name, (dataset, column) in COLUMNS.items()
        if (those := by_dataset.get(dataset))
        and all(preview.columns and preview.columns.get(column) is None for preview in those)
    ]


def _previewed(preview: Preview, read: str) -> str:
    """What the first rows of a source say, a line each."""
    rows = preview.good + preview.bad
    lines = [read]
    if rows and (preview.error is None or preview.bad):
        first = "its first row" if rows == 1 else f"its first {rows:,} rows"
        of_many = f"of {first} {preview.bad:,}" if rows > 1 else first
        lines.append(f"{of_many} would be refused" if preview.bad else f"{first} would load")
    if preview.error is not None:
        lines.append(f"a run would not load it: {preview.error}")
    elif rows == 0:
        lines.append("it has no rows")
    elif not preview.would_load:
        lines.append(f"that is more than {preview.allowed:.1%} (max_quarantine_rate), so all of it would be left out")
    from_where = [
        f"{name}" if name == found else f"{name} ({found})" for name, found in preview.columns.items() if found
    ]
    if from_where:
        lines.append(f"columns: {', '.join(from_where)}")
        absent = [name for name, found in preview.columns.items() if found is None]
        lines += [f"not given, and not needed: {', '.join(absent)}"] if absent else []
    if preview.unused:
        lines.append(f"columns that no setting uses: {', '.join(preview.unused)}")
    lines += [f"{formatting.counted(number, 'row')}: {reason}" for reason, number in preview.reasons]
    if preview.further_reasons:
        lines.append(f"and for {formatting.counted(preview.further_reasons, 'other reason')}")
    lines += [", ".join(f"{column} {value}" for column, value in row.items()) for row in preview.rows]
    lines += [f"hint: {hint}" for hint in dict.fromkeys(preview.hints)]
    return "\n    ".join(lines)


def _check_changed_settings(home: Home, settings: Settings) -> list[tuple[str, bool, str]]:
    """Which figures the settings that changed since the last publication will restate."""
    from retention_pipeline.history.ahead import announced
    from retention_pipeline.transform.arguments import kept_settings
    from retention_pipeline.transform.delivered_segments import with_delivered_segments
    from retention_pipeline.transform.fingerprints import moving_settings

    if not home.current.exists() or not home.raw_file.exists():
        return []
    asked = with_delivered_segments(home, settings)
    moving = json.dumps(moving_settings(asked, asked.connected_datasets), sort_keys=True)
    with open_published(home) as connection:
        kept = kept_settings(asked, asked.connected_datasets)
        return [("changed setting", True, text) for text in announced(connection, moving, kept)]


def _check_rules(home: Home, settings: Settings) -> list[tuple[str, bool, str]]:
    """Raw as a whole and the published figures; a night checks the keys that arrived."""
    from retention_pipeline.audit import describe
    from retention_pipeline.run.operations import check

    if not home.raw_file.exists() and not home.current.exists():
        return [("figures", True, "nothing loaded or published yet")]
    checked = check(home, settings)
    holding = len(checked.rules) - len(checked.violations)
    findings = [("rules", True, f"{holding} rules on raw and on the published figures hold")]
    for one in checked.violations:
        findings.append((f"rule {one.rule}", False, "\n  ".join(describe(one))))
    return findings
