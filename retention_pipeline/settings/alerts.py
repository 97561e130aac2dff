"""Alerts: who is told, of what, and what else follows. When something holds of what was published, then something is
done, once per incident.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from retention_pipeline.contracts.grains import Grain
from retention_pipeline.settings.kinds import SettingsError, Strict
from retention_pipeline.settings.sources import FromEnvironment

# What makes a condition on figures; the rest of `when` says of which figures.
OF_FIGURES = ("above", "below", "changed_by", "outside_interval", "target_missed")
OF_THE_RUN = ("restated", "source_late", "period_complete", "new_actions")
Name = Annotated[str, Field(pattern="^[A-Za-z0-9][A-Za-z0-9 _.-]{0,59}$")]


def _short_channel(written: Any) -> Any:
    """`{env: NAME}` stands for `{url: {env: NAME}}`."""
    return {"url": written} if isinstance(written, dict) and set(written) == {"env"} else written


class Channel(Strict):
    """An address as Apprise writes it (`mailtos://…`, `slack://…`, `json://…`), always from the environment.
    `attach_report`: the report's page goes along, where the channel carries files.
    """

    url: FromEnvironment
    attach_report: bool = False


class When(Strict):
    """Conditions that must all hold. Those on a figure look at the latest complete period of the grain.

    `above`, `below`: of the value. `changed_by`: share of the value of the period before, either way.
    `outside_interval`: the value is outside the interval of the period before. `target_missed`: a goal of the KPI is
    behind or missed.
    `segment`: dimension to value, `"*"` for each value. `restated`: the run changed figures of complete periods.
    `source_late`: true for any source, else its name. `period_complete`: a period of this grain has been completed.
    `new_actions`: `customer_actions` has new rows; true for any action, else its name.
    """

    kpi: str | None = None
    grain: Grain = "month"
    basis: str | None = None
    segment: dict[str, str] = Field(default={})
    above: float | None = None
    below: float | None = None
    changed_by: Annotated[float, Field(gt=0)] | None = None
    outside_interval: Literal[True] | None = None
    target_missed: Literal[True] | None = None
    restated: Literal[True] | None = None
    source_late: Literal[True] | str | None = None
    period_complete: Grain | None = None
    new_actions: Literal[True] | str | None = None

    @model_validator(mode="after")
    def _one_kind(self) -> When:
        figures = [name for name in OF_FIGURES if getattr(self, name) is not None]
        others = [name for name in OF_THE_RUN if getattr(self, name) is not None]
        if len(others) > 1 or (figures and others):
            raise ValueError(f"{' and '.join([*figures, *others])} do not go together: make two rules of it")
        if not figures and not others:
            raise ValueError(f"say what must hold: one of {', '.join((*OF_FIGURES, *OF_THE_RUN))}")
        if figures and self.kpi is None:
            raise ValueError(f"{figures[0]} needs a kpi")
        if len(self.segment) > 1:
            raise ValueError("segment: one dimension, such as {plan: pro}")
        return self


class Notify(Strict):
    """A message to a channel."""

    notify: str


class Export(Strict):
    """A published table as a file, relative to the home folder: .csv, .parquet or .json."""

    export: Annotated[str, Field(pattern="^[a-z_][a-z0-9_]*$")]
    to: Annotated[str, Field(pattern=r".\.(csv|parquet|json)$")]


class Webhook(Strict):
    """The alert as JSON, posted to an address from the environment."""

    webhook: FromEnvironment


Action = Notify | Export | Webhook


class Rule(Strict):
    """When something holds, then do something."""

    name: Name
    when: When
    then: Annotated[list[Action], Field(min_length=1)]

    @property
    def slug(self) -> str:
        """The name as a file or an asset check can have it."""
        return re.sub("[^a-z0-9]+", "_", self.name.lower()).strip("_")


class Alerts(Strict):
    """`operations`: channels that hear of failed runs, late sources and files that were refused; None: all."""

    channels: dict[Name, Annotated[Channel, BeforeValidator(_short_channel)]] = Field(default={})
    operations: list[str] | None = None
    rules: list[Rule] = Field(default=[])

    @property
    def told_of_operations(self) -> list[str]:
        return list(self.channels) if self.operations is None else self.operations


def alert_problems(alerts: Alerts, sources: dict[str, Any], grains: list[Grain]) -> list[str]:
    """What does not fit together, one line each with its path."""
    problems = [
        f"alerts.operations: there is no channel {name!r}"
        for name in alerts.operations or ()
        if name not in alerts.channels
    ]
    slugs = [rule.slug for rule in alerts.rules]
    problems += [f"alerts.rules: two are called {slug!r}" for slug in sorted({s for s in slugs if slugs.count(s) > 1})]
    for number, rule in enumerate(alerts.rules):
        for place, action in enumerate(rule.then):
            if isinstance(action, Notify) and action.notify not in alerts.channels:
                problems.append(f"alerts.rules.{number}.then.{place}: there is no channel {action.notify!r}")
        late = rule.when.source_late
        if isinstance(late, str) and late not in sources:
            problems.append(f"alerts.rules.{number}.when.source_late: there is no source {late!r}")
        for key, grain in (("grain", rule.when.grain), ("period_complete", rule.when.period_complete)):
            if grain is not None and grain not in grains:
                problems.append(f"alerts.rules.{number}.when.{key}: grains leaves {grain} out")
    return problems


def read_secret(secret: FromEnvironment) -> str | None:
    """The value of a secret; None where the variable is not set."""
    try:
        return secret.read()
    except SettingsError:
        return None
