"""What is not in the figures is said last, and nothing where there is nothing to say."""

from rich.console import Console

from retention_pipeline.cli.printing import print_left_out


def printed(refused: list[tuple[str, str]], tonight: int, has_figures: bool, earlier: int = 0) -> str:
    console = Console(record=True, width=80)
    print_left_out(console, refused, tonight, earlier, has_figures, where='retention query "from quarantine"')
    return console.export_text()


def test_a_run_that_took_everything_says_nothing() -> None:
    assert printed([], 0, True) == ""


def test_a_refused_file_is_named_with_its_reason() -> None:
    assert "landing/orders/o.csv  not loaded: required columns are missing: currency" in printed(
        [("landing/orders/o.csv", "required columns are missing: currency")], 0, True
    )


def test_refused_rows_and_the_want_of_any_figure_are_said() -> None:
    text = printed([], 1_234, False)
    assert "1,234 refused rows\n" in text
    assert 'why: retention status; all with file and line: retention query "from quarantine"' in text
    assert "No order or subscription of a customer counts before this day: no figure." in text


def test_one_refused_row_is_one_row() -> None:
    assert "  1 refused row\n" in printed([], 1, True)


def test_rows_that_were_refused_before_and_still_miss_are_said_in_every_run() -> None:
    assert "  3 refused rows of earlier loads\n" in printed([], 0, True, earlier=3)
