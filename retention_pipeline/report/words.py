"""The report's words: of its views and controls in every language, and the names of KPIs (static/words.*.yaml).

Definitions (sentences and formulas) are given as the dictionary has them, in English.
"""

from __future__ import annotations

from functools import lru_cache
from importlib import resources
from typing import Any

import yaml

LANGUAGES = ("en", "nl")


@lru_cache
def _content(language: str) -> dict[str, dict[str, str]]:
    file = resources.files("retention_pipeline.report").joinpath("static", f"words.{language}.yaml")
    words: dict[str, dict[str, str]] = yaml.safe_load(file.read_text(encoding="utf-8"))
    return words


def words(language: str) -> dict[str, Any]:
    """The words of one of LANGUAGES."""
    return _content(language)["words"]


def kpi_label(kpi: str, label: str, language: str) -> str:
    """A KPI's name in a language; `label`, its name in the registry, where that language has none of its own."""
    return _content(language).get("kpis", {}).get(kpi, label)
