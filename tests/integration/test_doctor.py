"""Whatever file of a home is damaged or lost, doctor names it and the command that helps, and the command helps."""

import json
import os
import random
import shlex
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.quick_build import models_made_quickly
from support.small_shop import AS_OF, LATE_ORDER, deliver, open_shop

from retention_pipeline.cli.app import main
from retention_pipeline.publish import generations
from retention_pipeline.run import doctor
from retention_pipeline.settings import Home
from retention_pipeline.warehouse import opened

CURES_AT_MOST = 5


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home that the command made, with a second generation of the same figures."""
    home = open_shop(tmp_path_factory.mktemp("doctor") / "home", months_alone=True)
    deliver(home, "orders", "late.csv", LATE_ORDER)
    with models_made_quickly():
        retention("run", "--as-of", AS_OF.isoformat(), home=home)
    second = home.published / "g2.duckdb"
    shutil.copy(home.current.resolve(), second)
    generations.point_current_at(home, second)
    (home.alerts).mkdir(exist_ok=True)
    home.incidents_file.write_text("[]")
    return home.root


@pytest.fixture
def home(sound: Path, tmp_path: Path) -> Home:
    shutil.copytree(sound, tmp_path / "home", symlinks=True)
    return Home(tmp_path / "home")


def retention(*arguments: str, home: Home, code: int | None = 0) -> int:
    with pytest.raises(SystemExit) as ended:
        main([*arguments, "--home", str(home.root)])
    assert code is None or ended.value.code in (code, None)
    return int(ended.value.code or 0)


def broken(home: Home) -> list[doctor.Finding]:
    return [one for one in doctor.examine(home) if one.state == "broken"]


def cut(path: Path) -> None:
    path.chmod(0o644)
    os.truncate(path, path.stat().st_size // 2)


def flip(path: Path, seed: int = 1) -> None:
    path.chmod(0o644)
    content = bytearray(path.read_bytes())
    content[random.Random(seed).randrange(len(content))] ^= 0xFF
    path.write_bytes(content)


def one_of(folder: Path, pattern: str) -> Path:
    return sorted(folder.glob(pattern))[-1]


def published_figures(home: Home) -> list[tuple[Any, ...]]:
    columns = "kpi, grain, period_start, basis, segment_dimension, segment_value, value, numerator, denominator, n"
    with opened(home.current.resolve(), read_only=True) as connection:
        return connection.execute(f"select {columns} from retention_kpis order by all").fetchall()


def carry_out(cure: str, home: Home) -> None:
    """Run a cure as it was printed."""
    words = shlex.split(cure)
    if words[0] == "retention":
        arguments = words[1:]
        if "run" in arguments:
            arguments += ["--as-of", AS_OF.isoformat()]
        with pytest.raises(SystemExit):
            main(arguments)
    else:
        subprocess.run(cure, shell=True, check=True)


def test_a_sound_home_is_fine(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    assert retention("doctor", home=home) == 0
    out = capsys.readouterr().out
    assert "broken" not in out and "archive: 3 archived files, each with the bytes of its name" in out
    retention("doctor", "--json", home=home)
    found = json.loads(capsys.readouterr().out)["findings"]
    assert {one["state"] for one in found} == {"fine"}
    assert {"settings", "rights", "space", "raw", "published", "archive", "history", "dagster", "lock"} <= {
        one["part"] for one in found
    }


CASES: dict[str, tuple[Callable[[Home], object], str, str]] = {
    "settings cut": (lambda home: home.settings_file.write_text("business: {"), "settings", "cp "),
    "settings gone": (lambda home: home.settings_file.unlink(), "settings", "cp "),
    "raw cut": (lambda home: cut(home.raw_file), "raw", "retention rebuild"),
    "raw gone": (lambda home: home.raw_file.unlink(), "raw", "retention rebuild"),
    "link gone": (lambda home: home.current.unlink(), "published", "retention doctor --mend"),
    "generation cut": (lambda home: cut(home.current.resolve()), "published", "retention restore"),
    "copy cut": (lambda home: cut(one_of(home.published / "parquet", "*")), "copies", "retention doctor --mend"),
    "archive flipped": (lambda home: flip(one_of(home.archive / "orders", "*")), "archive", "retention doctor --mend"),
    "archive gone": (lambda home: one_of(home.archive / "orders", "*").unlink(), "archive", "retention doctor --mend"),
    "history cut": (lambda home: cut(one_of(home.archive / "history", "*")), "history", "retention doctor --mend"),
    "record cut": (lambda home: cut(one_of(home.runs, "*.json")), "runs", "retention doctor --mend"),
    "alerts cut": (lambda home: cut(home.incidents_file), "alerts", "retention doctor --mend"),
    "log cut": (lambda home: cut(home.dagster / "history/runs/index.db"), "dagster", "retention doctor --mend"),
    "dagster.yaml": (lambda home: (home.dagster / "dagster.yaml").write_text("{"), "dagster", "retention doctor"),
}


@pytest.mark.parametrize("case", CASES)
def test_doctor_names_the_part_and_the_cure_works(home: Home, case: str) -> None:
    figures = published_figures(home)
    damage, part, cure = CASES[case]
    damage(home)
    found = broken(home)
    assert [one.part for one in found if one.part != "raw and published"] == [part], found
    assert found[0].cure is not None and found[0].cure.startswith(cure)
    assert all("Errno" not in one.text and "\n" not in one.text for one in found)
    carry_out(found[0].cure, home)
    left = broken(home)
    if part == "raw":  # rebuilt is another file than the one that was published from; a run makes them one
        assert [one.cure for one in left] == [f"retention run --home {home.root}"]
    else:
        assert left == []
        if part != "published":
            assert published_figures(home) == figures


def test_what_is_no_home_can_be_made_one(tmp_path: Path) -> None:
    missing, file = Home(tmp_path / "missing"), Home(tmp_path / "file")
    file.root.write_text("")
    assert [(one.part, one.cure) for one in doctor.examine(missing)] == [("home", f"retention init {missing.root}")]
    assert [(one.part, one.cure) for one in doctor.examine(file)] == [("home", f"retention init {file.root}.home")]
    missing.root.mkdir()
    assert [(one.part, one.cure) for one in broken(missing)] == [("settings", f"retention init {missing.root}")]


def test_a_copy_that_is_nowhere_is_noted_as_lost(home: Home) -> None:
    shutil.rmtree(home.root / "landing")
    flip(one_of(home.archive / "orders", "*"))
    assert retention("doctor", home=home, code=None) == 1
    [found] = broken(home)
    assert found.cure == f"retention doctor --mend --without-missing --home {home.root}"
    carry_out(found.cure, home)
    assert broken(home) == []


CLOSED = (
    "", "warehouse", "runs", "archive/orders", "warehouse/raw.duckdb", "published/g2.duckdb", "published/g1.duckdb",
    "settings.yaml", "dagster/dagster.yaml", "landing/orders", "landing/orders/orders.csv",
)  # fmt: skip


@pytest.mark.parametrize("closed", CLOSED)
def test_rights_that_are_missing_are_named_with_the_path_and_nothing_is_called_damaged(
    home: Home, monkeypatch: pytest.MonkeyPatch, closed: str
) -> None:
    no_rights(monkeypatch, home.root / closed)
    [found] = broken(home)
    assert found.part == "rights" and f"{home.root / closed}: user " in found.text
    assert found.cure == f"chmod -R u+rwX {home.root / closed}"


def test_what_belongs_to_somebody_else_must_be_handed_over(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    no_rights(monkeypatch, home.runs)
    monkeypatch.setattr(os, "geteuid", lambda: home.runs.stat().st_uid + 1)
    [found] = broken(home)
    assert (found.cure or "").startswith("chown -R ") and (found.cure or "").endswith(f" {home.runs}")


@pytest.mark.parametrize("closed", ["published/g2.duckdb", "warehouse/raw.duckdb"])
def test_a_run_without_rights_to_what_it_needs_ends_in_one_line_and_makes_nothing_anew(
    home: Home, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], closed: str
) -> None:
    no_rights(monkeypatch, home.root / closed)
    retention("run", "--as-of", AS_OF.isoformat(), home=home, code=1)
    said = "".join(capsys.readouterr().err.replace("│", " ").split())  # lines break within long paths
    assert f"retentiondoctor--home{home.root}" in said and "damaged" not in said and "Errno" not in said
    assert generations.current_number(home) == 2


def no_rights(monkeypatch: pytest.MonkeyPatch, closed: Path) -> None:
    """As if this process might not read a path: root, as which tests may run, may read everything."""
    real = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != closed and real(path, mode))


def test_a_night_runs_though_dagsters_storage_is_damaged_or_no_folder(
    home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    cut(home.dagster / "history" / "runs.db")
    before = generations.current_number(home) or 0
    with models_made_quickly():
        retention("run", "--as-of", AS_OF.isoformat(), home=home)
    assert generations.current_number(home) == before + 1
    assert "Dagster's history of runs was damaged" in " ".join(capsys.readouterr().err.split())
    assert broken(home) == []


@pytest.mark.long
@pytest.mark.parametrize("how", ["flip", "cut", "delete"])
def test_every_file_of_a_home_one_at_a_time(sound: Path, tmp_path: Path, how: str) -> None:
    """Where doctor sees nothing wrong the next night must run; where it does, its cures lead to a home that is fine."""
    figures = published_figures(Home(sound))
    skipped = ("landing", "report")
    files = [
        path
        for path in sorted(sound.rglob("*"))
        if (path.is_file() or path.is_symlink()) and path.relative_to(sound).parts[0] not in skipped
    ]
    for number, file in enumerate(files):
        home = Home(tmp_path / f"{how}{number}")
        shutil.copytree(sound, home.root, symlinks=True)
        target = home.root / file.relative_to(sound)
        if how == "delete":
            target.unlink()
        elif target.is_symlink() or target.stat().st_size == 0:
            continue
        else:
            (flip if how == "flip" else cut)(target)
        for _ in range(CURES_AT_MOST):
            wrong = broken(home)
            if not wrong:
                break
            assert wrong[0].cure, (file, wrong)
            carry_out(wrong[0].cure, home)
        assert broken(home) == [], file
        assert published_figures(home) == figures, file
        shutil.rmtree(home.root)
