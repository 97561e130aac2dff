"""KPIs of the family `emails`: units of e-mail (a message at a customer), opened and clicked within the window.

What a unit is stands in vocabulary.py.
"""

from retention_pipeline.kpis.declaration import Family, Headline, Kpi, count, proportion
from retention_pipeline.kpis.identities import Identity
from retention_pipeline.kpis.measures import balances, flows

FAMILY = Family(
    name="emails",
    label="E-mail",
    period_table="period_emails",
    bases=("all",),
    datasets=("emails",),
    measures=(
        *flows("emails_delivered", "emails_opened", "emails_opened_raw", "emails_clicked", "emails_opened_or_clicked"),
    ),
    further_measures=balances("customers_known"),
    first_row="the first unit",
)
AFTER = "within email_window_days; not given until so many days have passed since the period's end."


def rate(
    name: str, label: str, definition: str, numerator: str, denominator: str, headline: Headline | None = None
) -> Kpi:
    """What became of the messages of the period, once all had the days for it."""
    return proportion(
        name,
        label,
        f"{definition} {AFTER}",
        FAMILY,
        numerator,
        denominator,
        better="higher",
        horizon_days="email_window_days",
        settings=("email_window_days", "email_unit"),
        headline=headline,
    )


KPIS: tuple[Kpi, ...] = (
    count(
        "emails_delivered",
        "E-mails delivered",
        "Messages of the period by email_unit, one per message and customer: delivered in it, or sent in it and not "
        "bounced so far.",
        FAMILY,
        better="neither",
        settings=("email_window_days", "email_unit"),
    ),
    rate(
        "email_open_rate",
        "E-mail open rate",
        "Of the messages that emails_delivered counts, the share that a person opened",
        "emails_opened",
        "emails_delivered",
        Headline("E-mail", 640),
    ),
    rate(
        "email_open_rate_raw",
        "E-mail open rate, machines too",
        "Of the messages that emails_delivered counts, the share that was opened, also by a machine,",
        "emails_opened_raw",
        "emails_delivered",
    ),
    rate(
        "email_click_rate",
        "E-mail click rate",
        "Of the messages that emails_delivered counts, the share in which a person clicked",
        "emails_clicked",
        "emails_delivered",
    ),
    rate(
        "email_click_to_open_rate",
        "E-mail click-to-open rate",
        "Of the messages that emails_delivered counts and a person opened or clicked in, the share clicked in",
        "emails_clicked",
        "emails_opened_or_clicked",
    ),
)

IDENTITIES: tuple[Identity, ...] = (
    Identity("what a person opened was opened", "value(email_open_rate) <= value(email_open_rate_raw)"),
)
