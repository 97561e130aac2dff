"""What must hold in the period tables of further datasets: subsets of counts, tables that add up."""

from retention_pipeline.audit.shapes import (
    Rule,
    adds_up,
    rows_hold,
)

PAYMENTS = ("invoices_attempted", "invoices_failed", "invoices_recovered")
ANSWERS = ("survey_responses", "csat_responses", "csat_satisfied")
SCORES = ("nps_responses", "nps_promoters", "nps_detractors")
EMAILS = ("emails_delivered", "emails_opened", "emails_opened_raw", "emails_clicked", "emails_opened_or_clicked")
TICKETS = ("tickets_opened", "tickets_resolved_48h", "first_replies", "resolutions")


def family_rules() -> list[Rule]:
    """Rules of every further family; those of datasets that are not connected have no tables."""
    return [
        rows_hold(
            "payments_subsets",
            "recovered invoices are failed ones, and failed ones invoices",
            "period_payments",
            "invoices_recovered <= invoices_failed and invoices_failed <= invoices_attempted",
            PAYMENTS,
        ),
        adds_up(
            "payment_failures", {"invoices": "invoices_failed", "recovered": "invoices_recovered"}, "period_payments"
        ),
        rows_hold(
            "surveys_subsets",
            "scores and satisfaction are of answers; nobody is promoter and detractor; who answered has a score",
            "period_surveys",
            "nps_promoters + nps_detractors <= nps_responses and csat_satisfied <= csat_responses"
            " and nps_responses + csat_responses <= survey_responses",
            (*ANSWERS, *SCORES),
        ),
        rows_hold(
            "emails_subsets",
            "what was opened or clicked was delivered, and what a person opened was opened",
            "period_emails",
            "emails_opened <= emails_opened_raw and emails_opened_raw <= emails_delivered"
            " and greatest(emails_opened, emails_clicked) <= emails_opened_or_clicked"
            " and emails_opened_or_clicked <= least(emails_opened + emails_clicked, emails_delivered)",
            EMAILS,
        ),
        rows_hold(
            "tickets_subsets",
            "tickets resolved within 48 hours were opened",
            "period_tickets",
            "tickets_resolved_48h <= tickets_opened",
            TICKETS,
        ),
        adds_up("tickets_by_reason", {"tickets": "tickets_opened"}, "period_tickets"),
        adds_up("period_first_replies", {"tickets": "first_replies"}, "period_tickets"),
        adds_up("period_resolutions", {"tickets": "resolutions"}, "period_tickets"),
    ]
