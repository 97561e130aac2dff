"""KPIs of MRR for one period and set of customers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import date
from decimal import Decimal
from functools import cache

from oracle.business_days import DAY, Period, add_months
from oracle.churn_classes import churn_class
from oracle.company import Company
from oracle.figures import Figure, count, missing, nulled, ratio
from oracle.renewals import Term, terms

MOVEMENTS = ("new", "expansion", "contraction", "churn", "reactivation")
ZERO = Decimal(0)
# Figures that look at the close or at days of the period only; all others look at the eve of the opening.
WITHOUT_LOOK_BACK = {
    "mrr_end",
    "arr_end",
    "mrr_list_end",
    "paying_customers_end",
    "arpc",
    "cancellations_requested",
    "renewals_due",
    "renewals_pending",
    "renewal_rate",
    "renewal_rate_value",
}
TWELVE_MONTHS = ("gross_revenue_retention_12m", "net_revenue_retention_12m")


class Subscriptions:
    """The subscription KPIs of a company; a customer's part in a period is worked out once."""

    def __init__(self, company: Company) -> None:
        self.company = company
        self.terms = terms(company)
        self.movements = cache(self._movements)
        self.at_list_price = cache(self._at_list_price)
        self.requests_of: dict[str, list[date]] = defaultdict(list)
        for customer, _, day in company.requests:
            self.requests_of[customer].append(day)
        self.churn_class = cache(lambda customer, close: churn_class(company, customer, close))

    def _movements(self, customer: str, period: Period) -> list[tuple[str, Decimal]]:
        return self.company.movements(customer, period.start, period.close)

    def _at_list_price(self, customer: str, period: Period) -> Decimal:
        eve = period.close - DAY
        return self.company.in_reporting(self.company.native(customer, eve, list_price=True), eve)

    def figures(
        self,
        period: Period,
        members: list[str],
        members_12m: list[str],
        moved_in: list[str] | None = None,
        moved_out: list[str] | None = None,
    ) -> dict[str, Figure]:
        """Figures over the members; members_12m have the segment value in the 12 months before the close."""
        figures = {
            **self._balances(period, members),
            **self._retention(period, members),
            **self._net_movements(period, members),
            **self._losses(period, members),
            **self._renewals(period, members),
        }
        for kpi, movers in (("mrr_moved_in", moved_in), ("mrr_moved_out", moved_out)):
            if movers is not None:
                figures[kpi] = count(total(self.company.mrr(customer, period.start) for customer in movers))
        requested = [day for customer in members for day in self.requests_of.get(customer, ())]
        figures["cancellations_requested"] = count(sum(period.start <= day < period.close for day in requested))
        if self.company.is_cut("subscription", period.start):
            nulled(figures, set(figures) - WITHOUT_LOOK_BACK, "left_truncated")
        figures.update(self._twelve_months(period, members_12m))
        return figures

    def _balances(self, period: Period, members: list[str]) -> dict[str, Figure]:
        mrr, is_paying = self.company.mrr, self.company.is_paying
        start = total(mrr(customer, period.start) for customer in members)
        end = total(mrr(customer, period.close) for customer in members)
        paying = sum(1 for customer in members if is_paying(customer, period.close))
        open_customers = sum(1 for customer in members if is_paying(customer, period.start))
        moved = dict.fromkeys(MOVEMENTS, ZERO)
        losing = 0
        for customer in members:
            found = self.movements(customer, period)
            losing += any(movement in ("contraction", "churn") for movement, _ in found)
            for movement, amount in found:
                moved[movement] += amount
        gained = moved["new"] + moved["reactivation"] + moved["expansion"]
        given_up = moved["contraction"] + moved["churn"]
        net_churn = given_up - moved["expansion"] - moved["reactivation"]
        return {
            "mrr_start": count(start),
            "mrr_end": count(end),
            "arr_end": count(12 * end),
            "mrr_list_end": count(total(self.at_list_price(customer, period) for customer in members)),
            **{f"mrr_{movement}": count(amount) for movement, amount in moved.items()},
            "mrr_fx": count(end - start - gained + given_up),
            "paying_customers_end": count(paying),
            "arpc": ratio(end, paying),
            "mrr_growth_rate": ratio(end - start, start, open_customers),
            "net_mrr_churn_rate": ratio(net_churn, start, open_customers),
            "quick_ratio": ratio(gained, given_up, losing),
        }

    def _net_movements(self, period: Period, members: list[str]) -> dict[str, Figure]:
        """From the opening to the close, at the opening's rates; what came from nothing at the close's."""
        company, net, losing = self.company, dict.fromkeys(MOVEMENTS, ZERO), 0
        for customer in members:
            before = company.mrr(customer, period.start)
            paid, pays = company.is_paying(customer, period.start), company.is_paying(customer, period.close)
            now = company.mrr(customer, period.close, rates_of=period.start if paid else None)
            if pays and not paid:
                is_first = company.first_day["subscription"][customer] >= period.start
                net["new" if is_first else "reactivation"] += now
            elif now > before:
                net["expansion"] += now - before
            elif now < before:
                net["contraction" if pays else "churn"] += before - now
                losing += 1
        gained = net["new"] + net["reactivation"] + net["expansion"]
        return {
            **{f"mrr_{movement}_net": count(amount) for movement, amount in net.items()},
            "quick_ratio_net": ratio(gained, net["contraction"] + net["churn"], losing),
        }

    def _retention(self, period: Period, members: list[str]) -> dict[str, Figure]:
        pairs = self._pairs(period.start, period.close, members)
        opened = total(before for before, _ in pairs)
        n = len(pairs)
        mrr, is_paying = self.company.mrr, self.company.is_paying
        cancelled = total(mrr(customer, period.start) for customer in members if not is_paying(customer, period.close))
        return {
            "gross_revenue_retention": ratio(total(min(now, before) for before, now in pairs), opened, n),
            "net_revenue_retention": ratio(total(now for _, now in pairs), opened, n),
            "mrr_churn_rate": ratio(total(max(before - now, ZERO) for before, now in pairs), opened, n),
            "mrr_churn_rate_cancelled": ratio(cancelled, opened, n),
            "existing_customer_revenue_growth": ratio(total(now - before for before, now in pairs), opened, n),
        }

    def _pairs(self, opening: date, close: date, members: list[str]) -> list[tuple[Decimal, Decimal]]:
        """(m_open, m_close) of customers with m_open > 0, both at the opening's rates."""
        mrr = self.company.mrr
        return [
            (mrr(customer, opening), mrr(customer, close, rates_of=opening))
            for customer in members
            if self.company.is_paying(customer, opening)
        ]

    def _twelve_months(self, period: Period, members: list[str]) -> dict[str, Figure]:
        opening = add_months(period.close, -12)
        if self.company.is_cut("subscription", opening):
            return dict.fromkeys(TWELVE_MONTHS, missing("left_truncated"))
        pairs = self._pairs(opening, period.close, members)
        opened = total(before for before, _ in pairs)
        return {
            "gross_revenue_retention_12m": ratio(total(min(pair) for pair in pairs), opened, len(pairs)),
            "net_revenue_retention_12m": ratio(total(now for _, now in pairs), opened, len(pairs)),
        }

    def _losses(self, period: Period, members: list[str]) -> dict[str, Figure]:
        is_active = self.company.is_active
        opening = [customer for customer in members if is_active("subscription", customer, period.start)]
        lost = [customer for customer in opening if not is_active("subscription", customer, period.close)]
        classes = [self.churn_class(customer, period.close) for customer in lost]
        return {
            f"{name}_churn_rate": ratio(classes.count(name), len(opening))
            for name in ("involuntary", "voluntary", "unknown")
        }

    def _renewals(self, period: Period, members: list[str]) -> dict[str, Figure]:
        whose = set(members)
        due = [term for term in self.terms if term.customer in whose and period.start <= term.day < period.close]
        resolved = [term for term in due if term.is_resolved]
        return {
            "renewals_due": count(len(due)),
            "renewals_pending": count(len(due) - len(resolved)),
            **rates_of_renewal(resolved, only_pending=bool(due) and not resolved),
        }


def rates_of_renewal(resolved: list[Term], *, only_pending: bool) -> dict[str, Figure]:
    if only_pending:
        return dict.fromkeys(("renewal_rate", "renewal_rate_value"), missing("immature"))
    renewed = [term for term in resolved if term.is_renewed]
    kept = total(min(term.renewed, term.due) for term in renewed)
    return {
        "renewal_rate": ratio(len(renewed), len(resolved)),
        "renewal_rate_value": ratio(kept, total(term.due for term in resolved), len(resolved)),
    }


def total(amounts: Iterable[Decimal]) -> Decimal:
    return sum(amounts, ZERO)
