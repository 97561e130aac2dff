"""A password is in no message, and a short one garbles none."""

import pytest

from retention_pipeline.ingest.pulls import one_line

REFUSED = 'password authentication failed for user "reader"'


@pytest.mark.parametrize("secret", ["a", "pass", "user", "reade", "for"])
def test_a_short_password_garbles_no_message(secret: str) -> None:
    assert one_line(Exception(REFUSED), [secret]) == REFUSED


@pytest.mark.parametrize("secret", ["a", "user", "hunter2", "a much longer one", "p+(x"])
@pytest.mark.parametrize(
    "message", ["no host in postgresql://me:{}@db/shop", "bad option password={} here", "what is '{}'?", 'the "{}"']
)
def test_a_password_where_a_value_stands_is_taken_out(secret: str, message: str) -> None:
    assert one_line(Exception(message.format(secret)), [secret]) == message.format("…")


def test_a_long_one_is_taken_out_wherever_it_stands() -> None:
    assert one_line(Exception("xcorrect horsex"), ["correct horse"]) == "x…x"
