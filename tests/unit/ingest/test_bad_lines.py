"""Every kind of bad line is refused with its reason, line and bytes, and costs no good row beside it."""

from __future__ import annotations

import pytest
from support.delivering import Company, order, orders_csv

GOOD_BEFORE, GOOD_AFTER = order("before"), order("after")

BAD_ORDERS = {
    "wrong type of amount": (order("x", "ten"), "amount: 'ten' is not a number"),
    "decimal comma": (order("x", '"10,50"'), "amount: '10,50' is not a number"),
    "thousands": (order("x", '"1,234.56"'), "amount: '1,234.56' is not a number"),
    "more decimals than money has": (order("x", "10.555"), "amount: '10.555' is not a number"),
    "exponent": (order("x", "1e9"), "amount: '1e9' is not a number"),
    "too large": (order("x", "12345678901234567.00"), "is not a number"),
    "no amount": (order("x", ""), "amount is missing"),
    "no order id": (order(""), "order_id is missing"),
    "blank order id": (order("   "), "order_id is missing"),
    "too few columns": ("x,anna,2024-03-01,10.00,EUR", "too few values"),
    "too many columns": (order("x", "10.00", "more"), "too many values"),
    "broken quote": ('"x,anna,2024-03-01T12:00:00Z,10.00,EUR,paid', "quote is not closed"),
    "text after a quote": ('"x"y,anna,2024-03-01T12:00:00Z,10.00,EUR,paid', "text follows a closing quote"),
    "no time zone": (order("x", at="2024-03-01T12:00:00"), "no time zone, and the settings of the source give none"),
    "no such day": (order("x", at="2024-02-30"), "ordered_at: '2024-02-30' is not a timestamp or date"),
    "no such time": (order("x", at="2024-02-01T24:00:00Z"), "is not a timestamp or date"),
    "other order of day and month": (order("x", at="01/02/2024"), "is not a timestamp or date"),
    "infinity": (order("x", at="infinity"), "is not a timestamp or date"),
    "year 0001": (order("x", at="0001-01-01"), "is a placeholder and no date"),
    "year 9999": (order("x", at="9999-12-31T23:59:59Z"), "is a placeholder and no date"),
    "unknown currency": (order("x").replace("EUR", "euros"), "currency: 'EUROS' is not an ISO 4217"),
    "unknown status": (order("x").replace("paid", "lost"), "status: 'lost' is not one of: paid"),
}


@pytest.mark.parametrize(("line", "reason"), BAD_ORDERS.values(), ids=BAD_ORDERS.keys())
def test_a_bad_order_is_refused_with_reason_line_and_bytes(company: Company, line: str, reason: str) -> None:
    load = company.load("orders", orders_csv(GOOD_BEFORE, line, GOOD_AFTER))
    assert (load.good, load.bad) == (2, 1)
    assert company.query("select order_id from raw.orders order by 1") == [("after",), ("before",)]
    [(number, position, given, raw)] = company.query("select line, byte_position, reason, raw from raw.quarantine")
    assert number == 3
    assert position == len(orders_csv(GOOD_BEFORE))
    assert reason.replace("give none", "give no timezone") in given
    assert raw == line.encode()


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"caf\xe9,anna,2024-03-01,10.00,EUR,paid", "not valid UTF-8"),
        (b"x\x00y,anna,2024-03-01,10.00,EUR,paid", "NUL byte"),
    ],
)
def test_a_line_with_bytes_that_are_no_text_is_refused(company: Company, line: bytes, reason: str) -> None:
    content = orders_csv(GOOD_BEFORE) + line + b"\n" + GOOD_AFTER.encode()
    load = company.load("orders", content)
    assert (load.good, load.bad) == (2, 1)
    [(number, given, raw)] = company.query("select line, reason, raw from raw.quarantine")
    assert (number, raw) == (3, line)
    assert reason in given


def test_several_problems_of_a_row_are_all_named(company: Company) -> None:
    company.load("orders", orders_csv("x,anna,yesterday,ten,EUR,lost"))
    [(_, reason)] = company.reasons()
    assert all(word in reason for word in ("ordered_at: 'yesterday'", "amount: 'ten'", "status: 'lost'"))


def test_a_negative_amount_is_loaded_for_it_is_the_business_that_decides(company: Company) -> None:
    assert company.load("orders", orders_csv(order("x", "-10.00"))).good == 1


@pytest.mark.parametrize(
    ("refunded", "reason"), [("10.01", "greater than amount"), ("-1.00", "refunded_amount is negative")]
)
def test_a_refund_that_cannot_be_is_refused(company: Company, refunded: str, reason: str) -> None:
    header = "order_id,customer_id,ordered_at,amount,currency,status,refunded_amount"
    company.load("orders", orders_csv(order("good", "10.00", "10.00"), order("x", "10.00", refunded), header=header))
    [(line, given)] = company.reasons()
    assert line == 3
    assert reason in given


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"ended_at": "2024-02-29"}, "ended_at is before started_at"),
        ({"amount": "-1"}, "recurring revenue is negative"),
        ({"quantity": "0"}, "quantity is not positive"),
        ({"quantity": "1.5"}, "quantity: '1.5' is not a whole number"),
        ({"recurring_discount": "10.01"}, "recurring revenue is negative"),
        ({"interval": "fortnight"}, "interval: 'fortnight' is not one of"),
        ({"plan": ""}, "plan is missing"),
        ({"customer_id": ""}, "customer_id is missing"),
    ],
)
def test_a_phase_that_cannot_be_is_refused(company: Company, values: dict[str, str], reason: str) -> None:
    phase = {
        "subscription_id": "s1", "customer_id": "anna", "plan": "pro", "amount": "10", "quantity": "1",
        "recurring_discount": "0", "currency": "EUR", "interval": "month", "status": "active",
        "started_at": "2024-03-01", "ended_at": "2024-03-01",
    }  # fmt: skip
    broken = {**phase, "subscription_id": "s2", **values}
    content = "\n".join([",".join(phase), ",".join(phase.values()), ",".join(broken.values()), ""])
    load = company.load("subscriptions", content.encode())
    assert (load.good, load.bad) == (1, 1)
    [(line, given)] = company.reasons()
    assert line == 3
    assert reason in given


