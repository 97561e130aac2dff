"""Which home Dagster's definitions are for, and with which settings where it has none."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from retention_pipeline.settings import Home, Settings, SettingsError, load_settings, parse_settings, resolve_home

# What the graph is drawn with where no settings.yaml is; a run then fails with the one line that says so.
BLANK = {"business": {"timezone": "UTC", "reporting_currency": "EUR"}}


@dataclass(frozen=True)
class Workspace:
    """problem: why nothing can be run here, None if something can."""

    home: Home
    settings: Settings
    problem: SettingsError | None = None


def find_workspace(home: str | Path | Home | None, settings: Settings | None = None) -> Workspace:
    """The home asked for (in a checkout's root, which is none: the sample company in demo/) with its settings.

    Raises SettingsError if settings.yaml is there and cannot be used.
    """
    place = home if isinstance(home, Home) else _home_with_settings(home)
    if settings is not None:
        return Workspace(place, settings)
    try:
        return Workspace(place, load_settings(place))
    except SettingsError as error:
        if place.settings_file.exists():
            raise
        return Workspace(place, parse_settings(BLANK), error)


def _home_with_settings(home: str | Path | None) -> Home:
    place = resolve_home(home)
    sample = resolve_home(place.root / "demo")
    return sample if not place.settings_file.exists() and sample.settings_file.exists() else place
