"""What a run would make of the newest file, told before the run."""

from __future__ import annotations

import gzip
import json
import re
from dataclasses import replace
from typing import Any

import pytest
import yaml
from support.delivering import Company, order, orders_csv

from retention_pipeline.cli.check import CheckFailed, check_home, check_sources
from retention_pipeline.ingest.beginnings import LINES
from retention_pipeline.ingest.landing import delivered_files, newest_of
from retention_pipeline.ingest.preview import Preview, preview_file, preview_joined
from retention_pipeline.settings import parse_settings


def preview(company: Company) -> Preview:
    settings = parse_settings({"business": company.business, "sources": company.sources})
    [file] = delivered_files(company.home, settings.sources["orders"])  # type: ignore[arg-type]
    return preview_file(settings, "orders", file, company.home)


def test_rows_are_shown_as_they_would_be_loaded(company: Company) -> None:
    company.source("orders", columns={"order_id": "No"}, values={"status": {"paid": ["done"]}})
    row = order("17").replace("paid", "done") + ",x"
    company.deliver("orders", "a.csv", orders_csv(row, header="No,customer_id,ordered_at,amount,currency,status,shop"))
    found = preview(company)
    assert (found.would_load, found.good, found.bad, found.unused) == (True, 1, 0, ["shop"])
    assert found.rows == [
        {"order_id": "17", "customer_id": "anna", "ordered_at": "2024-03-01 12:00:00", "amount": "10.00",
         "currency": "EUR", "status": "paid"}
    ]  # fmt: skip
    assert not company.home.raw_file.exists() and not company.home.archive.exists()


def test_shares_of_refused_rows_are_told_with_their_reasons(company: Company) -> None:
    company.deliver("orders", "a.csv", orders_csv(order("a"), order("b", "x"), order("c", "x")))
    found = preview(company)
    assert not found.would_load
    assert (found.good, found.bad) == (1, 2)
    assert found.reasons == [("amount: 'x' is not a number with at most 2 decimals", 2)]


@pytest.mark.parametrize(
    ("content", "hints"),
    [
        (
            "Order;Customer;Date;Total\n1;c1;2025-01-05;10,00\n",
            [
                "the delimiter looks like ';' (delimiter: ';')",
                "numbers look as if they had a decimal comma (decimal: ',')",
            ],
        ),
        (
            "Orders report,,,,,\norder_id,customer_id,ordered_at,amount,currency,status\nt1,k1,2025-01-05,1,EUR,paid\n",
            ["line 2 looks like the header (skip_lines: 1)"],
        ),
        ("No\tName\tDate\n1\tc1\t2025-01-05\n", ['the delimiter looks like a tab (delimiter: "\\t")']),
        (
            'Report;;\nMade on 3 March;;\nNo;Customer;Note;State\n="1";k1;"a;b";paid\n',
            ["the delimiter looks like ';' (delimiter: ';')", "line 3 looks like the header (skip_lines: 2)"],
        ),
    ],
)
def test_a_file_that_would_be_refused_is_told_with_what_it_looks_like(
    company: Company, content: str, hints: list[str]
) -> None:
    company.deliver("orders", "a.csv", content.encode())
    found = preview(company)
    assert not found.would_load and "required columns are missing" in (found.error or "")
    assert found.hints == hints


def test_only_the_beginning_of_a_file_is_read(company: Company) -> None:
    rows = [order(f"o{number}", "10.00", '"two\nlines"') for number in range(2 * LINES)]
    content = orders_csv(*rows, header="order_id,customer_id,ordered_at,amount,currency,status,channel")
    company.deliver("orders", "a.csv.gz", gzip.compress(content))
    found = preview(company)
    assert found.bad == 0 and LINES / 2 - 2 <= found.good <= LINES


def test_amounts_that_may_be_cents_are_asked_about(company: Company) -> None:
    company.deliver("orders", "a.csv", orders_csv(order("a", "2990"), order("b", "49900")))
    assert preview(company).hints == [
        "all 2 amounts are whole and at least 2,990: are they in cents? (minor_units: true)"
    ]


