"""The grains of periods, shortest first."""

from typing import Literal, get_args

Grain = Literal["week", "month", "quarter", "year"]
GRAINS: tuple[Grain, ...] = get_args(Grain)
