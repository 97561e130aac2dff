"""Random companies delivered night by night: after every night each cell is that of the oracle on the rows known.

RETENTION_RANDOM_NIGHTS says how many histories to try. An example is reproduced from its seed alone.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from oracle.answers import expected_cohorts, expected_kpis, kpi_cells, read_company
from oracle.companies import MadeCompany, made_company, write_delivery, write_home
from oracle.comparison import differences
from oracle.intervals import with_intervals
from oracle.nights import made_nights, rows_known
from support.oracle_tables import wrong_tables
from support.published_cells import published_cells, run_home
from support.sizes import SEED, size

EXAMPLES = size("RETENTION_RANDOM_NIGHTS")

pytestmark = pytest.mark.proof


@seed(SEED)
@settings(
    max_examples=EXAMPLES,
    derandomize=SEED == 0,
    database=None,
    deadline=None,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=list(HealthCheck),
)
@given(example=st.integers(min_value=1, max_value=2**32 - 1))
def test_after_every_night_the_cells_are_those_of_the_oracle(example: int) -> None:
    company = made_company(Random(example), customers=20, further=True)
    nights = made_nights(Random(example + 1), company, count=4)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "home"
        write_home(MadeCompany({}, company.settings, company.as_of), root)
        for number, night in enumerate(nights):
            write_delivery(root, f"night{number:02d}", night.rows)
            run_home(root, night.as_of)
            kpis, cohorts = published_cells(root)
            rows = rows_known(nights[: number + 1])
            expected = read_company(rows, company.settings, night.as_of)
            answers = expected_kpis(expected)
            problems = [
                wrong_tables(root, expected, rows, answers),
                differences(with_intervals(kpi_cells(answers)), kpis),
                differences(expected_cohorts(expected), cohorts),
            ]
            assert not any(problems), "\n".join([f"seed {example}, night {number} ({night.as_of})", *problems])
