"""The command `retention`. Each verb reads its options and calls one function of another module of this package.

Nothing heavy is imported here: what a verb needs is imported when it runs, so that questions to the published figures
are answered at once. `main` turns the project's own errors into one message and an exit code.
"""

import os
import sys
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from retention_pipeline.cli.entry import INTERRUPTED
from retention_pipeline.errors import is_interruption
from retention_pipeline.run.stopping import listen

HomeOption = Annotated[
    Path | None,
    typer.Option(
        "--home", metavar="DIR", help="The environment to work in; default: $RETENTION_HOME, else the current folder."
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the answer as JSON for programs.")]
MONTH = "%Y-%m"
CLOSED_PIPE = 141
MOST_ROWS = 1_000_000_000  # that can be asked for
OWNER_ONLY = 0o077

app = typer.Typer(
    name="retention",
    help="Customer-retention KPIs that people can trust: computed every night, reconciled, published in one file.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
RUNNING, READING, KEEPING = "Make figures", "Read figures", "Look after an environment"


def _day(text: str | None) -> date | None:
    if text is None:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not a valid date; write it as YYYY-MM-DD") from None


def _month(text: str) -> str:
    try:
        return f"{datetime.strptime(text, MONTH):%Y-%m}"
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not a valid month; write it as YYYY-MM") from None


@app.command(rich_help_panel=RUNNING)
def demo(
    home: Annotated[Path, typer.Option("--home", metavar="DIR", help="Where the company is made.")] = Path("demo"),
    customers: Annotated[int, typer.Option(min=10, help="How many customers it has.")] = 20_000,
    months: Annotated[int, typer.Option(min=2, help="How long ago it opened.")] = 36,
    as_of: Annotated[str | None, typer.Option(metavar="DATE", help="The day it is; default: today.")] = None,
    engine: Annotated[
        str, typer.Option(metavar="ENGINE", help="duckdb, or spark: the server that SPARK_REMOTE names.")
    ] = "duckdb",
) -> None:
    """Make the data of a made-up company and run the whole pipeline over its history."""
    from retention_pipeline.cli import runs

    if engine not in ("duckdb", "spark"):
        raise typer.BadParameter("duckdb or spark", param_hint="--engine")
    runs.demo(home, customers=customers, months=months, as_of=_day(as_of), engine=engine)


@app.command(rich_help_panel=RUNNING)
def run(
    home: HomeOption = None,
    as_of: Annotated[
        str | None,
        typer.Option(metavar="DATE", help="Count what happened before this business day; default: today."),
    ] = None,
    full_refresh: Annotated[bool, typer.Option("--full-refresh", help="Compute every sum anew from raw.")] = False,
    allow_future: Annotated[bool, typer.Option("--allow-future", help="Also for an --as-of after today.")] = False,
    reload: Annotated[
        list[str] | None,
        typer.Option("--reload", metavar="FILE", help="Load a file again though its bytes are known; may be repeated."),
    ] = None,
    json: JsonOption = False,
) -> None:
    """The nightly job, now, in this process: load, compute, reconcile, publish. For cron too."""
    from retention_pipeline.cli import runs

    runs.run(home, as_of=_day(as_of), full_refresh=full_refresh, allow_future=allow_future, as_json=json, reload=reload)


@app.command(rich_help_panel=RUNNING)
def backfill(
    first: Annotated[str, typer.Option("--from", metavar="YYYY-MM", help="First month.")],
    last: Annotated[str, typer.Option("--to", metavar="YYYY-MM", help="Last month.")],
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Compute past months again from the facts, in one run. Late data needs none: a night corrects what it changes."""
    from retention_pipeline.cli import runs

    runs.backfill(home, _month(first), _month(last), as_json=json)


@app.command(rich_help_panel=RUNNING)
def restate(
    period: Annotated[
        str | None, typer.Option(metavar="YYYY-MM", help="The period: a month, or the first day of one of --grain.")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Every period of which figures are held back.")] = False,
    home: HomeOption = None,
    grain: Annotated[str, typer.Option(help="week, month, quarter or year.")] = "month",
    json: JsonOption = False,
) -> None:
    """Let in what is held back of a closed period (setting closed_periods: hold), in a run that loads nothing."""
    from retention_pipeline.cli import runs

    if (period is None) == (not every):
        raise typer.BadParameter("give either --period or --all")
    start = None if period is None else _day(period if len(period) > len("2026-02") else f"{_month(period)}-01")
    runs.restate(home, start, grain=grain, as_json=json)


@app.command(rich_help_panel=READING)
def kpis(
    kpi: Annotated[
        str | None, typer.Argument(metavar="[KPI]", help="A KPI over time; without one: the last month.")
    ] = None,
    home: HomeOption = None,
    grain: Annotated[str, typer.Option(help="week, month, quarter or year.")] = "month",
    segment: Annotated[
        str | None,
        typer.Option(metavar="DIM[=VALUE]", help="One segment value, or all values of a dimension side by side."),
    ] = None,
    basis: Annotated[str | None, typer.Option(help="subscription, order or any; default: all side by side.")] = None,
    last: Annotated[int, typer.Option(min=1, max=MOST_ROWS, help="How many periods.")] = 12,
    known_at: Annotated[
        str | None,
        typer.Option(
            metavar="MOMENT",
            help="As they stood published then: a day (its end), or an instant such as 2026-03-05T14:30.",
        ),
    ] = None,
    list_all: Annotated[bool, typer.Option("--list", help="All KPIs with their definitions.")] = False,
    json: JsonOption = False,
) -> None:
    """Figures as tables: the last complete month with its bridges, or one KPI over time."""
    from retention_pipeline.cli import figures

    if list_all:
        figures.list_kpis(home, as_json=json)
    elif kpi is None:
        figures.headline(home, grain=grain, known_at=known_at, as_json=json)
    else:
        figures.kpi(home, kpi, grain=grain, segment=segment, basis=basis, last=last, known_at=known_at, as_json=json)


@app.command(rich_help_panel=READING)
def explain(
    kpi: Annotated[str, typer.Argument(metavar="KPI", help="The figure, such as customer_churn_rate.")],
    period: Annotated[
        str, typer.Argument(metavar="PERIOD", help="2026-03, 2026-Q1, 2026, 2026-W10, or a day with --grain.")
    ],
    home: HomeOption = None,
    grain: Annotated[str | None, typer.Option(help="week, month, quarter or year, where a day is given.")] = None,
    segment: Annotated[
        str | None, typer.Option(metavar="DIM=VALUE", help="One segment value; default: everyone.")
    ] = None,
    basis: Annotated[str | None, typer.Option(help="subscription, order or any; default: any where it is.")] = None,
    customers: Annotated[bool, typer.Option("--customers", help="List every customer behind the figure.")] = False,
    csv: Annotated[
        Path | None, typer.Option("--csv", metavar="FILE", help="Write every customer behind the figure to a file.")
    ] = None,
    variants: Annotated[
        bool, typer.Option("--variants", help="Instead: which customers make other forms of the figure differ.")
    ] = False,
    known_at: Annotated[
        str | None,
        typer.Option(
            metavar="MOMENT", help="Also: what became of it since it stood published then, and by which rows."
        ),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Why a figure is what it is: its definition, what was divided, who is behind it, what has changed."""
    from retention_pipeline.cli import explaining

    asked: dict[str, Any] = {"grain": grain, "segment": segment, "basis": basis, "file": csv, "as_json": json}
    if variants:
        explaining.variants(home, kpi, period, **asked)
    else:
        explaining.figure(home, kpi, period, customers=customers, known_at=known_at, **asked)


@app.command(rich_help_panel=READING)
def query(
    sql: Annotated[
        str, typer.Argument(metavar="SQL", help='DuckDB SQL, such as "from periods"; - reads standard input.')
    ],
    home: HomeOption = None,
    format: Annotated[str, typer.Option(help="table, csv or json.")] = "table",
    limit: Annotated[int, typer.Option(min=0, max=MOST_ROWS, help="Rows shown in a table; 0: all.")] = 50,
    timeout: Annotated[float, typer.Option(min=0, metavar="SECONDS", help="0: no limit.")] = 600,
    engine: Annotated[
        str, typer.Option(help="spark: ask the lake, in Spark's SQL (docs/spark.md); else duckdb.")
    ] = "duckdb",
    json: JsonOption = False,
) -> None:
    """Ask the published generation in SQL, read-only."""
    from retention_pipeline.cli import tables

    if engine not in ("duckdb", "spark"):
        raise typer.BadParameter(f"{engine!r}: it is duckdb or spark", param_hint="--engine")
    ask = tables.query_lake if engine == "spark" else tables.query
    ask(home, sys.stdin.read() if sql == "-" else sql, form="json" if json else format, limit=limit, seconds=timeout)


@app.command(rich_help_panel=KEEPING)
def quarantine(
    dataset: Annotated[str | None, typer.Argument(help="Default: all.")] = None,
    home: HomeOption = None,
    by_reason: Annotated[bool, typer.Option("--by-reason", help="How many rows for each reason.")] = False,
    to: Annotated[Path | None, typer.Option(metavar="FILE", help="Write all of them as CSV.")] = None,
    limit: Annotated[int, typer.Option(min=0, max=MOST_ROWS, help="Rows shown; 0: all.")] = 50,
    json: JsonOption = False,
) -> None:
    """The refused rows that still miss: file, line, reason, and what was delivered."""
    from retention_pipeline.cli import tables

    tables.quarantine(home, dataset=dataset, by_reason=by_reason, to=to, limit=limit, as_json=json)


@app.command(rich_help_panel=READING)
def export(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="Where the files go, one each.", show_default="the current folder")
    ] = Path("."),
    home: HomeOption = None,
    format: Annotated[str, typer.Option(help="parquet or csv.")] = "parquet",
    table: Annotated[
        list[str] | None, typer.Option(help="A table or view; may be repeated. Default: all figures.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Copy published tables into files."""
    from retention_pipeline.cli import tables

    tables.export(home, folder, form=format, tables=table or [], as_json=json)


@app.command(rich_help_panel=KEEPING)
def init(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The new environment.")],
    template: Annotated[
        str | None, typer.Option("--from", metavar="EXPORT", help="Settings for a known export: docs/templates.md.")
    ] = None,
) -> None:
    """Make an environment: a commented settings.yaml to fill in, or one that is right for a known export."""
    from retention_pipeline.cli import homes

    homes.init(folder, template)


@app.command(rich_help_panel=READING)
def report(
    home: HomeOption = None,
    open: Annotated[bool, typer.Option("--open", help="Open it in the browser.")] = False,
    summary: Annotated[bool, typer.Option("--summary", help="Print five sentences instead.")] = False,
    charts: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Draw the charts into this folder instead.")
    ] = None,
    format: Annotated[str, typer.Option(help="Of --charts: png or svg.")] = "png",
) -> None:
    """Make the report: one HTML page with the published figures, opened from disk."""
    from retention_pipeline.cli import reports

    if format not in ("png", "svg"):
        raise typer.BadParameter("png or svg", param_hint="--format")
    reports.report(home, is_opened=open, summary=summary, charts=charts, form=format)


alerts_app = typer.Typer(
    help="What rules found in the published figures, and failed runs.", invoke_without_command=True
)
app.add_typer(alerts_app, name="alerts", rich_help_panel=READING)


@alerts_app.callback()
def alerts(
    context: typer.Context,
    home: HomeOption = None,
    all: Annotated[bool, typer.Option("--all", help="Also alerts that are over.")] = False,
    json: JsonOption = False,
) -> None:
    """The open alerts: what rules found in the published figures, late sources, failed runs."""
    if context.invoked_subcommand is None:
        from retention_pipeline.cli import alert_verbs

        alert_verbs.alerts(home, with_all=all, as_json=json)


@alerts_app.command()
def ack(
    alert_ids: Annotated[list[int] | None, typer.Argument(metavar="NUMBER...", help="Of retention alerts.")] = None,
    home: HomeOption = None,
    all: Annotated[bool, typer.Option("--all", help="Every open alert.")] = False,
    json: JsonOption = False,
) -> None:
    """Acknowledge alerts: they are not told of again while they stay open."""
    from retention_pipeline.cli import alert_verbs

    if not alert_ids and not all:
        raise typer.BadParameter("name an alert, or --all", param_hint="NUMBER")
    alert_verbs.ack(home, alert_ids or [], with_all=all, as_json=json)


@alerts_app.command()
def test(
    channels: Annotated[list[str] | None, typer.Argument(metavar="CHANNEL...", help="Default: all.")] = None,
    home: HomeOption = None,
) -> None:
    """Send a test message to channels."""
    from retention_pipeline.cli import alert_verbs

    alert_verbs.test(home, channels or [])


@app.command(rich_help_panel=KEEPING)
def check(
    home: HomeOption = None,
    cell: Annotated[
        str | None,
        typer.Option(
            metavar="'KPI PERIOD [DIM=VALUE] [BASIS]'", help="Only: do the customers of a figure add up to it?"
        ),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Check the settings, what the sources offer, the raw tables, and that every published figure reconciles."""
    if cell is not None:
        from retention_pipeline.cli import explaining

        explaining.check_cell(home, cell, as_json=json)
        return
    from retention_pipeline.cli.check import check_home

    check_home(home, as_json=json)


@app.command(rich_help_panel=KEEPING)
def status(home: HomeOption = None, json: JsonOption = False) -> None:
    """What is published, from which data, and how the last runs went."""
    from retention_pipeline.cli import homes

    homes.status(home, as_json=json)


@app.command(rich_help_panel=KEEPING)
def doctor(
    home: HomeOption = None,
    mend: Annotated[
        bool, typer.Option("--mend", help="Also do what needs no choice and loses nothing that is needed.")
    ] = False,
    without_missing: Annotated[
        bool, typer.Option("--without-missing", help="With --mend: archived copies that are nowhere are noted as lost.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Look at every part of the home: what is fine, what is not, and the command that helps."""
    from retention_pipeline.cli import doctoring

    doctoring.doctor(home, with_mending=mend, without_missing=without_missing, as_json=json)


@app.command(rich_help_panel=KEEPING)
def restore(
    generation: Annotated[int | None, typer.Argument(help="Default: the one before the current.")] = None,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Make an earlier published generation the current one; the next run starts from it."""
    from retention_pipeline.cli import homes

    homes.restore(home, generation, as_json=json)


@app.command(rich_help_panel=KEEPING)
def rebuild(
    home: HomeOption = None,
    without_missing: Annotated[
        bool, typer.Option("--without-missing", help="Leave out loads whose copy or source is gone.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Make raw.duckdb anew from archive/, where it is lost, damaged or an earlier copy; then run."""
    from retention_pipeline.cli import homes

    homes.rebuild(home, without_missing=without_missing, as_json=json)


@app.command(rich_help_panel=KEEPING)
def forget(
    customers: Annotated[list[str] | None, typer.Argument(metavar="CUSTOMER...", help="Ids of customers.")] = None,
    file: Annotated[Path | None, typer.Option("--file", metavar="FILE", help="Ids, one a line.")] = None,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Forget people: their ids become random ones everywhere in the home, and stay so; no figure changes."""
    from retention_pipeline.cli import privacy

    privacy.forget(home, customers or [], file, as_json=json)


@app.command(rich_help_panel=KEEPING)
def ui(
    home: HomeOption = None,
    port: Annotated[int, typer.Option(help="Port of the web page.")] = 3000,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
) -> None:
    """Dagster's web page with the graph, the runs and the nightly schedule, until it is stopped (Ctrl-C)."""
    from retention_pipeline.cli import homes

    homes.ui(home, host=host, port=port)


def main(arguments: list[str] | None = None) -> None:
    """Run the command; exits 0 only on success, 1 with a message for what a person can put right, 2 for wrong usage,
    130 when it was stopped.
    """
    given = sys.argv[1:] if arguments is None else arguments
    os.umask(OWNER_ONLY)  # what a run makes may be wider: the setting readable_by
    if arguments is None:
        listen()
    try:
        app(args=given, prog_name="retention")
    except KeyboardInterrupt:
        _stopped()
    except SystemExit as ended:
        if ended.code == INTERRUPTED:  # typer's answer to Ctrl-C
            _stopped()
        _flushed()
        raise
    except BrokenPipeError:
        _nobody_reads()
    except Exception as raised:
        if is_interruption(raised):
            _stopped()
        error = raised if _is_for_people(raised) else _named(raised, given)
        if error is None:
            raise
        _explain(str(error), getattr(error, "kind", type(error).__name__), given)
        code = getattr(error, "exit_code", 1)
        if code == INTERRUPTED:  # threads of the build may still be at work; waiting for them is not what was asked
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
        raise SystemExit(code) from None


def _stopped() -> NoReturn:
    print("Stopped.", file=sys.stderr)
    # An interrupt that passes through code made of a string (as dataclasses are) is remembered by Python, which then
    # kills itself at the end in place of exiting; evaluating another string makes it forget.
    exec("")
    raise SystemExit(INTERRUPTED) from None


def _flushed() -> None:
    """What is still to be written goes out now, while somebody can be told that nobody reads it."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        _nobody_reads()


def _nobody_reads() -> NoReturn:
    """Standard out was closed (`retention … | head`): end as other programs do, without a word."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    raise SystemExit(CLOSED_PIPE) from None


def _is_for_people(error: Exception) -> bool:
    """Errors of the project itself say what to do."""
    return type(error).__module__.startswith("retention_pipeline.")


def _named(error: Exception, arguments: list[str]) -> Exception | None:
    """What the machine refused, or the damaged file of the home that an error comes from, in words; None for a fault of
    the program.
    """
    from itertools import pairwise

    from retention_pipeline.run.damage import damaged_file
    from retention_pipeline.run.machine import machine_error
    from retention_pipeline.settings import resolve_home

    named = [given.partition("=")[2] for given in arguments if given.startswith("--home=")]
    named += [value for option, value in pairwise(arguments) if option == "--home"]
    home = resolve_home(named[0] if named else None)
    return machine_error(home, error) or damaged_file(home, error) or (error if isinstance(error, OSError) else None)


def _explain(message: str, kind: str, arguments: list[str]) -> None:
    answer: dict[str, Any] = {"error": kind, "message": message}
    if "--json" in arguments:
        import json

        print(json.dumps(answer, ensure_ascii=False))
        return
    from retention_pipeline.cli.printing import print_message
    from retention_pipeline.cli.terminal import terminal

    print_message(terminal(stderr=True), message, title=_in_words(kind))


def _in_words(kind: str) -> str:
    """`NotEnoughSpace` → `Not enough space`."""
    words = "".join(f" {letter.lower()}" if letter.isupper() else letter for letter in kind).strip()
    return words[:1].upper() + words[1:]
