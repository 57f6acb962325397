"""Fault points: places where a test makes this process fail on purpose. All are off unless a variable names them.

`OBFLOW_FAULT_<NAME>=n` makes the n-th pass of that point fail, once. The points are the literal below; anything else
the variable might say is refused, so that a test never passes because its fault was misspelt.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Literal, get_args

from schemas.errors import SettingsError

VARIABLE_PREFIX = "OBFLOW_FAULT_"

FaultPoint = Literal[
    "stall",  # a worker never finishes its n-th batch, as if a call hung
    "fail_send",  # the n-th factor record a processor hands to the producer is refused, as by a broker
]


class FaultPoints:
    """Counts the passes of each point.

    Args:
        armed: At which pass each point fails; a point not named never does.
    """

    def __init__(self, armed: Mapping[FaultPoint, int] | None = None) -> None:
        self._left: dict[FaultPoint, int] = dict(armed or {})

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> FaultPoints:
        """The points that `OBFLOW_FAULT_*` variables arm.

        Raises:
            SettingsError: No such point, or not a count from 1 on.
        """
        variables = os.environ if environment is None else environment
        armed = {_point(name): _count(name, value) for name, value in variables.items() if _is_fault(name)}
        return cls(armed)

    @property
    def armed(self) -> dict[FaultPoint, int]:
        """Points that will still fail, and after how many passes more."""
        return dict(self._left)

    def fires(self, point: FaultPoint) -> bool:
        """Pass a point; True at the pass where it is to fail."""
        left = self._left.get(point)
        if left is None:
            return False
        if left > 1:
            self._left[point] = left - 1
            return False
        del self._left[point]
        return True


def _is_fault(name: str) -> bool:
    return name.startswith(VARIABLE_PREFIX)


def _point(name: str) -> FaultPoint:
    for point in get_args(FaultPoint):
        if name == VARIABLE_PREFIX + point.upper():
            return point  # type: ignore[no-any-return] # get_args forgets the literal
    raise SettingsError(f"there is no fault point {name}", next_step="obflow/faults.py lists them")


def _count(name: str, value: str) -> int:
    if not value.isdecimal() or int(value) < 1:
        raise SettingsError(
            f"{name} is not a count from 1 on (got {value!r})", next_step="give the pass that is to fail"
        )
    return int(value)
