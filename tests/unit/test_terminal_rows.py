"""Answers are readable on a narrow console: a table where it fits, else a line per value; headings are not cut off."""

from datetime import date

from rich.console import Console

from retention_pipeline.cli.printing import _columns_that_fit, print_pivot, print_rows

WIDE = [f"column_{number}" for number in range(10)]


def printed(columns: list[str], rows: list[list[object]], *, width: int) -> list[str]:
    console = Console(record=True, width=width)
    print_rows(console, columns, rows)
    return [line.rstrip() for line in console.export_text().splitlines()]


def test_a_narrow_answer_is_a_table_in_which_only_long_texts_wrap() -> None:
    lines = printed(["kpi", "n", "definition"], [["mrr_end", 3, "words " * 30]], width=80)
    assert lines[1].split() == ["kpi", "n", "definition"]
    assert all(len(line) <= 80 for line in lines)


def test_an_answer_that_is_too_wide_has_a_line_per_value() -> None:
    lines = printed(WIDE, [list(range(10)), [date(2026, 1, 2), None, *["long text " * 20] * 8]], width=80)
    assert lines[1:4] == ["row 1", "  column_0  0", "  column_1  1"]
    second = lines.index("row 2")
    assert lines[second + 1 : second + 4] == [
        "  column_0  2026-01-02",
        "  column_1",
        f"  column_2  {'long text ' * 20}".rstrip(),
    ]
    assert lines[-1] == "2 rows"


def test_the_same_answer_is_a_table_where_there_is_room() -> None:
    lines = printed(WIDE, [["short"] * 10], width=200)
    assert lines[1].split() == WIDE


def test_no_rows_are_a_table_without_rows() -> None:
    assert printed(WIDE, [], width=80)[-1] == "0 rows"


def test_names_of_segments_are_readable_where_they_are_wider_than_their_column() -> None:
    console = Console(record=True, width=80)
    names = ["organic", "referral", "paid_search", "paid_social", "[email]", "marketplace"]
    rows = [
        {
            **{"kpi": "customer_churn_rate", "grain": "month", "basis": "any", "segment_value": name},
            **{"period_start": date(2026, 1, 1), "period_end": date(2026, 2, 1), "value": 0.1, "n": 1000 - number},
            **{"currency": None, "is_fresh": True, "is_complete": True, "null_reason": None},
        }
        for number, name in enumerate(names)
    ]
    definition = {"kpi": "customer_churn_rate", "label": "Churn", "definition": "Lost.", "unit": "ratio"}
    print_pivot(console, definition, rows, by="segment_value", subject="by channel")
    text = console.export_text()
    assert "…" not in text and "[email]" in text
    assert text.count("paid_") == 2 and "search" in text and "social" in text


def test_a_pivot_has_only_as_many_columns_as_their_words_have_room() -> None:
    channels = ["newsletter", "marketplace", "paid_search", "referral", "organic", "affiliate", "social", "direct"]
    assert _columns_that_fit(channels, 80) == 4
    assert _columns_that_fit(channels, 200) == 8
    assert _columns_that_fit(["a_name_of_one_very_long_wordthatfitsnowhere"], 20) == 1
