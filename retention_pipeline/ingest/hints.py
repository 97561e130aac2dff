"""What looks wrong about rows that are right one by one: told once, when they come. Nothing is refused for it."""

from __future__ import annotations

from typing import Any

import duckdb

from retention_pipeline.contracts import Contract
from retention_pipeline.ingest.checks import WITH_THREE_DECIMALS, WITHOUT_DECIMALS
from retention_pipeline.settings import Ids, Source

LARGE = 100
# As a spreadsheet shows a number of more than eleven digits, and writes it into a file.
SHORTENED = r"[0-9](\.[0-9]+)?[Ee]\+[0-9]{2,3}"
FEW_YEARS = 20
ROWS_FOR_SHARES, IMPLAUSIBLE_SHARE, SAMPLE = 50, 0.2, 20_000


def hints_of_rows(
    connection: duckdb.DuckDBPyConnection, contract: Contract, source: Source, *, is_first: bool
) -> list[str]:
    """Of the rows on the stage; `is_first`: nothing of the source was loaded before."""
    rows = _one(connection, "select count(*) from stage where _error is null")[0]
    if not rows:
        return []
    hints = []
    if contract.dataset == "subscriptions" and source.shape == "phases":
        (never,) = _one(
            connection,
            "select count(*) from stage where _error is null and status = 'cancelled' and ended_at > started_at",
        )
        if never:
            hints.append(
                f"{never:,} of {rows:,} phases never count: status cancelled with an end"
                " (one row per subscription as it is today: shape: snapshot)"
            )
    if contract.dataset == "subscriptions":
        hints += _surcharges(connection, rows)
    if contract.dataset == "subscriptions" and source.shape == "snapshot":
        hints += _ended_for_nothing(connection)
        hints += _stopped_since_nobody_knows(connection, rows)
    if contract.dataset == "customer_aliases":
        hints += _own_names(connection)
    if contract.dataset == "orders" and (is_first or rows >= ROWS_FOR_SHARES):
        hints += _guests_only(connection, rows)
    if is_first and not source.minor_units:
        hints += _cents(connection, contract)
    if is_first:
        hints += _early(connection, contract, rows)
        hints += _share_of_one(connection, contract, rows)
    return hints


def hints_before_loading(connection: duckdb.DuckDBPyConnection, contract: Contract, source: Source) -> list[str]:
    """Of the rows on the stage, what a run tells once they are loaded and counted."""
    hints = []
    if "customer_id" in contract.names:
        hints += _shortened(connection, "stage where _error is null")
    if "customer_id" in contract.names and not (source.ids or Ids()).lower:
        number, example = _one(
            connection,
            """
            select count(*), min(example) from (
                select max(customer_id) as example from stage where _error is null and customer_id is not null
                group by lower(customer_id) having count(distinct customer_id) > 1
            )
            """,
        )
        hints += [_differ_by_case(number, example)] if number else []
    if contract.dataset == "orders" and source.refund_of is None and "refund_of" not in source.columns:
        rows, negative = _one(
            connection, "select count(*), count(*) filter (where amount < 0) from stage where _error is null"
        )
        if negative:
            hints.append(
                f"{negative:,} of {rows:,} orders are negative and do not count: refunds?"
                " (refund_of: the column that names the order)"
            )
    return hints


def hints_of_ids(connection: duckdb.DuckDBPyConnection, source: Source, *, known_keys: int) -> list[str]:
    """Of customers that are new since there were `known_keys`."""
    hints = _shortened(connection, f"raw.customer_keys where customer_key > {known_keys}")
    return hints if (source.ids or Ids()).lower else hints + _of_case(connection, known_keys)


def _shortened(connection: duckdb.DuckDBPyConnection, ids: str) -> list[str]:
    """Of customers' ids: long numbers of which a spreadsheet has left but the first digits."""
    number, example = _one(
        connection,
        f"select count(distinct customer_id), min(customer_id) from {ids}"
        f" and contains(customer_id, '+') and regexp_full_match(customer_id, '{SHORTENED}')",
    )
    if not number:
        return []
    are = "1 customer's id is a number" if number == 1 else f"{number:,} customers' ids are numbers"
    return [
        f"{are} that a spreadsheet has shortened, such as {example}: other customers may have become the same"
        " (export the file again, and do not save it from a spreadsheet)"
    ]


def _of_case(connection: duckdb.DuckDBPyConnection, known_keys: int) -> list[str]:
    """Of customers that are new, beside each other and beside those that were known."""
    (mixed,) = _one(
        connection,
        "select count(*) from raw.customer_keys"
        f" where customer_key > {known_keys} and customer_id <> lower(customer_id)",
    )
    if not mixed:
        return []
    found = _one(
        connection,
        f"""
        select count(distinct new.customer_id), min(new.customer_id), min(known.customer_id)
        from raw.customer_keys as new join raw.customer_keys as known
            on lower(new.customer_id) = lower(known.customer_id) and new.customer_key > known.customer_key
        where new.customer_key > {known_keys}
        """,
    )
    if not found[0]:
        return []
    return [_differ_by_case(found[0], found[1])]


def _differ_by_case(number: int, example: str) -> str:
    ids = "1 id differs" if number == 1 else f"{number:,} ids differ"
    return f"{ids} from another by letters' case only, such as {example} (ids: {{lower: true}} makes them one)"


def known_keys(connection: duckdb.DuckDBPyConnection) -> int:
    """The greatest key of a customer that was ever given."""
    return int(_one(connection, "select coalesce(max(customer_key), 0) from raw.customer_keys")[0])


