"""Who is who: aliases resolved to the surviving customer, for all of history."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

from oracle.business_days import moment


def survivors(
    rows: list[dict[str, Any]], as_of: date, zone: ZoneInfo, source_zone: ZoneInfo
) -> Callable[[str | None], str | None]:
    """A function from any customer id to the surviving one; an alias valid from as_of on is not yet known, and one of
    itself says nothing.
    """
    owner: dict[str, str] = {}
    for row in rows:
        if row["alias_id"] == row["customer_id"]:
            continue
        valid_from = moment(row.get("valid_from"), zone, source_zone)
        if valid_from is None or valid_from.day < as_of:
            owner[row["alias_id"]] = row["customer_id"]

    def survivor(customer_id: str | None) -> str | None:
        if not customer_id:
            return None
        seen = [customer_id]
        while seen[-1] in owner:
            seen.append(owner[seen[-1]])
            if seen[-1] in seen[:-1]:
                raise ValueError(f"alias cycle: {' -> '.join(seen)}")
        return seen[-1]

    return survivor
