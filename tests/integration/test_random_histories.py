"""Random companies computed in this process, held against the oracle: every KPI, grain, basis, segment and cohort, and
every row of the tables beside them.

RETENTION_RANDOM_COMPANIES says how many to try (a night of many: 200). An example is reproduced from its seed alone.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, Phase, example, given, seed, settings
from hypothesis import strategies as st
from oracle.answers import expected_cohorts, expected_kpis, kpi_cells, read_company
from oracle.companies import made_company, write_home
from oracle.comparison import differences
from oracle.intervals import with_intervals
from support.computed_home import compute_home
from support.explained import assert_variants_add_up
from support.member_sums import assert_members_add_up
from support.oracle_tables import wrong_tables
from support.published_cells import published_cells, shown_names
from support.sizes import SEED, size

EXAMPLES = size("RETENTION_RANDOM_COMPANIES")

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
@example(example=142241)  # MRR in two currencies, so little that it is nothing in the reporting currency
@given(example=st.integers(min_value=0, max_value=2**32 - 1))
def test_a_random_company_gives_the_cells_of_the_oracle(example: int) -> None:
    # Some are so small that there is nothing of many things.
    company = made_company(Random(example), customers=30 if example % 4 else 5, further=True)
    if example % 3 == 1:
        company.settings["max_segment_values"] = 1 + example % 2
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "home"
        write_home(company, root)
        compute_home(root, company.as_of)
        expected = read_company(company.rows, company.settings, company.as_of, shown_names(root))
        answers = expected_kpis(expected)
        kpis, cohorts = published_cells(root)
        assert_members_add_up(root, cells=2, seed=example)
        assert_variants_add_up(root, cells=2, seed=example)
        tables = wrong_tables(root, expected, company.rows, answers)
    problems = [
        tables,
        differences(with_intervals(kpi_cells(answers)), kpis),
        differences(expected_cohorts(expected), cohorts),
    ]
    assert not any(problems), "\n".join([f"seed {example}", *problems])
