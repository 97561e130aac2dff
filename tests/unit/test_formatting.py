from datetime import date, timedelta
from decimal import Decimal, localcontext

import pytest
from babel.numbers import format_decimal

from retention_pipeline import formatting


@pytest.mark.parametrize(
    ("value", "form", "currency", "text"),
    [
        (0.0523, "percent", None, "5.2 %"),
        (-0.05, "percent", None, "−5.0 %"),
        (1234.5, "money", "EUR", "€ 1,234.50"),
        (1234567.8, "money", "EUR", "€ 1,234,568"),
        (99.0, "money", "CHF", "CHF 99.00"),
        (-0.5, "money", "GBP", "−£ 0.50"),
        (-0.001, "money", "EUR", "€ 0.00"),
        (1204, "count", None, "1,204"),
        (41.25, "days", None, "41.2 days"),
        (2.5, "years", None, "2.5 years"),
        (60.0, "points", None, "60.0"),
        (-60.0, "points", None, "−60.0"),
        (1.4, "decimals", None, "1.40"),
        (1e30, "money", "EUR", "€ 1" + ",000" * 10),
        (None, "money", "EUR", "–"),
    ],
)
def test_a_value_is_written_in_its_format(value: float | None, form: str, currency: str | None, text: str) -> None:
    assert formatting.figure(value, form, currency) == text


@pytest.mark.parametrize(
    ("value", "form", "currency", "text"),
    [
        (0.0523, "percent", None, "5,2 %"),
        (-1234.5, "money", "EUR", "−€ 1.234,50"),
        (1234567, "count", None, "1.234.567"),
        (41.25, "days", None, "41,2 days"),
        (1.4, "decimals", None, "1,40"),
    ],
)
def test_a_value_is_written_as_a_locale_writes_it(value: float, form: str, currency: str | None, text: str) -> None:
    assert formatting.figure(value, form, currency, locale="nl") == text


@pytest.mark.parametrize("value", [0, -7, 10**19 + 1, Decimal("-1234.005"), Decimal("0.015"), Decimal(10**25) / 8])
@pytest.mark.parametrize("decimals", [0, 2])
def test_whole_and_decimal_numbers_are_written_as_cldr_has_them(value: int | Decimal, decimals: int) -> None:
    pattern = "#,##0.00" if decimals else "#,##0"
    with localcontext(prec=40):
        expected = format_decimal(value, pattern, "en").replace("-", "−")
    assert formatting.number(value, decimals=decimals) == expected


def test_days_months_steps_and_lengths_of_time_are_written_as_a_locale_writes_them() -> None:
    assert formatting.day(date(2024, 5, 5), locale="nl") == "5 mei 2024"
    assert formatting.month(date(2026, 3, 1), locale="nl") == "maart 2026"
    assert formatting.change(0.052, 0.040, "percent", locale="nl") == "+1,2 pp"
    assert formatting.lasting(timedelta(hours=36.5), locale="nl") == "36,5 h"


@pytest.mark.parametrize(
    ("now", "before", "form", "text"),
    [
        (0.052, 0.040, "percent", "+1.2 pp"),
        (0.0525, 0.0520, "percent", "+0.05 pp"),
        (0.05201, 0.05200, "percent", "+0.001 pp"),
        (0.052, 0.052, "percent", "="),
        (0.040, 0.052, "percent", "−1.2 pp"),
        (110.0, 100.0, "count", "+10.0 %"),
        (90.0, 100.0, "money", "−10.0 %"),
        (5.0, -10.0, "money", "+150.0 %"),
        (40.0, 41.5, "days", "−1.5"),
        (40.0, 41.5, "points", "−1.5"),
        (2.0, 1.6, "decimals", "+25.0 %"),
        (100.0, 100.0, "count", "="),
        (5.0, 0.0, "count", "new"),
        (0.0, 0.0, "count", "="),
        (None, 1.0, "count", ""),
        (1.0, None, "count", ""),
    ],
)
def test_a_change_is_written_so_that_it_cannot_be_misread(
    now: float | None, before: float | None, form: str, text: str
) -> None:
    assert formatting.change(now, before, form) == text


def test_a_sparkline_has_one_sign_per_value_from_lowest_to_highest() -> None:
    assert formatting.sparkline([0.0, None, 3.5, 7.0]) == "▁·▅█"
    assert formatting.sparkline([2.0, 2.0]) == "▄▄"
    assert formatting.sparkline([None, None]) == "··"


def test_periods_are_named_by_what_they_cover() -> None:
    assert formatting.period("month", date(2026, 10, 1), date(2026, 11, 1)) == "Oct 2026"
    assert formatting.period("week", date(2026, 10, 5), date(2026, 10, 12)) == "week of 5 Oct 2026"
    assert formatting.period("quarter", date(2026, 7, 1), date(2026, 10, 1)) == "Jul–Sep 2026"
    assert formatting.period("quarter", date(2026, 12, 1), date(2027, 3, 1)) == "Dec 2026–Feb 2027"
    assert formatting.period("year", date(2026, 1, 1), date(2027, 1, 1)) == "2026"
    assert formatting.period("year", date(2025, 4, 1), date(2026, 4, 1)) == "Apr 2025–Mar 2026"


def test_every_reason_of_the_dictionary_has_words() -> None:
    reasons = ["left_truncated", "immature", "small_n", "gate_failed", "zero_denominator", "not_reached"]
    assert all(formatting.reason(reason) != reason for reason in reasons)
    assert formatting.reason("something_new") == "something_new"


def test_sizes_of_files_are_written_in_what_can_be_read() -> None:
    assert [formatting.size(count) for count in (0, 53_518_336, 1_440_000_000)] == ["0 MB", "54 MB", "1.4 GB"]


def test_further_lines_of_a_text_are_indented() -> None:
    assert formatting.indented("a\nb\nc", 2) == "a\n  b\n  c"
