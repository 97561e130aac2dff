"""Cells against cells: what is missing, what is more, what differs, told so that a person can start looking."""

from __future__ import annotations

import math
from collections import defaultdict
from typing import Any

TOLERANCE = 1e-9


def same(one: Any, other: Any) -> bool:
    """Equal, numbers to 1e-9 relative (sums that cancel to 1e-9 absolute)."""
    if isinstance(one, float | int) and isinstance(other, float | int) and not isinstance(one, bool):
        return math.isclose(one, other, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
    return bool(one == other)


def differences(
    expected: dict[tuple[Any, ...], dict[str, Any]], actual: dict[tuple[Any, ...], dict[str, Any]], shown: int = 5
) -> str:
    """An empty text if the cells agree, else per first part of the key how many do not, and the first of them."""
    found: dict[str, list[str]] = defaultdict(list)
    # Nearly all are equal to the last digit: only the others are looked at column by column.
    others = [key for key, row in expected.items() if key not in actual or actual[key] != row]
    others += [key for key in actual if key not in expected]
    for key in sorted(others, key=str):
        name = str(key[0])
        if key not in actual:
            found[name].append(f"missing {describe(key)}: expected {expected[key]}")
        elif key not in expected:
            found[name].append(f"more    {describe(key)}: got {actual[key]}")
        else:
            wrong = [
                f"{column} {actual[key].get(column)!r}, expected {value!r}"
                for column, value in expected[key].items()
                if not same(value, actual[key].get(column))
            ]
            wrong += [f"{column} is not expected" for column in actual[key] if column not in expected[key]]
            if wrong:
                found[name].append(f"differs {describe(key)}: {'; '.join(wrong)}")
    return "\n".join(
        f"{name}: {len(lines)} cells\n" + "\n".join(f"    {line}" for line in lines[:shown])
        for name, lines in found.items()
    )


def describe(key: tuple[Any, ...]) -> str:
    return " ".join(str(part) for part in key[1:])