def _own_names(connection: duckdb.DuckDBPyConnection) -> list[str]:
    number, example = _one(
        connection,
        "select count(*), min(alias_id) from stage where _error is null and alias_id = customer_id",
    )
    if not number:
        return []
    are = "1 row makes" if number == 1 else f"{number:,} rows make"
    return [f"{are} an id an alias of itself, such as {example}: ignored"]


def _cents(connection: duckdb.DuckDBPyConnection, contract: Contract) -> list[str]:
    if "amount" not in contract.names or not contract.column("amount").is_money:
        return []
    other = ", ".join(f"'{code}'" for code in WITHOUT_DECIMALS + WITH_THREE_DECIMALS)
    those = f"_error is null and amount <> 0 and coalesce(currency, '') not in ({other})"
    if connection.execute(f"from stage select 1 where amount <> trunc(amount) and {those} limit 1").fetchall():
        return []
    number, least = _one(connection, f"select count(*), min(abs(amount)) from stage where {those}")
    if number < 2 or least < LARGE:
        return []
    return [f"all {number:,} amounts are whole and at least {least:,.0f}: are they in cents? (minor_units: true)"]


def _early(connection: duckdb.DuckDBPyConnection, contract: Contract, rows: int) -> list[str]:
    fact = next((column.name for column in contract.columns if column.kind == "instant" and column.required), None)
    if fact is None:
        return []
    usual = f"(select median({fact}) from stage where _error is null and rowid % {_every(rows)} = 0)"
    first, middle = _one(connection, f"select min({fact}), {usual} from stage where _error is null")
    if middle is None or (middle - first).days <= FEW_YEARS * 365:
        return []
    (number,) = _one(
        connection,
        f"""
        select count(*) from stage
        where _error is null and {fact} < timestamp '{middle}' - interval {FEW_YEARS} years
        """,
    )
    if not number or number > rows / 10:
        return []
    return [f"{number:,} of {rows:,} rows lie decades before the others ({fact} {first:%Y-%m-%d}): are these dates?"]


def _surcharges(connection: duckdb.DuckDBPyConnection, rows: int) -> list[str]:
    """Where discounts are written with a minus they would be added to what is paid."""
    (negative,) = _one(connection, "select count(*) from stage where _error is null and recurring_discount < 0")
    if not negative:
        return []
    have = "1 phase has" if negative == 1 else f"{negative:,} phases have"
    return [
        f"{have} a negative recurring_discount, of {rows:,}: more is paid than amount × quantity. Are discounts"
        " written with a minus? (columns: recurring_discount: {expression: -…})"
    ]


def _ended_for_nothing(connection: duckdb.DuckDBPyConnection) -> list[str]:
    """Of a snapshot: most that have ended cost nothing, and most that run do not, as where a system sets what is paid
    to 0 when somebody leaves."""
    ended, free_ended, free, rows = _one(
        connection,
        """
        select count(ended_at), count(ended_at) filter (where amount = 0), count(*) filter (where amount = 0), count(*)
        from stage where _error is null
        """,
    )
    if free_ended < 2 or 2 * free_ended <= ended or 2 * (free - free_ended) >= rows - ended:
        return []
    return [
        f"{free_ended:,} of {ended:,} subscriptions that have ended have amount 0, unlike those that run: they never"
        " count, so nobody is lost. Is it set to 0 when one ends? Then take what was paid until then"
    ]


def _stopped_since_nobody_knows(connection: duckdb.DuckDBPyConnection, rows: int) -> list[str]:
    """Of a snapshot: what is paused or unpaid today, and has no day from which on it is."""
    (stopped,) = _one(
        connection,
        "select count(*) from stage where _error is null and amount > 0 and status in ('paused', 'unpaid')",
    )
    if not stopped:
        return []
    are = "1 subscription is" if stopped == 1 else f"{stopped:,} subscriptions are"
    return [
        f"{are} paused or unpaid today, of {rows:,}: since when is not told, so the time before, which was paid, does"
        " not count either (a source with phases has it)"
    ]


def _guests_only(connection: duckdb.DuckDBPyConnection, rows: int) -> list[str]:
    (known,) = _one(connection, "select count(customer_id) from stage where _error is null")
    if known or rows == 1:
        return []
    return [f"none of the {rows:,} orders has a customer_id, all are of guests: is it mapped, and is it in the file?"]


def _share_of_one(connection: duckdb.DuckDBPyConnection, contract: Contract, rows: int) -> list[str]:
    if "customer_id" in contract.key or "customer_id" not in contract.names or rows < ROWS_FOR_SHARES:
        return []
    customer, number, customers, looked_at = _one(
        connection,
        f"""
        select max_by(customer_id, struct_pack(number, customer_id)) filter (where customer_id is not null),
            max(number) filter (where customer_id is not null), count(customer_id), sum(number)
        from (
            select customer_id, count(*) as number from stage
            where _error is null and rowid % {_every(rows)} = 0
            group by customer_id
        )
        """,
    )
    if customers < 10 or number < IMPLAUSIBLE_SHARE * looked_at:
        return []
    share = f"{number:,} of {rows:,} rows" if _every(rows) == 1 else f"about {number / looked_at:.0%} of the rows"
    return [f"customer_id {customer} has {share}: is it a customer? (ids: {{null_values: [...]}})"]


def _every(rows: int) -> int:
    """Of so many rows one is looked at, where a share is asked for."""
    return max(rows // SAMPLE, 1)


def _one(connection: duckdb.DuckDBPyConnection, question: str) -> tuple[Any, ...]:
    [row] = connection.execute(question).fetchall()
    return row
