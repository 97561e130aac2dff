"""What must hold in cohort_retention: nobody is retained who was not there, sums only grow."""

from retention_pipeline.audit.shapes import Rule
from retention_pipeline.settings import Settings

COHORT = ("basis", "grain", "segment_dimension", "segment_value", "cohort_start")
SUMS = ("cohort_size", "active", "active_or_later", "revenue")


def cohort_rules(settings: Settings) -> list[Rule]:
    """cohort_retention: nobody is retained who was not there, and sums only grow."""
    table = "cohort_retention"
    cohort = ", ".join(COHORT)
    columns = f"{cohort}, age"
    within = "active between 0 and active_or_later and active_or_later <= cohort_size and cohort_size > 0"
    rules = [
        Rule(
            "cohort_within_size",
            "active <= active_or_later <= cohort_size",
            f"select {columns}, cohort_size, active, active_or_later from {table} where ({within}) is not true",
            (table,),
        ),
        Rule(
            "cohort_later_never_rises",
            "no age is missing, active_or_later never rises with age, cumulative revenue never falls, the size stays",
            # Ages of a cohort lie one after the other, so most cells are compared with the row before them, and only
            # those that are not its next age, or seem to break the rule, are looked up. In any order of the rows the
            # answer is the same; this is a tenth of the time of a window over cohorts.
            f"""
            with suspects as (
                select {columns}, active_or_later, cumulative_revenue, cohort_size
                from (
                    select *, hash({columns}) = lag(hash({cohort}, age + 1)) over () as follows,
                        lag(active_or_later) over () as later_above, lag(cumulative_revenue) over () as revenue_above,
                        lag(cohort_size) over () as size_above
                    from {table}
                )
                where age > 0 and (
                    follows is not true or active_or_later > later_above or cumulative_revenue < revenue_above
                    or cohort_size <> size_above
                )
            )
            select suspects.*, before.active_or_later as previous_later, before.cumulative_revenue as previous_revenue,
                before.cohort_size as previous_size
            from suspects
            left join {table} as before
                on {" and ".join(f"suspects.{name} = before.{name}" for name in COHORT)}
                and suspects.age = before.age + 1
            where before.cohort_size is null or suspects.active_or_later > before.active_or_later
                or suspects.cumulative_revenue < before.cumulative_revenue
                or suspects.cohort_size <> before.cohort_size
            """,
            (table,),
        ),
        Rule(
            "cohort_retention_segments_add_up",
            "in cohort_retention the values of each dimension add up to all",
            # A hash stands for the columns of a cell, in half the time; that two cells of hundreds of thousands share
            # one would be a false alarm, once in hundreds of millions of nights.
            f"""
            with dimensions as (
                select distinct basis, segment_dimension as dimension from {table} where segment_dimension <> 'all'
            ),
            totals as (
                select totals.*, dimension, hash(totals.basis, grain, cohort_start, age, dimension) as cell
                from {table} as totals inner join dimensions on totals.basis = dimensions.basis
                where segment_dimension = 'all'
            ),
            parts as (
                select hash(basis, grain, cohort_start, age, segment_dimension) as cell,
                    {", ".join(f"sum({name}) as {name}" for name in SUMS)}
                from {table} where segment_dimension <> 'all' group by 1
            )
            select totals.basis, totals.grain, totals.cohort_start, totals.age, totals.dimension,
                {", ".join(f"totals.{name}, parts.{name} as {name}_of_values" for name in SUMS)}
            from totals left join parts on totals.cell = parts.cell
            where {" or ".join(f"totals.{name} is distinct from parts.{name}" for name in SUMS)}
            """,
            (table,),
        ),
    ]
    if settings.business.cohort_event == "first_activity":
        rules.append(
            Rule(
                "cohort_starts_whole",
                "at age 0 everybody of a cohort is active",
                f"select {columns}, cohort_size, active from {table} where age = 0 and active <> cohort_size",
                (table,),
            )
        )
    return rules
