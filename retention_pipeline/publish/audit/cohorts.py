"""What must hold in cohort_retention: nobody is retained who was not there, sums only grow."""

from retention_pipeline.publish.audit.shapes import Rule
from retention_pipeline.settings import Settings


def cohort_rules(settings: Settings) -> list[Rule]:
    """cohort_retention: nobody is retained who was not there, and sums only grow."""
    table = "cohort_retention"
    cohort = "basis, grain, segment_dimension, segment_value, cohort_start"
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
            # A cell meets the one before it by a hash of the key: a third of the time of a window or of the columns.
            # Two cells of one hash among millions, one in ten million nights, would be a false alarm, never a miss.
            f"""
            select {columns}, active_or_later, previous_later, cumulative_revenue, previous_revenue,
                cohort_size, previous_size
            from (select *, hash({cohort}, age) as cell from {table}) as cells
            left join (
                select hash({cohort}, age + 1) as next_cell, active_or_later as previous_later,
                    cumulative_revenue as previous_revenue, cohort_size as previous_size
                from {table}
            ) as before on cells.cell = before.next_cell
            where age > 0 and (
                previous_size is null or active_or_later > previous_later or cumulative_revenue < previous_revenue
                or cohort_size <> previous_size
            )
            """,
            (table,),
        ),
        Rule(
            "cohort_retention_segments_add_up",
            "in cohort_retention the values of each dimension add up to all",
            f"""
            with totals as (select * from {table} where segment_dimension = 'all'),
            dimensions as (
                select distinct basis, segment_dimension as dimension from {table} where segment_dimension <> 'all'
            ),
            parts as (
                select basis, grain, segment_dimension as dimension, cohort_start, age, sum(cohort_size) as cohort_size,
                    sum(active) as active, sum(active_or_later) as active_or_later, sum(revenue) as revenue
                from {table} where segment_dimension <> 'all' group by all
            )
            select totals.basis, totals.grain, totals.cohort_start, totals.age, dimensions.dimension,
                totals.cohort_size, parts.cohort_size as size_of_values, totals.active, parts.active as active_of_values
            from totals
            inner join dimensions on totals.basis = dimensions.basis
            left join parts on totals.basis = parts.basis and totals.grain = parts.grain
                and totals.cohort_start = parts.cohort_start and totals.age = parts.age
                and dimensions.dimension = parts.dimension
            where totals.cohort_size is distinct from parts.cohort_size
                or totals.active is distinct from parts.active
                or totals.active_or_later is distinct from parts.active_or_later
                or totals.revenue is distinct from parts.revenue
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
