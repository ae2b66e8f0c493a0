"""Numbers and settings as text for readers; an absent or infinite number is a dash."""

import math
from collections.abc import Iterator
from typing import Any

DASH = "-"  # printable on terminals that know only ASCII


def is_number(value: Any) -> bool:
    """Whether `value` is a finite number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def fraction(value: Any) -> str:
    """0.82708 -> 0.8271: accuracies, areas, losses."""
    return f"{value:.4f}" if is_number(value) else DASH


def two_digits(value: Any) -> str:
    """1.2345 -> 1.23: numbers of classes in a set."""
    return f"{value:.2f}" if is_number(value) else DASH


def half_width(interval: Any) -> str:
    """[0.701, 0.733] -> ±0.0160; empty where there is no interval."""
    if not isinstance(interval, list) or not all(map(is_number, interval)):
        return ""
    return f"±{(interval[1] - interval[0]) / 2:.4f}"


def percent(value: Any) -> str:
    """0.82708 -> 82.7%."""
    return f"{100 * value:.1f}%" if is_number(value) else DASH


def count(value: Any) -> str:
    """67332 -> 67,332."""
    return f"{round(value):,}" if is_number(value) else DASH


def plural(number: int, noun: str) -> str:
    """1200, run -> 1,200 runs."""
    return f"{count(number)} {noun}{'' if number == 1 else 's'}"


def plural_name(particle: str) -> str:
    """Muon -> muons; a symbol such as pi+ stays as it is."""
    return f"{particle}s" if particle.isalpha() else particle


def rate(value: Any) -> str:
    """2156.3 -> 2,160: three significant digits."""
    if not is_number(value) or value <= 0:
        return DASH
    return f"{float(f'{value:.3g}'):,.0f}" if value >= 100 else f"{value:.3g}"


def duration(seconds: Any) -> str:
    """1523.4 -> 25 min 23 s."""
    if not is_number(seconds):
        return DASH
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def memory(num_bytes: Any) -> str:
    """1234567890 -> 1.23 GB (10^9 bytes)."""
    if not is_number(num_bytes):
        return DASH
    return f"{num_bytes / 1e9:.2f} GB" if num_bytes >= 1e9 else f"{num_bytes / 1e6:.0f} MB"


def settings(value: Any, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield the dotted names and the values of a configuration, as they are typed on the command line."""
    is_list_of_nodes = isinstance(value, list) and any(isinstance(inner, dict) for inner in value)
    if isinstance(value, dict) or is_list_of_nodes:
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from settings(inner, f"{prefix}.{key}" if prefix else str(key))
    elif prefix:
        yield prefix, as_typed(value)


def as_typed(value: Any) -> str:
    """[1, None, True] -> [1,null,true]."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return f"[{','.join(map(as_typed, value))}]" if isinstance(value, list) else str(value)
