"""Checks of the simulator's settings; every message says what was given, what is allowed and what to do."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from typing import Any, TypeVar

from cdmtrain.errors import InputError
from cdmtrain.particles import NAMES, POSITRON

T = TypeVar("T")


def setting(default: object, check: Callable[..., object], *allowed: object) -> Any:
    """A field of a dataclass whose metadata["check"](name, value) returns a good value and refuses others."""
    return field(default_factory=lambda: default, metadata={"check": lambda name, value: check(name, value, *allowed)})


def number(name: str, value: object, low: float, high: float) -> float:
    """A number from `low` to `high`."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise InputError(f"simulation.{name} is {value!r}: give a number from {low:g} to {high:g}")
    return float(value)


def whole(name: str, value: object, low: int, high: int) -> int:
    """A whole number from `low` to `high`."""
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise InputError(f"simulation.{name} is {value!r}: give a whole number from {low} to {high}")
    return value


def switch(name: str, value: object) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        raise InputError(f"simulation.{name} is {value!r}: give true or false")
    return value


def interval(name: str, value: object, low: float, high: float) -> list[float]:
    """Two numbers from `low` to `high`, in ascending order."""
    if isinstance(value, str) or not isinstance(value, Sequence) or len(value) != 2:
        raise InputError(f"simulation.{name} is {value!r}: give two numbers, [lowest, highest]")
    first, last = (number(name, part, low, high) for part in value)
    if first > last:
        raise InputError(
            f"simulation.{name} is [{first:g}, {last:g}]: the lowest comes first, write it the other way round"
        )
    return [first, last]


def by_particle(
    name: str, value: object, check: Callable[[str, object, float, float], T], *bounds: float
) -> dict[str, T]:
    """One value for each of the default particles, and for positrons where they are wanted; each passes the check."""
    if not isinstance(value, Mapping) or set(value) - {POSITRON.name} != set(NAMES):
        raise InputError(f"simulation.{name} is {value!r}: give one entry for each of {', '.join(NAMES)}")
    particles = [one for one in (*NAMES, POSITRON.name) if one in value]
    return {particle: check(f"{name}.{particle}", value[particle], *bounds) for particle in particles}


def choice(name: str, value: object, allowed: Sequence[str]) -> str:
    """One of the allowed words."""
    if value not in allowed:
        raise InputError(f"simulation.{name} is {value!r}: choose one of {', '.join(allowed)}")
    return str(value)
