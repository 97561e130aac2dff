"""Kinds of values that settings are made of, each with the message for what it does not accept."""

from __future__ import annotations

import re
from datetime import timedelta
from functools import cache
from typing import Annotated, Any, Literal
from zoneinfo import available_timezones

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from retention_pipeline.settings.cron import check_cron

_AGE = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([mhdw])")
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


class SettingsError(Exception):
    """The settings cannot be used; the text lists every problem with its key path, one per line."""


@cache
def _timezones() -> frozenset[str]:
    """Every name that the system or tzdata knows: asked once, since hundreds of files are looked through for them."""
    return frozenset(available_timezones())


def _known_timezone(name: str) -> str:
    if name not in _timezones():
        raise ValueError(f"{name!r} is not an IANA time zone, such as Europe/Amsterdam")
    return name


def _currency_code(code: str) -> str:
    if len(code) != 3 or not code.isascii() or not code.isalpha() or code != code.upper():
        raise ValueError(f"{code!r} is not an ISO 4217 code, such as EUR")
    return code


def _age(written: Any) -> timedelta:
    """`36h`, `3d`; minutes (m) and weeks (w) too."""
    if isinstance(written, timedelta):
        return written
    found = _AGE.fullmatch(str(written).strip())
    try:
        age = timedelta(**{_UNITS[found[2]]: float(found[1])}) if found else timedelta()
    except OverflowError:
        age = timedelta()
    if age <= timedelta():
        raise ValueError("write a number above 0 with m, h, d or w, such as 36h or 3d")
    return age


Cron = Annotated[str, AfterValidator(check_cron)]
Timezone = Annotated[str, AfterValidator(_known_timezone)]
Currency = Annotated[str, AfterValidator(_currency_code)]
Share = Annotated[float, Field(ge=0, le=1)]
Age = Annotated[timedelta, BeforeValidator(_age)]
# A million days, so that no day from here on is beyond the calendar.
Days = Annotated[int, Field(ge=1, le=1_000_000)]
DaysFromZero = Annotated[int, Field(ge=0, le=1_000_000)]
Count = Annotated[int, Field(ge=0, le=1_000_000_000)]
Weekday = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]


class Strict(BaseModel):
    """A part of the settings in which an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)
