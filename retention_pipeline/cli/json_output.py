"""Answers for programs: JSON as every one of them reads it."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from typing import Any

from retention_pipeline import formatting


def as_text(value: Any) -> str:
    """Anything JSON does not know: dates as ISO text, decimals exactly as they are."""
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def print_json(answer: Any) -> None:
    """An answer for programs."""
    print(as_json_text(answer, indent=1))


def print_json_with_lines(answer: dict[str, Any], name: str, elements: Iterable[str]) -> None:
    """The same with a long list under a name of the answer, each of its elements (JSON) on one line: indenting them
    takes Python's encoder ten times as long.
    """
    head, found, tail = as_json_text(answer | {name: []}, indent=1).partition(f'\n "{name}": []')
    listed = ",\n  ".join(elements)
    print(f"{head}{found[:-1]}\n  {_without_control(listed)}\n ]{tail}")


def as_json_text(answer: Any, *, indent: int | None = None) -> str:
    """JSON as every program reads it: what is not a number (NaN, infinity) is null. Characters that a terminal would
    act on are written by their numbers.
    """
    try:
        text = json.dumps(answer, default=as_text, ensure_ascii=False, indent=indent, allow_nan=False)
    except ValueError:
        text = json.dumps(_finite(answer), default=as_text, ensure_ascii=False, indent=indent)
    return _without_control(text)


def _without_control(text: str) -> str:
    return formatting.CONTROL.sub(lambda found: "\n" if found[0] == "\n" else f"\\u{ord(found[0]):04x}", text)


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(one) for key, one in value.items()}
    return [_finite(one) for one in value] if isinstance(value, list | tuple) else value
