"""What every run of the tests says first: sizes and seed of the random ones, so that a failure can be had again."""

from support.sizes import SEED, SIZES, size


def pytest_report_header() -> str:
    sizes = ", ".join(f"{name}={size(name)}" for name in SIZES)
    return f"random tests: RETENTION_SEED={SEED}, {sizes}"
