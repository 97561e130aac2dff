"""One broken rule about figures: what the audit, the KPI contract and `retention check` hand back."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Violation:
    """A rule that does not hold: its name (of a KPI rule the sentence itself), how many cells break it, and a few of
    them as dictionaries by column; sentence: what should hold, where the name does not say it.
    """

    rule: str
    cells: int
    examples: list[dict[str, Any]] = field(default_factory=list)
    sentence: str = ""
