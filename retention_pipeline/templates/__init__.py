"""Settings for exports that many companies have: `retention init HOME --from NAME` writes one of them.

A template is a `settings.yaml` that is right for its export as it stands; what a company has to say itself is marked
`FILL IN`. The first comment line of a template is its one-line description. How an export is recognised by its columns
stands here too, so that `retention check` can name the template.
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib import resources

# Columns that together tell an export from all others: of several lists one is enough. They are columns that every
# such export has, for a template can do without the rest.
SIGNATURES: dict[str, tuple[frozenset[str], ...]] = {
    "shopify-export": (frozenset({"Name", "Financial Status", "Total", "Created at"}),),
    "stripe-exports": (
        frozenset({"id", "Customer ID", "Plan", "Interval", "Status"}),
        frozenset({"id", "Amount", "Amount Refunded", "Captured", "Status"}),
    ),
    "stripe-invoices": (frozenset({"id", "Amount Due", "Subscription", "Minimum Line Item Period Start (UTC)"}),),
    "stripe-sigma": (frozenset({"event_timestamp", "event_type", "mrr_change", "subscription_item_id"}),),
    "woocommerce": (
        frozenset({"order_id", "order_date", "order_total", "order_currency"}),
        frozenset({"order_id", "order_number", "date", "order_total"}),
    ),
    "recurly": (frozenset({"account_code", "plan_code", "unit_amount", "activated_at", "expires_at"}),),
    "chargebee": (frozenset({"customer_id", "mrr", "currency_code", "activated_at", "cancelled_at"}),),
    "zuora": (frozenset({"original_id", "rate_plan_id", "effective_start_date", "mrr", "segment"}),),
    "shopify-fivetran": (
        frozenset({"financial_status", "total_price", "_fivetran_synced"}),
        frozenset({"display_financial_status", "total_price_set_shop_amount", "_fivetran_synced"}),
    ),
    "stripe-fivetran": (frozenset({"current_period_end", "start_date", "customer_id", "_fivetran_synced"}),),
    "stripe-sync": (frozenset({"customer", "start_date", "ended_at", "pause_collection", "status"}),),
    "klaviyo-fivetran": (frozenset({"metric_id", "person_id", "campaign_id", "_fivetran_synced"}),),
    "zendesk-fivetran": (frozenset({"requester_id", "via_channel", "_fivetran_synced"}),),
}


def names() -> list[str]:
    """The names that `retention init --from` knows, in alphabetical order."""
    return sorted(entry.name.removesuffix(".yaml") for entry in _folder().iterdir() if entry.name.endswith(".yaml"))


def text(name: str) -> str:
    """The settings.yaml of a template. Raises KeyError for a name that is not in names()."""
    if name not in names():
        raise KeyError(name)
    return _folder().joinpath(f"{name}.yaml").read_text(encoding="utf-8")


def description(name: str) -> str:
    """What the template is for, in one line."""
    return text(name).splitlines()[0].removeprefix("#").strip()


def recognised(columns: Iterable[str]) -> str | None:
    """The template whose export has these columns; of several, the one with the most telling columns."""
    there = frozenset(columns)
    fitting = [(len(one), name) for name, signatures in SIGNATURES.items() for one in signatures if one <= there]
    return max(fitting)[1] if fitting else None


def _folder() -> resources.abc.Traversable:
    return resources.files("retention_pipeline.templates")