def test_check_is_green_where_a_run_would_load(company: Company) -> None:
    company.deliver("orders", "a.csv", orders_csv(order("a")))
    company.source("fx_rates", path="landing/none/*.csv")
    settings = parse_settings({"business": company.business, "sources": company.sources})
    [(_, is_good, text), (_, is_red, _)] = check_sources(company.home, settings)
    assert is_good and "its first row would load" in text and "order_id a, customer_id anna" in text
    assert not is_red
    company.deliver("orders", "b.csv", b"order_id\n1\n")
    assert not check_sources(company.home, settings)[0][1]


def test_missing_columns_are_named_with_those_that_they_may_be(company: Company) -> None:
    company.deliver(
        "orders", "a.csv", b"Order ID,customer_id,Ordered At,Total,currency,status\n1,k,2024-01-05,1,EUR,paid\n"
    )
    found = preview(company)
    assert found.missing == ["order_id", "ordered_at", "amount"]
    assert found.there == ["Order ID", "customer_id", "Ordered At", "Total", "currency", "status"]
    assert found.hints == [
        "say under columns which of its columns order_id, ordered_at, amount are,"
        " perhaps {order_id: Order ID, ordered_at: Ordered At}"
    ]


def test_a_column_that_has_its_use_is_not_offered_for_another(company: Company) -> None:
    company.source("orders", columns={"customer_id": "Klantnummer"})
    company.deliver("orders", "a.csv", b"order_id,date_created,customer_id,amount,currency,status\n1,x,k,1,EUR,paid\n")
    assert preview(company).hints == [
        "the file has customer_id itself: take it out of columns",
        "say under columns which of its columns ordered_at is",
    ]


def test_an_object_of_which_a_part_is_used_is_not_told_as_unused(company: Company) -> None:
    company.source("orders", columns={"order_id": "order.id", "ordered_at": "day", "customer_id": "buyer"})
    row = (
        '{"order": {"id": "a", "note": 1}, "day": "2024-03-01", "buyer": "anna", "amount": 1, "currency": "EUR",'
        ' "status": "paid", "shop": {"id": 2}}\n'
    )
    company.deliver("orders", "a.jsonl", row.encode())
    found = preview(company)
    assert (found.would_load, found.columns["order_id"], found.unused) == (True, "order.id", ["shop"])


def test_where_each_column_comes_from_is_told(company: Company) -> None:
    company.source("orders", columns={"order_id": "No", "currency": {"constant": "EUR"}})
    company.deliver("orders", "a.csv", b"No,ordered_at,amount,status\n1,2024-01-05,1,paid\n")
    columns = preview(company).columns
    assert {name: columns[name] for name in ("order_id", "currency", "status", "channel")} == {
        "order_id": "No", "currency": "always EUR", "status": "status", "channel": None,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("values", "hint"),
    [
        (("31/01/2024", "1.50"), "{ordered_at: {column: ordered_at, format: '%d/%m/%Y'}}; the day comes first"),
        (("01/31/24 10:00", "1.50"), "{ordered_at: {column: ordered_at, format: '%m/%d/%y %H:%M'}}; the month comes"),
        (("1.2.2024", "1.50"), "format: '%d.%m.%Y'}} if the day comes first, which no value tells"),
        (("01/31/2024 1:05:09 PM", "1.50"), "format: '%m/%d/%Y %I:%M:%S %p'}}; the month comes first"),
        (("1714551753", "1.50"), "Unix timestamps: columns: {ordered_at: {column: ordered_at, format: epoch}}"),
        (("20240131", "1.50"), "days without dashes: columns: {ordered_at: {column: ordered_at, format: '%Y%m%d'}}"),
        (("2024-01-31 9:56", "1.50"), "times: columns: {ordered_at: {column: ordered_at, format: '%Y-%m-%d %H:%M'}}"),
        (("05 Jan 2025", "1.50"), "times: columns: {ordered_at: {column: ordered_at, format: '%d %b %Y'}}"),
        (("5-mar-2025 9:05", "1.50"), "format: '%d-%b-%Y %H:%M'}}"),
        (("2024-01-31 09:56", "1.50"), "say in which zone its times are"),
        (("2024-01-31", '"1,50"'), "amounts have a decimal comma (decimal: ',')"),
        (("2024-01-31", '"1,234.50"'), "amounts are written for people"),
        (("2024-01-31", "1.50", "done"), "say what these are: values: {status: {…: [done]}}"),
    ],
)
def test_what_helps_refused_rows_is_told_once(company: Company, values: tuple[str, ...], hint: str) -> None:
    at, amount, status = (*values, "paid")[:3]
    rows = [f"{number},anna,{at},{amount},EUR,{status}" for number in range(5)]
    company.deliver("orders", "a.csv", orders_csv(*rows))
    found = preview(company)
    assert not found.would_load
    assert len(found.reasons) == 1 and found.reasons[0][1] == 5
    [told] = found.hints
    assert hint in told
    setting = re.search(r"columns: (\{.*\}\})", told)
    if setting:  # it reads what it was told of
        company.source("orders", timezone="UTC", columns=yaml.safe_load(setting[1]))
        assert preview(company).good == 5


