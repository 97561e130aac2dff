"""KPIs of the family `surveys`: the net promoter score with its parts, and satisfaction."""

from retention_pipeline.kpis.declaration import Family, Headline, Kpi, count, proportion, ratio
from retention_pipeline.kpis.identities import Identity, equal
from retention_pipeline.kpis.measures import balances, flows, once_per_period

FAMILY = Family(
    name="surveys",
    label="Surveys",
    period_table="period_surveys",
    bases=("all",),
    datasets=("surveys",),
    measures=(
        *flows("survey_responses", "csat_responses", "csat_satisfied"),
        # The last answer of a year may not be that of any of its months.
        *once_per_period("nps_responses", "nps_promoters", "nps_detractors"),
    ),
    further_measures=balances("customers_known"),
    first_row="the first answer of either kind",
)
ONE_ANSWER = "Of a customer's nps answers in the period the latest one counts; answers without a customer each count."


def share_of_answers(name: str, scores: str, measure: str, better: str) -> Kpi:
    """The share of one class of nps answers."""
    return proportion(
        f"{name}_share",
        f"Share of {name}s",
        f"nps answers of {scores} / nps answers. {ONE_ANSWER}",
        FAMILY,
        measure,
        "nps_responses",
        better=better,
    )


KPIS: tuple[Kpi, ...] = (
    ratio(
        "nps",
        "Net promoter score",
        f"100 × (promoters − detractors) / nps answers; promoters give 9 or 10, detractors 0 to 6. {ONE_ANSWER} The "
        "interval is value ± 100 × 1.959964 × √((p + d − (p − d)²) / n) of the shares p and d, from 2 answers on.",
        FAMILY,
        "nps_promoters - nps_detractors",
        "nps_responses",
        n="nps_responses",
        unit="score",
        factor_numerator="100",
        valid_range=(-100.0, 100.0),
        interval="nps",
        sum_of_squares="nps_promoters + nps_detractors",
        better="higher",
        headline=Headline("Surveys", 610),
    ),
    share_of_answers("promoter", "9 or 10", "nps_promoters", "higher"),
    share_of_answers("passive", "7 or 8", "nps_responses - nps_promoters - nps_detractors", "neither"),
    share_of_answers("detractor", "0 to 6", "nps_detractors", "lower"),
    count(
        "nps_responses", "NPS answers", f"Answers behind the net promoter score. {ONE_ANSWER}", FAMILY, better="neither"
    ),
    proportion(
        "csat",
        "Customer satisfaction",
        "Satisfied answers / answers of kind csat on a scale that csat_positive lists; satisfied are the scores that "
        "it lists. Every answer counts.",
        FAMILY,
        "csat_satisfied",
        "csat_responses",
        better="higher",
        settings=("csat_positive",),
        headline=Headline("Surveys", 620),
    ),
    count("survey_responses", "Survey answers", "Answers of either kind, on any scale.", FAMILY, better="neither"),
)

IDENTITIES: tuple[Identity, ...] = (
    Identity(
        "promoters, passives and detractors are together all answers",
        equal("value(promoter_share) + value(passive_share) + value(detractor_share)", "1"),
    ),
    Identity(
        "the net promoter score is that of its shares",
        equal("value(nps)", "100 * (value(promoter_share) - value(detractor_share))"),
    ),
)
