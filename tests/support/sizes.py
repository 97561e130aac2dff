"""How long the random tests are, and from which seed: the environment says, without it the short edition runs."""

import os

# What `make proof` sets; the second is the short edition's.
SIZES = {
    "RETENTION_RANDOM_COMPANIES": 4,
    "RETENTION_RANDOM_COMPANIES_ON_SPARK": 1,
    "RETENTION_RANDOM_NIGHTS": 1,
    "RETENTION_RANDOM_HISTORIES": 1,
    "RETENTION_RANDOM_RUNS": 1,
    "RETENTION_MUTATED_FILES": 300,
}
# 0: the same examples in every run.
SEED = int(os.environ.get("RETENTION_SEED", "0"))


def size(name: str) -> int:
    """How many of something."""
    return int(os.environ.get(name, SIZES[name]))
