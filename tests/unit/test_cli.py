import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support.published_sample import make_published

from retention_pipeline.cli.app import main
from retention_pipeline.settings import Home


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return make_published(tmp_path / "home")


def answer(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> tuple[str, str]:
    """Standard out and standard error of `retention <arguments>`, which must exit with `code`."""
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    assert ended.value.code == code
    captured = capsys.readouterr()
    return captured.out, captured.err


@pytest.mark.parametrize(
    "locale", [{"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}, {"PYTHONIOENCODING": "latin-1"}]
)
def test_answers_are_utf_8_for_files_and_programs_whatever_the_locale(home: Home, locale: dict[str, str]) -> None:
    program = "import sys; from retention_pipeline.cli.entry import main; main()"
    command = [sys.executable, "-c", program, "kpis", "--home", str(home.root)]
    done = subprocess.run(command, capture_output=True, env=os.environ | locale)
    assert (done.returncode, done.stderr) == (0, b"")
    assert "− Lost" in done.stdout.decode()


def test_reading_verbs_import_neither_dagster_nor_dbt_nor_pandas(home: Home) -> None:
    program = (
        "import sys\n"
        "from retention_pipeline.cli.app import main\n"
        "for arguments in (['--help'], ['kpis'], ['kpis', 'mrr_end'], ['query', 'from pipeline_state'], ['status']):\n"
        "    try:\n"
        "        main(arguments + ([] if arguments == ['--help'] else ['--home', sys.argv[1]]))\n"
        "    except SystemExit as ended:\n"
        "        assert ended.code == 0, arguments\n"
        "    heavy = {'dagster', 'dbt', 'pandas', 'pandera'} & set(sys.modules)\n"
        "    assert not heavy, (arguments, heavy)\n"
    )
    done = subprocess.run([sys.executable, "-c", program, str(home.root)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_kpis_without_a_name_prints_the_last_month(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    out, _ = answer(capsys, "kpis", "--home", str(home.root))
    assert "Feb 2024" in out and "Monthly recurring revenue" in out


def test_a_kpi_of_several_bases_is_shown_side_by_side(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    out, _ = answer(capsys, "kpis", "customer_churn_rate", "--last", "3", "--home", str(home.root))
    assert "buyers" in out and "subscribers" in out
    assert [line.split()[0:2] for line in out.splitlines() if "2024" in line] == [
        ["Jan", "2024"],
        ["Feb", "2024"],
        ["Mar", "2024"],
    ]
    assert "so far" in out


def test_one_basis_is_shown_with_what_was_divided_and_the_interval(
    home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ("kpis", "customer_churn_rate", "--basis", "order", "--last", "2", "--home", str(home.root))
    out, _ = answer(capsys, *arguments)
    assert "50 / 1,000" in out and "4.0 % – 6.0 %" in out


def test_a_dimension_is_shown_by_value_and_a_value_alone(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    out, _ = answer(capsys, "kpis", "order_revenue", "--segment", "country", "--home", str(home.root))
    assert "NL" in out and "(unknown)" in out
    rows, _ = answer(capsys, "kpis", "order_revenue", "--segment", "country=NL", "--json", "--home", str(home.root))
    assert {row["segment_value"] for row in json.loads(rows)} == {"NL"}


def test_json_holds_the_stored_rows(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    out, _ = answer(capsys, "kpis", "mrr_end", "--last", "2", "--json", "--home", str(home.root))
    assert [(row["period_start"], row["value"]) for row in json.loads(out)] == [
        ("2024-02-01", 5500.0),
        ("2024-03-01", 5600.0),
    ]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["kpis", "customer_chrun_rate"], "did you mean customer_churn_rate"),
        (["kpis", "customer_chrun_rate"], "? All of them: retention kpis --list"),
        (["kpis", "mrr_end", "--basis", "order"], "it has subscription"),
        (["kpis", "mrr_end", "--segment", "planet"], "there are country"),
        (["kpis", "mrr_end", "--segment", "country=FR"], "it has (unknown), NL"),
        (["kpis", "mrr_end", "--grain", "day"], "week, month, quarter, year"),
        (["kpis", "mrr_end", "--grain", "year"], "no figures of grain year"),
        (["query", "select nothing from nowhere"], "nowhere"),
        (["query", "create table x (i int)"], "read-only"),
        (["query", "copy retention_kpis to 'stolen.csv'"], "disabled"),
        (["query", "from read_csv('settings.yaml')"], "disabled"),
        (["export", "out", "--table", "retention_kpi"], "did you mean retention_kpis"),
        (["export", "out", "--format", "xlsx"], "parquet and csv"),
        (["export", __file__], "test_cli.py is a file; name a folder"),
        (["export", "/proc"], "no such file or directory"),
        (["backfill", "--from", "2024-03", "--to", "2024-01"], "later than"),
    ],
)
def test_a_mistake_is_answered_with_one_message_and_no_traceback(
    home: Home, arguments: list[str], words: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    _, err = answer(capsys, *arguments, "--home", str(home.root), code=1)
    assert words in err
    assert "Traceback" not in err


def test_a_mistake_is_json_too_where_json_was_asked_for(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    out, _ = answer(capsys, "kpis", "nothing", "--json", "--home", str(home.root), code=1)
    assert json.loads(out)["error"] == "UnknownName"


@pytest.mark.parametrize(
    "arguments",
    [
        ["run", "--as-of", "yesterday"],
        ["backfill", "--from", "2024", "--to", "2024-02"],
        ["frobnicate"],
        ["kpis", "mrr_end", "--last", "99999999999999999999"],
    ],
)
def test_wrong_usage_exits_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    _, err = answer(capsys, *arguments, code=2)
    assert "Traceback" not in err


def test_nothing_published_says_how_to_begin(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, err = answer(capsys, "kpis", "--home", str(tmp_path), code=1)
    assert "retention run" in err


def test_missing_settings_say_how_to_make_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for verb in ("run", "check", "status", "ui"):
        _, err = answer(capsys, verb, "--home", str(tmp_path), code=1)
        assert "retention init" in err


def test_all_problems_of_the_settings_are_told_at_once(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    home.settings_file.write_text("business: {timezone: Mars, reporting_currency: EUR, colour: red}\nsurces: {}\n")
    _, err = answer(capsys, "run", "--home", str(home.root), code=1)
    assert all(path in err for path in ("business.timezone", "business.colour", "surces"))


def test_query_answers_as_table_csv_and_json(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    where = ("--home", str(home.root))
    sql = "select kpi, value from retention_kpis order by all limit 3"
    out, _ = answer(capsys, "query", sql, "--limit", "2", *where)
    assert "the first 2 rows" in out
    out, _ = answer(capsys, "query", sql, "--format", "csv", *where)
    assert len(out.splitlines()) == 4 and out.startswith("kpi,value\n")
    broken = "select 'a' || chr(13) || '-z' as one, 'b' || chr(10) || 'c' as two"
    out, _ = answer(capsys, "query", broken, "--format", "csv", *where)
    assert out == 'one,two\n"a\r-z","b\nc"\n'
    out, _ = answer(capsys, "query", "select date '2024-01-02' as day, 1.50::decimal(18,2) as amount", "--json", *where)
    assert json.loads(out) == [{"day": "2024-01-02", "amount": "1.50"}]


def test_export_writes_every_figure_table_and_no_facts(
    home: Home, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = ("--home", str(home.root), "--json")
    out, _ = answer(capsys, "export", str(tmp_path / "out"), "--format", "csv", *where)
    assert {one["table"] for one in json.loads(out)} == {
        "retention_kpis",
        "kpi_definitions",
        "pipeline_state",
        "data_quality",
        "periods",
    }
    lines = (tmp_path / "out" / "retention_kpis.csv").read_text().splitlines()
    assert len(lines) - 1 == next(one["rows"] for one in json.loads(out) if one["table"] == "retention_kpis")
    out, _ = answer(capsys, "export", str(tmp_path / "out"), "--table", "customers_in_period", *where)
    assert [path.name for path in (tmp_path / "out").glob("customers*")] == ["customers_in_period.parquet"]


def test_init_makes_settings_that_can_be_checked_and_never_overwrites(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "new"
    answer(capsys, "init", str(folder))
    before = (folder / "settings.yaml").read_text()
    answer(capsys, "init", str(folder), code=1)
    assert (folder / "settings.yaml").read_text() == before
    out, _ = answer(capsys, "check", "--json", "--home", str(folder), code=1)
    findings = {one["check"]: one["ok"] for one in json.loads(out)}
    assert findings["settings"] and not findings["source orders"]


def test_a_template_makes_the_folder_that_it_reads(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    answer(capsys, "init", str(tmp_path / "shop"), "--from", "shopify-export")
    assert (tmp_path / "shop" / "landing").is_dir()


def test_status_before_the_first_run_is_no_error(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(home.published)
    out, _ = answer(capsys, "status", "--json", "--home", str(home.root))
    assert json.loads(out)["published"] is None


@pytest.mark.parametrize("form", ["table", "csv", "json"])
def test_a_row_that_cannot_be_computed_late_in_an_answer_is_told(
    home: Home, capsys: pytest.CaptureFixture[str], form: str
) -> None:
    """Where all rows are asked for: whether DuckDB gets to it beyond a table's first rows depends on its threads."""
    sql = "select cast(case when range = 99999 then 'x' else '1' end as int) from range(100000)"
    asked = ("query", sql, "--format", form, "--limit", "0", "--home", str(home.root))
    _, said = answer(capsys, *asked, code=1)
    assert "Could not convert string 'x'" in said


def test_a_query_that_needs_too_much_memory_is_told_how_to_give_it_more(
    home: Home, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RETENTION_MEMORY_LIMIT", "20MB")
    sql = "select count(distinct md5(range::varchar)) from range(2000000)"
    _, said = answer(capsys, "query", sql, "--home", str(home.root), code=1)
    assert "(20MB)" in said and "RETENTION_MEMORY_LIMIT" in said and "SET memory_limit" not in said


@pytest.mark.parametrize("sql", ["", "  ", "/* nothing */", ";"])
def test_a_query_without_a_statement_says_so(home: Home, capsys: pytest.CaptureFixture[str], sql: str) -> None:
    _, err = answer(capsys, "query", sql, "--home", str(home.root), code=1)
    assert "There is no statement in it" in err


def test_a_long_answer_is_written_as_it_comes(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    question = "select i as n, 'row ' || i as name from range(30000) as r(i) order by i"
    out, _ = answer(capsys, "query", question, "--limit", "0", "--home", str(home.root))
    lines = out.splitlines()
    assert lines[0].split() == ["n", "name"] and lines[-1] == "30,000 rows"
    assert lines[2].split() == ["0", "row", "0"] and lines[-2].split() == ["29999", "row", "29999"]
    assert len(lines) == 30_003


def test_json_rows_are_written_as_they_come_and_are_one_list(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    out, _ = answer(capsys, "query", "select i from range(25000) r(i)", "--json", "--home", str(home.root))
    assert [row["i"] for row in json.loads(out)] == list(range(25_000))
    out, _ = answer(capsys, "query", "select 1 as i where false", "--json", "--home", str(home.root))
    assert json.loads(out) == []


@pytest.mark.parametrize(
    "arguments", ["kpis --list", "query --limit 0 'from range(100000)'", "query --format csv 'from range(100000)'"]
)
def test_a_reader_who_has_seen_enough_is_told_nothing(home: Home, arguments: str) -> None:
    command = f"{sys.executable} -m retention_pipeline.cli {arguments} --home {home.root} | head -1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    assert (done.stderr, len(done.stdout.splitlines())) == ("", 1)


def test_a_stopped_command_says_so(home: Home) -> None:
    program = (
        "import os, signal, sys, threading, time\n"
        "from retention_pipeline import warehouse\n"
        "from retention_pipeline.cli.app import main\n"
        "def stop():\n"
        "    while not warehouse._connections:\n"
        "        time.sleep(0.02)\n"
        "    time.sleep(1.0)\n"  # the query runs by then
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "threading.Thread(target=stop, daemon=True).start()\n"
        "main(['query', 'select count(*) from range(100000000000) a, range(1000) b', '--home', sys.argv[1]])\n"
    )
    done = subprocess.run([sys.executable, "-c", program, str(home.root)], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr.strip()) == (130, "Stopped.")


def test_check_names_a_segment_that_no_file_has(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "customers.csv").write_text("customer_id,country,size\nada,NL,large\n")
    (tmp_path / "settings.yaml").write_text(
        "business: {timezone: UTC, reporting_currency: EUR}\n"
        "segments: [country, size, plann]\n"
        "sources: {customers: {type: files, path: customers.csv}}\n"
    )
    out, _ = answer(capsys, "check", "--home", str(tmp_path), code=1)
    assert "no source of customers has a column plann" in " ".join(out.split())
    assert "size:" not in out
