"""What a measure is: a column of a period table, and what must hold of it whatever the data are.

The rules that the audit makes of these words stand in audit/measures.py; which measures there are, in the families.
"""

from __future__ import annotations

from dataclasses import dataclass

KINDS = ("flow", "balance", "derived")


@dataclass(frozen=True)
class Measure:
    """One column of a period table.

    kind: `flow`, what happened in the period; `balance`, what stands at its opening or close, or over a window before
    it; `derived`, what no customer has a part of, such as a median. is_additive: the values of a dimension add up to
    `all`. nests: the months of a quarter or year add up to it. is_signed: it may be negative (or is not a number).
    """

    name: str
    kind: str
    is_additive: bool = True
    nests: bool = False
    is_signed: bool = False

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"{self.name}: kind {self.kind!r} is not one of {', '.join(KINDS)}")
        if self.nests and self.kind != "flow":
            raise ValueError(f"{self.name}: only a flow adds up over months")
        if self.is_additive and self.kind == "derived":
            raise ValueError(f"{self.name}: what is derived does not add up over segments")

    @property
    def is_sum(self) -> bool:
        """Whether it is a sum over customers."""
        return self.kind != "derived"


def flows(*names: str, is_additive: bool = True) -> tuple[Measure, ...]:
    """What happened in a period and is counted once, whatever the grain: orders, revenue, ends of spans."""
    return tuple(Measure(name, "flow", is_additive, nests=True) for name in names)


def once_per_period(*names: str, is_additive: bool = True) -> tuple[Measure, ...]:
    """What counts a customer once in each period, so that months do not add up to a year: who ordered, who was lost."""
    return tuple(Measure(name, "flow", is_additive) for name in names)


def balances(*names: str, is_additive: bool = True) -> tuple[Measure, ...]:
    """What stands at the opening or the close of a period."""
    return tuple(Measure(name, "balance", is_additive) for name in names)


def derived(*names: str, is_signed: bool = False) -> tuple[Measure, ...]:
    """What SQL makes of all customers of a cell at once."""
    return tuple(Measure(name, "derived", is_additive=False, is_signed=is_signed) for name in names)