def test_an_end_later_on_the_day_of_a_bare_start_date_is_not_before_it(company: Company) -> None:
    header = "subscription_id,customer_id,plan,amount,currency,interval,status,started_at,ended_at"
    row = "s1,anna,pro,10,EUR,month,active,2024-03-01,2024-02-29T23:59:01Z"  # 00:59 on 1 March in Amsterdam
    earlier = row.replace("s1", "s2").replace("T23:59:01Z", "T22:59:01Z")
    load = company.load("subscriptions", f"{header}\n{row}\n{earlier}\n".encode())
    assert (load.good, load.bad) == (1, 1)


def test_overlapping_phases_of_a_subscription_are_both_loaded(company: Company) -> None:
    header = "subscription_id,customer_id,plan,amount,currency,interval,status,started_at,ended_at"
    rows = [f"s1,anna,pro,10,EUR,month,active,2024-0{month}-01,2024-06-01" for month in (1, 2)]
    assert company.load("subscriptions", "\n".join([header, *rows]).encode()).new == 2


def test_a_rate_that_is_not_positive_is_refused(company: Company) -> None:
    load = company.load("fx_rates", b"date,currency,rate_to_reporting\n2024-01-01,USD,0\n2024-01-01,GBP,1.15\n")
    assert (load.good, load.bad) == (1, 1)


def test_more_bad_rows_than_allowed_roll_the_load_back_and_fail_the_run_after_the_others(company: Company) -> None:
    company.max_quarantine_rate = 0.05
    company.deliver("orders", "a.csv", orders_csv(order("x", "ten"), *(order(str(n)) for n in range(9))))
    company.deliver("orders", "b.csv", orders_csv(order("good")))
    company.deliver("fx_rates", "a.csv", b"date,currency,rate_to_reporting\n2024-01-01,USD,1.1\n")
    error = company.run_and_fail()
    assert "landing/orders/a.csv: 1 of 10 rows refused (10.0%, allowed 5.0%)" in str(error)
    assert "line 2: amount: 'ten'" in str(error)
    assert error.result is not None
    assert [load.status for load in error.result.loads] == ["too_many_bad", "loaded", "loaded"]
    assert company.query("select order_id from raw.orders") == [("good",)]
    assert company.query("select count(*) from raw.fx_rates") == [(1,)]
    assert company.reasons() == []

    company.run_and_fail()  # it stays an error for as long as the file lies there
    company.max_quarantine_rate = 0.1
    assert next(load for load in company.run().loads if load.file_name.endswith("a.csv")).good == 9
    assert company.query("select count(*) from raw.orders") == [(10,)]


def test_among_many_lines_every_bad_one_is_found_where_it_stands(company: Company) -> None:
    lines, bad = [], {}
    for number in range(2, 300_002):
        if number % 20_011 == 0:
            lines.append(f"x{number},anna,2024-03-01,10")
            bad[number] = "too few values for the header"
        elif number % 30_011 == 0:
            lines.append(order(f"x{number}", f"{number} euros"))
            bad[number] = f"amount: '{number} euros' is not a number"
        elif number % 40_009 == 0:
            lines.append("")
        else:
            lines.append(f'x{number},"anna, b",2024-03-01,10,EUR,paid')
    load = company.load("orders", orders_csv(*lines))
    assert (load.bad, load.good) == (len(bad), 300_000 - len(bad) - lines.count(""))
    found = dict(company.reasons())
    assert found.keys() == bad.keys()
    assert all(found[line].startswith(reason) for line, reason in bad.items())
    assert company.query("select distinct mode from raw.ledger") == [("fast",)]


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
@pytest.mark.parametrize("line", ["x", "   ", "x,anna,2024-03-01,10.00,EUR,paid,more", "caf\xe9,anna"])
@pytest.mark.parametrize("blank_lines", [0, 2])
def test_a_line_that_is_no_row_is_found_whatever_ends_the_lines_and_goes_before(
    company: Company, line: str, line_end: str, blank_lines: int
) -> None:
    lines = [orders_csv().decode().strip(), GOOD_BEFORE, *[""] * blank_lines, line, GOOD_AFTER, order("y", "ten"), ""]
    company.load("orders", line_end.join(lines).encode("latin-1"))
    found = company.query("select line, raw from raw.quarantine order by line")
    number = 3 + blank_lines
    assert found == [(number, line.encode("latin-1")), (number + 2, order("y", "ten").encode())]
