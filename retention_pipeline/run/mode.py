"""Whether a run is a night or a backfill on top of the previous generation, or a full refresh, and why."""

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from retention_pipeline.run.state import PipelineState
from retention_pipeline.transform.arguments import OWN_MODELS


@dataclass(frozen=True)
class Mode:
    """full_refresh: facts and sums are computed from all of raw; is_backfill: the sums of some periods from all
    facts. reason: one line for people. new_datasets: a night builds their models wholly. by_same_code: a full refresh
    of what a night could have been made on top of.
    """

    full_refresh: bool
    reason: str
    is_backfill: bool = False
    new_datasets: tuple[str, ...] = ()
    by_same_code: bool = False

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
    kept_settings: Mapping[str, Any],
    loaded_before: Collection[str] = (),
    asked: bool = False,
    months: tuple[date, date] | None = None,
    waiting_loads: int = 0,
    mismatch: str | None = None,
    cheaper: Callable[[PipelineState], str | None] = lambda _: None,
    engine: str = "duckdb",
) -> Mode:
    """The first reason for a full refresh that applies, else a night.

    `settings_fingerprint` is over all settings that move figures, `kept_settings` are those on which sums depend.
    `loaded_before`: datasets of which raw had loads when the published generation was made. `waiting_loads` came to raw
    since: a backfill adds up some periods only, so it cannot bring them in. `mismatch`: why the published generation
    was not made from the raw.duckdb that is there. `cheaper`: why a full refresh costs less than a night on top of the
    published generation, None if it does not; asked only of one that this code made. `engine`: Spark knows full
    refreshes only.
    """
    if asked:
        return Mode(True, "asked for")
    if previous is None:
        return Mode(True, "first run: there is no published generation")
    if mismatch is not None:
        return Mode(True, mismatch)
    if engine != "duckdb":
        return Mode(True, f"engine {engine} computes everything anew in every run")
    if as_of < previous.as_of:
        return Mode(True, f"as_of {as_of} is earlier than {previous.as_of}, that of generation {previous.generation}")
    changed, new = _changed_settings(previous, settings_fingerprint, kept_settings, loaded_before)
    if changed:
        named = f" ({', '.join(changed)})" if previous.kept_settings else ""
        return Mode(True, f"settings that move sums changed since generation {previous.generation}{named}")
    if code_fingerprint != previous.code_fingerprint:
        return Mode(True, f"models or macros changed since generation {previous.generation}")
    if months is not None:
        first, last = months
        if new:
            return Mode(True, f"generation {previous.generation} knows nothing of {', '.join(new)}")
        if waiting_loads:
            return Mode(True, f"loads wait that generation {previous.generation} does not have: more than these months")
        reason = f"sums of {first:%Y-%m} to {last:%Y-%m} from all facts, on top of generation {previous.generation}"
        return Mode(False, reason, is_backfill=True)
    costs_less = cheaper(previous)
    if costs_less is not None:
        return Mode(True, costs_less, by_same_code=True)
    reason = f"on top of generation {previous.generation} as of {previous.as_of}"
    if new:
        return Mode(False, f"{reason}, with {', '.join(new)} for the first time", new_datasets=new)
    if settings_fingerprint != previous.settings_fingerprint:
        reason += "; settings that only KPIs read changed"
    return Mode(False, reason)


def _changed_settings(
    previous: PipelineState,
    settings_fingerprint: str,
    kept_settings: Mapping[str, Any],
    loaded_before: Collection[str],
) -> tuple[list[str], tuple[str, ...]]:
    """Names of the settings on which sums depend that are other ones than those of the published generation, and the
    datasets that came and leave the sums of others as they are.
    """
    if previous.kept_settings is None:  # of a version that knew only the fingerprint
        return ["settings"] if settings_fingerprint != previous.settings_fingerprint else [], ()
    before, kept_settings = json.loads(previous.kept_settings), json.loads(json.dumps(kept_settings))
    changed = [name for name in {**before, **kept_settings} if before.get(name) != kept_settings.get(name)]
    if "datasets" not in changed:
        return sorted(changed), ()
    came = sorted(set(kept_settings["datasets"]) - set(before["datasets"]))
    gone = set(before["datasets"]) - set(kept_settings["datasets"])
    # Rows that were loaded before are not among tonight's, so nobody would be touched by them.
    if not gone and changed == ["datasets"] and OWN_MODELS.issuperset(came) and not set(came) & set(loaded_before):
        return [], tuple(came)
    return sorted(changed), ()
