"""Whether a run is a night on top of the previous generation or a full refresh, and why."""

from dataclasses import dataclass
from datetime import date

from retention_pipeline.publish.state import PipelineState

# The models compute every sum anew until they can add a night's contributions; then this becomes True.
NIGHTS_ARE_INCREMENTAL = True


@dataclass(frozen=True)
class Mode:
    """full_refresh: sums are computed from the facts of all customers. reason: one line for people."""

    full_refresh: bool
    reason: str

    @property
    def name(self) -> str:
        """'full refresh' or 'night'."""
        return "full refresh" if self.full_refresh else "night"


def decide_mode(
    previous: PipelineState | None,
    *,
    as_of: date,
    settings_fingerprint: str,
    code_fingerprint: str,
    asked: bool = False,
    nights_are_incremental: bool = NIGHTS_ARE_INCREMENTAL,
) -> Mode:
    """The first reason for a full refresh that applies, else a night."""
    if asked:
        return Mode(True, "asked for")
    if previous is None:
        return Mode(True, "first run: there is no published generation")
    if as_of < previous.as_of:
        return Mode(True, f"as_of {as_of} is earlier than {previous.as_of}, that of generation {previous.generation}")
    if settings_fingerprint != previous.settings_fingerprint:
        return Mode(True, f"settings that move figures changed since generation {previous.generation}")
    if code_fingerprint != previous.code_fingerprint:
        return Mode(True, f"models or macros changed since generation {previous.generation}")
    if not nights_are_incremental:
        return Mode(True, "every run computes all sums anew for now")
    return Mode(False, f"on top of generation {previous.generation} as of {previous.as_of}")