def test_reasons_of_one_kind_are_one_and_few_kinds_are_told(company: Company) -> None:
    header = "order_id,customer_id,ordered_at,amount,currency,status,refunded_amount"
    bad = [order(f"a{number}", f"x{number}") for number in range(240)]
    bad += [order("b").replace("EUR", "€"), order("c").replace("paid", "done"), order("", "1")]
    rows = [f"{row}," for row in bad] + [order("d", "1.00", "z")]
    company.deliver("orders", "a.csv", orders_csv(*rows, header=header))
    found = preview(company)
    assert [number for _, number in found.reasons] == [240, 1, 1]
    assert (
        found.reasons[0][0]
        == "amount: 'x0' is not a number with at most 2 decimals (it has a currency sign or letters)"
    )
    assert found.further_reasons == 2


@pytest.mark.parametrize(
    ("content", "hint"),
    [
        (
            orders_csv(order("é")).decode().encode("windows-1252"),
            "(encoding: windows-1252 reads it)",
        ),
        (orders_csv(order("a")).decode().encode("utf-16"), "UTF-16 (encoding: utf-16)"),
        (b"PK\x03\x04" + bytes(200), "it is a zip file: unpack it"),
    ],
)
def test_a_file_that_is_no_text_is_told_what_it_is(company: Company, content: bytes, hint: str) -> None:
    company.deliver("orders", "a.csv", content)
    found = preview(company)
    assert not found.would_load and hint in " ".join([found.error or "", *found.hints, *dict(found.reasons)])


def test_line_items_would_be_refused_as_by_a_run(company: Company) -> None:
    company.deliver("orders", "a.csv", orders_csv(order("a", "1.00"), order("a", "2.00"), order("b")))
    found = preview(company)
    assert not found.would_load
    assert "1 key stands on several rows of other content, such as order_id a" in (found.error or "")
    assert found.hints[-1] == (
        "1 of 3 rows repeats the order_id of another: line items? rows: {one_per: order_id, take: first} makes one of"
        " them, sum: [...] adds up"
    )
    assert company.load("orders", orders_csv(order("a", "1.00"), order("a", "2.00"))).status == "refused"


def test_a_known_export_is_named_until_its_query_reads_it(company: Company) -> None:
    export = b"order_id,order_date,order_total,order_currency\n1,2024-01-05,1,EUR\n"
    company.deliver("orders", "a.csv", export)
    found = preview(company)
    assert found.template == "woocommerce"
    assert found.hints[-1].startswith(
        "these are the columns of woocommerce: retention init NEW_HOME --from woocommerce"
    )
    company.source("orders", query="select order_id, order_date as ordered_at, order_total as amount,"
                   " order_currency as currency, 'paid' as status from rows")  # fmt: skip
    found = preview(company)
    assert found.would_load and found.template == "woocommerce" and found.hints == []


