"""A seeded history of orders, subscriptions and customers, made inside DuckDB straight into raw.duckdb's tables.

Random numbers are hashes of row numbers, so threads do not change the data. Orders come in order of time, as nights
would have loaded them. For trying the pipeline on plausible figures use the sample company (`make run`): here only the
shape matters: growth, many who buy once, some who keep coming, breaks, subscriptions of several phases.
"""

from datetime import timedelta

import duckdb

from benchmarks.sizes import AS_OF, FIRST_DAY, MONTHS, SETTINGS, Size
from retention_pipeline.contracts import CONTRACTS
from retention_pipeline.ingest.mapping import mapping_fingerprint
from retention_pipeline.ingest.schema import open_raw, quoted
from retention_pipeline.settings import Home, load_settings

SECONDS = (AS_OF - FIRST_DAY).days * 86400
BATCHES = 10


def uniform(row: str, salt: int) -> str:
    """SQL for a number in [0, 1) that depends on a row's number and the salt alone."""
    return f"((hash({row} * 64 + {salt}) % 1000003) / 1000003.0)"


def instant(row: str, orders: int) -> str:
    """SQL for the time of order number `row`: later ones are closer together (a growing shop)."""
    share = f"pow(({row} + {uniform(row, 1)}) / {orders}, 0.65)"
    return f"timestamp '{FIRST_DAY}' + to_seconds(cast(floor({SECONDS} * {share}) as bigint))"


def customer(row: str) -> str:
    """SQL for the customer of order number `row`: every tenth order is a new customer's first, the others go mostly to
    recent customers and, three in four of them, to the loyal quarter.
    """
    newest = f"({row} // 10)"
    picked = f"cast(floor({newest} - {newest} * pow({uniform(row, 2)}, 2.6)) as bigint)"
    return f"""case when {row} % 10 = 0 then {newest}
        when {uniform(row, 3)} < 0.75 then {picked} - {picked} % 4 else {picked} end"""


def order_values(row: str, orders: int, ordered_at: str, customer_number: str) -> dict[str, str]:
    """SQL per column of raw.orders for order number `row`."""
    amount = f"cast(4 + 90 * pow({uniform(row, 4)}, 3) as decimal(18, 2))"
    kind = uniform(row, 5)
    has_refund = f"({kind} > 0.985 or {kind} between 0.02 and 0.04)"
    channel = f"case when {uniform(row, 6)} < 0.5 then 'web' when {uniform(row, 6)} < 0.8 then 'app' else 'store' end"
    return {
        "order_id": f"'O' || {row}",
        "customer_id": f"'C' || ({customer_number})",
        "ordered_at": ordered_at,
        "ordered_at_is_date": "false",
        "amount": amount,
        "currency": "'EUR'",
        "status": f"case when {kind} < 0.02 then 'cancelled' when {kind} < 0.04 then 'refunded' else 'paid' end",
        "refunded_amount": f"case when {kind} > 0.985 then cast({amount} / 2 as decimal(18, 2)) end",
        "refunded_at": f"case when {has_refund} then {ordered_at} + interval 9 day end",
        "refunded_at_is_date": f"case when {has_refund} then false end",
        "is_test": f"{uniform(row, 7)} < 0.001",
        "channel": channel,
        "updated_at": f"{ordered_at} + interval 1 hour",
    }


def generate(home: Home, size: Size, moving: bool = False) -> dict[str, int]:
    """Write settings.yaml and raw.duckdb of a size; returns rows per dataset. Existing files must not be there.

    moving: every other customer changes country every month.
    """
    home.root.mkdir(parents=True, exist_ok=True)
    home.settings_file.write_text(SETTINGS)
    connection = open_raw(home.raw_file)
    connection.execute("set preserve_insertion_order = true")
    try:
        _orders(connection, size)
        _customers(connection, size, moving)
        _subscriptions(connection, size)
        counts = write_ledger(connection, home, ("orders", "subscriptions", "customers"))
        connection.execute("checkpoint raw_store")
    finally:
        connection.close()
    return counts


