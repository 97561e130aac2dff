"""Whether a run is a night or a backfill on top of the previous generation, or a full refresh, and why."""

from dataclasses import dataclass
from datetime import date

from retention_pipeline.run.state import PipelineState


@dataclass(frozen=True)
class Mode:
    """full_refresh: facts and sums are computed from all of raw; is_backfill: the sums of some periods from all
    facts. reason: one line for people."""

    full_refresh: bool
    reason: str
    is_backfill: bool = False

    @property
    def name(self) -> str:
        """'full refresh', 'backfill' or 'night'."""
        if self.full_refresh:
            return "full refresh"
        return "backfill" if self.is_backfill else "night"


def decide_mode(
    previous: PipelineState | None,
    *,
    as_of: date,
    settings_fingerprint: str,
    code_fingerprint: str,
    asked: bool = False,
    months: tuple[date, date] | None = None,
    waiting_loads: int = 0,
    mismatch: str | None = None,
    cheaper: str | None = None,
) -> Mode:
    """The first reason for a full refresh that applies, else a night.

    `waiting_loads` came to raw since the published generation: a backfill adds up some periods only, so it cannot bring
    them in. `mismatch`: why the published generation was not made from the raw.duckdb that is there. `cheaper`: why a
    full refresh costs less than a night.
    """
    if asked:
        return Mode(True, "asked for")
    if previous is None:
        return Mode(True, "first run: there is no published generation")
    if mismatch is not None:
        return Mode(True, mismatch)
    if as_of < previous.as_of:
        return Mode(True, f"as_of {as_of} is earlier than {previous.as_of}, that of generation {previous.generation}")
    if settings_fingerprint != previous.settings_fingerprint:
        return Mode(True, f"settings that move figures changed since generation {previous.generation}")
    if code_fingerprint != previous.code_fingerprint:
        return Mode(True, f"models or macros changed since generation {previous.generation}")
    if months is not None:
        first, last = months
        if waiting_loads:
            return Mode(True, f"loads wait that generation {previous.generation} does not have: more than these months")
        reason = f"sums of {first:%Y-%m} to {last:%Y-%m} from all facts, on top of generation {previous.generation}"
        return Mode(False, reason, is_backfill=True)
    if cheaper is not None:
        return Mode(True, cheaper)
    return Mode(False, f"on top of generation {previous.generation} as of {previous.as_of}")
