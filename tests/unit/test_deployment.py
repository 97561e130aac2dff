"""What stands beside the code to run it: the image, compose.yaml, systemd units. Parsed, and their commands tried."""

import configparser
import fnmatch
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.small_shop import open_shop

from retention_pipeline.cli.app import main

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
UNITS = sorted((ROOT / "deploy").glob("*.service"))
HARDENED = {
    "NoNewPrivileges": "true",
    "ProtectSystem": "strict",
    "ProtectHome": "true",
    "PrivateTmp": "true",
    "UMask": "0077",
    "CapabilityBoundingSet": "",
}


class Unit(configparser.RawConfigParser):
    """A systemd unit; of a key that stands twice the last one is read."""

    def __init__(self, path: Path) -> None:
        super().__init__(strict=False, interpolation=None)
        self.optionxform = str  # type: ignore[assignment,method-assign]
        self.read_string(path.read_text())


def test_nobody_is_root_and_the_page_is_on_this_machine_alone() -> None:
    assert set(COMPOSE["services"]) == {"prepare", "daemon", "web"}
    for service in COMPOSE["services"].values():
        assert service["user"] == "1000:1000" and service["cap_drop"] == ["ALL"] and service["read_only"]
        assert service["volumes"] == ["home:/home/retention/data"]
    assert [one for service in COMPOSE["services"].values() for one in service.get("ports", [])] == [
        "127.0.0.1:3000:3000"
    ]
    # A container engine makes a working folder that is missing, as root, and copies it to a volume that is new.
    assert not any("working_dir" in service for service in COMPOSE["services"].values())
    assert all("healthcheck" in COMPOSE["services"][name] for name in ("daemon", "web"))
    assert "USER retention" in (ROOT / "Dockerfile").read_text()


@pytest.mark.parametrize("name", ["prepare", "daemon", "web"])
def test_commands_of_the_services_are_there(name: str, tmp_path: Path) -> None:
    command = list(COMPOSE["services"][name]["command"])
    found = (
        sys.executable if command[0] == "python" else shutil.which(command[0], path=str(Path(sys.executable).parent))
    )
    assert found, command
    if name != "prepare":
        return
    home = open_shop(tmp_path / "home")
    environment = os.environ | {"RETENTION_HOME": str(home.root)}
    done = subprocess.run([found, *command[1:]], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (home.dagster / "workspace.yaml").exists() and (home.dagster / "history" / "runs.db").exists()


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.stem)
def test_units_are_hardened_and_their_commands_are_there(unit: Path, tmp_path: Path) -> None:
    service = Unit(unit)["Service"]
    assert {key: service.get(key) for key in HARDENED} == HARDENED
    assert service["User"] == "retention" and service["ReadWritePaths"] == "/srv/retention"
    program = Path(service["ExecStart"].split()[0])
    assert str(program.parent) == "/opt/retention-pipeline/.venv/bin"
    assert shutil.which(program.name, path=str(Path(sys.executable).parent))
    if program.name == "dagster-webserver":
        assert "-h 127.0.0.1" in service["ExecStart"]
    if not shutil.which("systemd-analyze"):
        return
    text = "\n".join(
        line if not line.startswith("Exec") else f"{line.split('=')[0]}=/bin/true"
        for line in unit.read_text().splitlines()
    )
    (tmp_path / unit.name).write_text(text)
    done = subprocess.run(["systemd-analyze", "verify", str(tmp_path / unit.name)], capture_output=True, text=True)
    wrong = [line for line in done.stderr.splitlines() if unit.name in line and "User" not in line]
    assert wrong == []


def test_the_image_takes_in_no_home_wherever_it_is() -> None:
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and line[0] != "#"]
    assert lines[0] == "*", "what is not named stays out"
    taken = [line[1:] for line in lines if line.startswith("!")]
    for path in (
        "demo/landing/orders.csv",
        "shop/settings.yaml",
        ".env",
        "tests/golden/clock/settings.yaml",
        ".git/config",
    ):
        assert not any(fnmatch.fnmatch(path.split("/")[0], one) for one in taken), path


def test_a_home_in_a_clone_is_ignored_by_git(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    with pytest.raises(SystemExit):
        main(["init", str(tmp_path / "shop")])
    done = subprocess.run(["git", "status", "--short"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == ""


def test_ci_builds_the_image_and_starts_the_services() -> None:
    [workflow] = (ROOT / ".github" / "workflows").glob("*.yml")
    steps = [step.get("run") for job in yaml.safe_load(workflow.read_text())["jobs"].values() for step in job["steps"]]
    assert "bash .ci/image" in steps
    script = (ROOT / ".ci" / "image").read_text()
    subprocess.run(["bash", "-n", str(ROOT / ".ci" / "image")], check=True)
    asked = set(re.findall(r"\$compose (?:run --rm|exec) -T (\w+)", script))
    assert asked == set(COMPOSE["services"])