def write_ledger(connection: duckdb.DuckDBPyConnection, home: Home, datasets: tuple[str, ...]) -> dict[str, int]:
    """One load per dataset, in this order from 1 on; returns the rows of each."""
    counts = {}
    for load, dataset in enumerate(datasets, start=1):
        row = connection.execute(f"select count(*) from raw.{dataset}").fetchone()
        counts[dataset] = int(row[0]) if row else 0
        connection.execute(
            "insert into raw.ledger (load_id, dataset, source, file_name, sha256, mapping, n_lines, n_good, n_bad, "
            "n_blank, n_new, n_changed, n_unchanged, n_stale, status, mode, started_at, finished_at) values "
            "(?, ?, ?, 'generated', ?, ?, ?, ?, 0, 0, ?, 0, 0, 0, 'loaded', 'fast', timestamp '2025-01-01', "
            "timestamp '2025-01-01')",
            [load, dataset, dataset, f"generated {dataset}", _mapping(home, dataset), *[counts[dataset]] * 3],
        )
    return counts


def _mapping(home: Home, dataset: str) -> str:
    """What the ledger says of how the rows were read; with anything else the first run wants to read them again."""
    settings = load_settings(home)
    return mapping_fingerprint(CONTRACTS[dataset], settings.read_source(dataset), settings.business.timezone)


def insert_rows(
    connection: duckdb.DuckDBPyConnection, dataset: str, values: dict[str, str], rows: str, load: int
) -> None:
    """Insert with the contract's bookkeeping columns; columns not given are null."""
    given = values | {"_load_id": str(load), "_loaded_at": "timestamp '2025-01-01'"}
    names = [name for name, _ in CONTRACTS[dataset].raw_columns if name in given]
    columns = ", ".join(quoted(name) for name in names)
    connection.execute(
        f"insert into raw.{dataset} ({columns}) select {', '.join(given[name] for name in names)} from {rows}"
    )


def _orders(connection: duckdb.DuckDBPyConnection, size: Size) -> None:
    values = order_values("i", size.orders, "moment", "number")
    values["_customer_key"] = "number + 1"
    step = size.orders // BATCHES
    for start in range(0, size.orders, step):
        rows = f"""(
            select range as i, {instant("range", size.orders)} as moment, {customer("range")} as number
            from range({start}, {start + step})
        )"""
        insert_rows(connection, "orders", values, rows, load=1)


def _customers(connection: duckdb.DuckDBPyConnection, size: Size, moving: bool) -> None:
    count = size.customers
    connection.execute(f"insert into raw.customer_keys select 'C' || range, range + 1 from range({count})")
    country = (
        f"['NL', 'DE', 'BE', 'FR', 'GB', 'US', 'SE', 'DK'][1 + cast(floor(8 * pow({uniform('c', 11)}, 2)) as int)]"
    )
    channel = (
        "['organic', 'paid_social', 'paid_search', 'referral', 'email', 'marketplace']"
        f"[1 + cast(floor(6 * {uniform('c', 12)}) as int)]"
    )
    values = {
        "customer_id": "'C' || c",
        "signed_up_at": "moment",
        "signed_up_at_is_date": "false",
        "country": country,
        "acquisition_channel": channel,
        "_customer_key": "c + 1",
    }
    rows = f"(select range as c, {instant('range * 10', size.orders)} as moment from range({count}))"
    insert_rows(connection, "customers", values, rows, load=3)
    # Three in a hundred move to another country later.
    moved = values | {
        "valid_from": f"moment + to_days(cast(30 + floor(600 * {uniform('c', 13)}) as int))",
        "valid_from_is_date": "false",
        "country": country.replace(uniform("c", 11), uniform("c", 14)),
        "acquisition_channel": "null",
    }
    insert_rows(connection, "customers", moved, f"(from {rows} where {uniform('c', 15)} < 0.03)", load=3)
    if moving:
        month = f"moment + to_months(cast(m as int)) + interval 1 second as moved_at, c * {MONTHS + 1} + m as row"
        months = f"""(
            select *, {month} from (select *, unnest(range(1, {MONTHS + 1})) as m from {rows} where c % 2 = 1)
            where moment + to_months(cast(m as int)) < timestamp '{AS_OF}'
        )"""
        moves = moved | {"valid_from": "moved_at", "country": country.replace(uniform("c", 11), uniform("row", 16))}
        insert_rows(connection, "customers", moves, months, load=3)