def test_all_of_a_preview_can_be_had_as_json(
    company: Company, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    company.deliver("orders", "a.csv", orders_csv(order("a"), order("b", "x")))
    settings = {"business": company.business, "sources": company.sources}
    company.home.settings_file.write_text(yaml.safe_dump(settings))
    with pytest.raises(SystemExit) as ended:
        check_home(company.home.root, as_json=True)
    assert ended.value.code == 1
    findings = {one["check"]: one for one in json.loads(capsys.readouterr().out)}
    told = findings["source orders"]["preview"]
    assert (told["would_load"], told["good"], told["bad"], told["missing"]) == (False, 1, 1, [])
    assert told["reasons"] == [{"example": "amount: 'x' is not a number with at most 2 decimals", "rows": 1}]
    assert told["columns"]["order_id"] == "order_id" and told["rows"][0]["order_id"] == "a"


def test_what_is_wrong_is_told_once(company: Company, capsys: pytest.CaptureFixture[str]) -> None:
    company.deliver("orders", "a.csv", orders_csv(order("b", "x")))
    company.home.settings_file.write_text(yaml.safe_dump({"business": company.business, "sources": company.sources}))
    with pytest.raises(CheckFailed) as failed:
        check_home(company.home.root, as_json=False)
    assert str(failed.value) == "1 thing to fix, listed above: source orders"
    shown = capsys.readouterr().out
    assert shown.count("amount: 'x' is not a number") == 1
    assert "that is more than 5.0% (max_quarantine_rate), so all of it would be left out" in shown


@pytest.mark.parametrize(
    ("settings", "content"),
    [
        ({"skip_lines": 1, "where": "status <> 'draft'"}, b"Orders report\n" + orders_csv(order("a"), order("b"))),
        ({"encoding": "utf-16"}, orders_csv(order("a"), order("b")).decode().encode("utf-16")),
    ],
)
def test_a_file_is_looked_at_as_the_settings_say_that_it_is_read(
    company: Company, settings: dict[str, Any], content: bytes
) -> None:
    company.source("orders", **settings)
    company.deliver("orders", "a.csv", content)
    found = preview(company)
    assert (found.would_load, found.good, found.hints) == (True, 2, [])


def test_a_column_that_a_query_lacks_is_named_and_nothing_else_is_guessed(company: Company) -> None:
    query = "select rows.*, rows.shop as channel from rows"
    company.source("orders", query=query)
    company.deliver("orders", "a.csv", b'order_id,note,amount\n1,"a, b","1,000.00"\n')
    found = preview(company)
    assert found.error == (
        "the query of the source fails: there is no column shop; the file has: order_id, note, amount"
    )
    assert found.hints == []


def test_few_lines_in_another_encoding_are_told_of_though_the_file_would_load(company: Company) -> None:
    rows = [order(f"o{number}") for number in range(50)] + [order("é")]
    company.deliver("orders", "a.csv", orders_csv(*rows).decode().encode("windows-1252"))
    found = preview(company)
    assert (found.would_load, found.bad) == (True, 1)
    told = [reason for reason, _ in found.reasons] + found.hints
    assert told == ["the line is not valid UTF-8 (encoding: windows-1252 reads it)"]


def test_a_form_that_does_not_fit_is_told_with_the_one_that_does(company: Company) -> None:
    company.source("orders", columns={"ordered_at": {"column": "ordered_at", "format": "%d/%m/%Y"}})
    company.deliver("orders", "a.csv", orders_csv(order("a", at="01/31/2024")))
    found = preview(company)
    assert found.hints == ["times: columns: {ordered_at: {column: …, format: '%m/%d/%Y'}}; the month comes first"]


@pytest.mark.parametrize(
    ("at", "hints"),
    [
        ("31/02/2024 10:00", []),
        (
            "28/02/2024",
            ["times: columns: {ordered_at: {column: …, format: ['%d/%m/%Y %H:%M', '%d/%m/%Y']}}; the day comes first"],
        ),
    ],
)
def test_a_time_beside_the_form_of_the_others_is_told_so(company: Company, at: str, hints: list[str]) -> None:
    columns = {"ordered_at": {"column": "ordered_at", "format": "%d/%m/%Y %H:%M"}}
    company.source("orders", columns=columns, timezone="UTC")
    company.deliver("orders", "a.csv", orders_csv(order("a", at="28/02/2024 10:00"), order("b", at=at)))
    found = preview(company)
    assert [reason for reason, _ in found.reasons] == [f"ordered_at: '{at}' is not a time of the form %d/%m/%Y %H:%M"]
    assert found.hints == hints


DUTCH = """Besteloverzicht;;;;
Bestelnr;Klantnr;Datum;Regeltotaal;Status
1;K1;05-01-2025 10:12;€ 12,50;Betaald
1;K1;05-01-2025 10:12;€ 1.009,00;Betaald
2;K2;17-01-2025 14:05;€ 20,00;Betaald
2;K2;10-03-2025 10:00;€ -5,00;Terugbetaald
Totaal;;;€ 1.036,50;
"""


def test_check_leads_through_an_export_with_line_items_refunds_and_totals(company: Company) -> None:
    company.deliver("orders", "a.csv", DUTCH.encode("cp1252"))
    company.source("orders")
    settings = company.sources["orders"]
    says = "\n".join(preview(company).hints)
    assert all(part in says for part in ("encoding: windows-1252", "delimiter: ';'", "skip_lines: 1"))
    names = {"order_id": "Bestelnr", "customer_id": "Klantnr", "ordered_at": "Datum", "amount": "Regeltotaal"}
    settings |= {"encoding": "windows-1252", "delimiter": ";", "skip_lines": 1}
    settings["columns"] = columns = {**names, "status": "Status", "currency": {"constant": "EUR"}}
    assert preview(company).hints == [
        "amounts are written for people: columns: {amount: {expression: 'number(\"Regeltotaal\")'}} reads them",
        "times: columns: {ordered_at: {column: Datum, format: '%d-%m-%Y %H:%M'}}; the day comes first;"
        " and in which zone they are (timezone: …)",
        "say what these are: values: {status: {…: [betaald, terugbetaald]}}",
        "2 of 5 rows repeat the order_id of another: line items? rows: {one_per: Bestelnr, take: first} makes one of"
        " them, sum: [...] adds up",
    ]
    columns["amount"] = {"expression": 'number("Regeltotaal")'}
    columns["ordered_at"] = {"column": "Datum", "format": "%d-%m-%Y %H:%M"}
    settings |= {"timezone": "Europe/Amsterdam", "rows": {"one_per": "Bestelnr", "sum": ["Regeltotaal"]}}
    settings["values"] = {"status": {"paid": ["betaald"], "refunded": ["terugbetaald"]}}
    totals, *differing, refunds = preview(company).hints
    assert totals == "1 line has no Status, as totals have none? (where: '\"Status\" is not null' leaves it out)"
    assert [hint.split(" among")[0] for hint in differing] == ["Datum differs", "Status differs"]
    assert refunds == (
        "1 line is negative and added up with the others: refunds? (rows: {one_per: [Bestelnr, Status], …} and"
        " refund_of: Bestelnr book them on their own day)"
    )
    settings |= {"where": '"Status" is not null', "refund_of": "Bestelnr"}
    settings["rows"]["one_per"] = ["Bestelnr", "Status"]
    found = preview(company)
    assert (found.would_load, found.good, found.bad, found.hints) == (True, 3, 0, [])
    assert [row["amount"] for row in found.rows] == ["1021.50", "20.00", "-5.00"]


def test_a_quote_within_a_value_is_told_with_what_reads_it(company: Company) -> None:
    company.deliver("orders", "a.csv", orders_csv(order("a"), order("b").replace("anna", 'an"na')))
    told = ["a quote says nothing in this file? (quotes: none reads it as a sign)"]
    assert preview(company).hints == told
    company.source("orders", where="true")
    assert preview(company).hints == told
    company.source("orders", quotes="none")
    assert preview(company).would_load


def test_what_a_run_tells_of_ids_and_negative_orders_is_told_before(company: Company) -> None:
    rows = ("a,mira@x.test,2024-03-01,10,EUR,paid", "b,Mira@X.test,2024-03-02,-10,EUR,paid")
    company.deliver("orders", "a.csv", orders_csv(*rows))
    assert preview(company).hints == [
        "1 id differs from another by letters' case only, such as mira@x.test (ids: {lower: true} makes them one)",
        "1 of 2 orders are negative and do not count: refunds? (refund_of: the column that names the order)",
    ]
    company.source("orders", ids={"lower": True}, refund_of="order_id")
    assert preview(company).hints == []


def test_of_files_that_came_together_the_last_by_name_is_the_newest(company: Company) -> None:
    for number in ("10", "9"):
        company.deliver("orders", f"export_{number}.csv", orders_csv(order(number)))
    settings = parse_settings({"business": company.business, "sources": company.sources})
    files = delivered_files(company.home, settings.sources["orders"])  # type: ignore[arg-type]
    assert newest_of(files).name == "landing/orders/export_10.csv"
    later = replace(files[0], changed_at=files[1].changed_at + 100)
    assert newest_of([later, files[1]]) is later


JOIN = """
    select o.id as order_id, p.mail as customer_id, o.day as ordered_at, o.total as amount, 'EUR' as currency,
        'paid' as status, o._line
    from rows as o inner join people as p on o.person = p.id
"""


def test_a_query_that_joins_files_is_run(company: Company, monkeypatch: pytest.MonkeyPatch) -> None:
    company.source("orders", path="landing/orders/*.csv", inputs={"people": "landing/people/*.csv"}, query=JOIN)
    settings = parse_settings({"business": company.business, "sources": company.sources})
    company.deliver("orders", "1.csv", b"id,person,day,total\na,1,2024-03-01,10\n")
    company.deliver("orders", "2.csv", b"id,person,day,total\nb,2,2024-03-02,x\n")
    assert preview_joined(settings, "orders", company.home).error == "no file at landing/people/*.csv"
    people = b"".join(b"%d,m%d\n" % (number, number) for number in range(3_000))
    company.deliver("people", "1.csv", b"id,mail\n" + people)
    company.sources.pop("people", None)
    found = preview_joined(settings, "orders", company.home)
    assert (found.good, found.bad, found.rows[0]["customer_id"], found.hints) == (1, 1, "m1", [])
    assert found.reasons == [("amount: 'x' is not a number with at most 2 decimals", 1)]
    monkeypatch.setattr("retention_pipeline.ingest.beginnings.WHOLE_INPUTS_BYTES", 10)
    assert preview_joined(settings, "orders", company.home).hints == [
        "of people the first 2,000 rows of 1 file were joined: a run joins all"
    ]
    company.deliver("people", "1.csv", b"id,email\n1,m1\n")
    company.sources.pop("people", None)
    found = preview_joined(settings, "orders", company.home)
    assert not found.would_load and "the query of the source fails" in (found.error or "")
    assert not company.home.archive.exists()


def test_dimensions_without_values_are_told_to_be_left_out(
    company: Company, capsys: pytest.CaptureFixture[str]
) -> None:
    company.deliver(
        "orders", "a.csv", orders_csv(order("a"), header="order_id,customer_id,ordered_at,amount,currency,status")
    )
    company.deliver("customers", "a.csv", b"customer_id,country\nanna,NL\n")
    company.home.settings_file.write_text(yaml.safe_dump({"business": company.business, "sources": company.sources}))
    check_home(company.home.root, as_json=True)
    found = {one["check"]: one["finding"] for one in json.loads(capsys.readouterr().out)}
    left_out = "no source delivers it, so figures leave it out"
    assert {name: text for name, text in found.items() if name.startswith("segment")} == {
        "segment acquisition_channel": left_out,
        "segment first_order_channel": left_out,
    }
