"""Random nights: what restatements say adds up to what changed, their rows make up the parts, and the history says what
each generation published. Every other home may list few rows only.

Every third night nothing is delivered and the day stays: it must restate nothing.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from random import Random

import pytest
from oracle.companies import made_company, write_delivery
from oracle.nights import made_nights
from support.sizes import SEED, size
from support.told_nights import ToldHome, parts_that_do_not_add_up, unexplained

HISTORIES = size("RETENTION_RANDOM_RUNS")
NIGHTS = 4


def played(seed: int, root: Path) -> tuple[ToldHome, list[str]]:
    """A company's nights, each followed by a quiet one; a line for each quiet night that restated something."""
    random = Random(seed)
    company = made_company(random, customers=20, days=400, further=True)
    nights = made_nights(random, company, NIGHTS)
    told = ToldHome(root / "home", company.settings, root / "compiled")
    if seed % 2:
        told.rows_at_most = 300
    problems = []
    for number, night in enumerate(nights):
        write_delivery(told.home.root, f"night_{number}", night.rows)
        moment = datetime(2024, 1, 1) + timedelta(days=2 * number)
        told.night(night.as_of, moment)
        if number % 2:
            quiet = told.night(night.as_of, moment + timedelta(days=1))
            if quiet.figures:
                problems.append(f"quiet night after {night.as_of}: {quiet.lines}")
    return told, problems


@pytest.mark.proof
@pytest.mark.parametrize("seed", range(SEED, SEED + HISTORIES))
def test_restatements_add_up_and_the_history_is_that_of_the_generations(seed: int, tmp_path: Path) -> None:
    told, problems = played(seed, tmp_path)
    problems += unexplained(told)
    problems += parts_that_do_not_add_up(told)
    number = (
        "select count(*) from restatement_rows where customer_id is distinct from '(not listed)' group by generation"
    )
    problems += [f"{rows} rows" for (rows,) in told.rows(number) if rows > told.rows_at_most]
    assert told.rows("select count(*) from restatements")[0][0] > 0
    assert not problems, "\n".join([f"seed {seed}", *problems])
