"""One broken rule about figures: what audit and validation hand back, and what a refused run prints."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Violation:
    """A rule (a sentence that should hold), how many cells break it, and a few of them as dictionaries by column."""

    rule: str
    cells: int
    examples: list[dict[str, Any]] = field(default_factory=list)