def _subscriptions(connection: duckdb.DuckDBPyConnection, size: Size) -> None:
    """Every fifth customer: one to eight phases of whole months, some with a gap between them; the last often open."""
    months = f"cast(1 + floor(9 * pow({uniform('(c * 16 + p)', 21)}, 2)) as bigint)"
    phases = f"""(
        with lives as (
            select range * 5 as c, {instant("range * 50", size.orders)} as moment,
                cast(1 + floor(8 * pow({uniform("range * 5", 22)}, 1.5)) as bigint) as phases
            from range({size.customers // 5})
        ),
        lengths as (
            select c, moment, phases, unnest(range(phases)) as p from lives
        ),
        placed as (
            select *, {months} as months, {uniform("(c * 16 + p)", 23)} as kind,
                {uniform("(c * 16 + p)", 24)} < 0.12 and p > 0 as pauses_before
            from lengths
        ),
        dated as (
            select *,
                moment + to_months(cast(sum(months + case when pauses_before then 2 else 0 end) over (
                    partition by c order by p) - months as int)) as started
            from placed
        )
        select *, case when p = phases - 1 and {uniform("c", 25)} < 0.55 then null
            else started + to_months(cast(months as int)) end as ended
        from dated where started < timestamp '{AS_OF}'
    )"""
    plan = f"1 + cast(floor(4 * {uniform('(c * 16 + p)', 26)}) as int)"
    values = {
        "subscription_id": "'S' || c",
        "customer_id": "'C' || c",
        "plan": f"['starter', 'plus', 'family', 'office'][{plan}]",
        "amount": f"cast([12, 24, 39, 90][{plan}] as decimal(18, 6))",
        "quantity": "1",
        "recurring_discount": "case when c % 7 = 0 then 2 else 0 end",
        "currency": "'EUR'",
        "interval": "case when c % 6 = 0 then 'quarter' else 'month' end",
        "interval_count": "1",
        "status": "case when p = 0 and kind < 0.3 then 'trialing' when p % 2 = 1 and kind < 0.1 then 'past_due' "
        "else 'active' end",
        "started_at": "started",
        "started_at_is_date": "false",
        "ended_at": "case when ended < timestamp '2025-01-01' then ended end",
        "ended_at_is_date": "case when ended < timestamp '2025-01-01' then false end",
        "end_reason": "case when ended is null or p < phases - 1 then null "
        f"when {uniform('c', 27)} < 0.2 then 'payment_failed' else 'too_expensive' end",
        "updated_at": "started",
        "_customer_key": "c + 1",
    }
    insert_rows(connection, "subscriptions", values, phases, load=2)


def write_night(home: Home, size: Size, night: int = 0) -> int:
    """Write what a night delivers into landing/orders: new orders of the day AS_OF + night, a tenth of them late over
    three months.

    Returns the number of rows; the loader takes it from there.
    """
    folder = home.root / "landing" / "orders"
    folder.mkdir(parents=True, exist_ok=True)
    count = size.night_orders
    first = size.orders + night * count
    number = f"(range + {first})"
    late = f"{uniform(number, 31)} < 0.1"
    day = AS_OF + timedelta(days=night)
    at = f"""timestamp '{day}' + to_seconds(cast(floor(80000 * {uniform(number, 32)}) as bigint))
        - case when {late} then to_days(cast(1 + floor(90 * {uniform(number, 33)}) as int)) else to_days(0) end"""
    values = order_values("i", size.orders, "moment", "number")
    columns = {name: values[name] for name in values if not name.endswith("_is_date")} | {
        "updated_at": "moment + interval 1 hour"
    }
    # One in twenty is a new customer, the others are known ones.
    who = f"""case when {uniform(number, 34)} < 0.05 then {size.customers + night * count} + range
        else cast(floor({size.customers} * (1 - pow({uniform(number, 35)}, 2.6))) as bigint) end"""
    listed = ", ".join(f"{value} as {name}" for name, value in columns.items())
    with duckdb.connect() as connection:
        connection.execute(
            f"copy (select {listed} from (select {number} as i, {at} as moment, {who} as number from range({count}))) "
            f"to '{folder / f'night_{night}.csv'}' (header)"
        )
    return count
