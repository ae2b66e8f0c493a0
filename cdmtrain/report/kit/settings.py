"""Settings as they are typed on the command line."""

from collections.abc import Iterator
from typing import Any


def settings(value: Any, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield the dotted names and the values of a configuration."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from settings(inner, f"{prefix}.{key}" if prefix else str(key))
    elif isinstance(value, list) and any(isinstance(inner, dict) for inner in value):
        for number, inner in enumerate(value):
            yield from settings(inner, f"{prefix}.{number}")
    elif prefix:
        yield prefix, as_typed(value)


def as_typed(value: Any) -> str:
    """[1, None, True] -> [1,null,true]."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return f"[{','.join(map(as_typed, value))}]" if isinstance(value, list) else str(value)
