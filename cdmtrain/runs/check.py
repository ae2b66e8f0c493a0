"""Check values read from JSON or YAML against the types of a dataclass."""

import reprlib
from dataclasses import MISSING, fields, is_dataclass
from datetime import UTC, datetime
from functools import cache
from types import NoneType, UnionType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from cdmtrain.errors import InputError
from cdmtrain.terminal import printable

EXPECTED = {
    str: "text",
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    dict: "a mapping",
    list: "a list",
    datetime: "a time such as 2026-01-31T09:26:53+00:00",
}
LARGEST_INTEGER = 2**63


def check(value: Any, kind: Any, name: str) -> Any:
    """Return `value` as the type `kind`, converted where the file format has no such type (times, floats).

    Args:
        value: what a JSON or YAML file holds.
        kind: str, bool, int, float, datetime, Any, a Literal, a list or dict of these, `... | None`, or a dataclass,
            for which unknown keys are ignored and absent keys take its default.
        name: what error messages call the value, such as "run/status.json: epoch".

    Raises:
        InputError: where the value is of another type. A string is never taken for a number.
    """
    if kind is Any:
        return value
    if kind in EXPECTED:
        return _check_plain(value, kind, name)
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is UnionType:
        (only,) = (one for one in arguments if one is not NoneType)
        return None if value is None else check(value, only, name)
    if is_dataclass(kind):
        return _check_record(value, kind, name)
    if origin is Literal:
        if value not in arguments:
            raise wrong(name, value, f"one of {', '.join(map(str, arguments))}")
        return value
    if origin is list:
        return [check(one, arguments[0], f"{name}[{number}]") for number, one in enumerate(_plain(value, list, name))]
    if origin is dict:
        mapping = _plain(value, dict, name)
        return {
            check(key, arguments[0], name): check(one, arguments[1], f"{name}.{key}") for key, one in mapping.items()
        }
    return _check_plain(value, kind, name)


def wrong(name: str, value: Any, expected: str) -> InputError:
    """The error of a value that is not what was expected."""
    return InputError(f"{name} is {reprlib.repr(value)}, but {expected} is expected; restore the file or remove it")


def _check_record(value: Any, kind: Any, name: str) -> Any:
    content, hints, values = _plain(value, dict, name), _types(kind), {}
    separator = "." if ": " in name else ": "
    for field in fields(kind):
        if field.name in content:
            values[field.name] = check(content[field.name], hints[field.name], f"{name}{separator}{field.name}")
        elif field.default is MISSING and field.default_factory is MISSING:
            raise InputError(f"{name} has no '{field.name}'; restore the file or remove it")
    return kind(**values)


@cache
def _types(kind: Any) -> dict[str, Any]:
    return get_type_hints(kind)


def _check_plain(value: Any, kind: type, name: str) -> Any:
    if kind is datetime:
        try:
            time = datetime.fromisoformat(value)
        except (TypeError, ValueError):
            raise wrong(name, value, EXPECTED[datetime]) from None
        return time if time.tzinfo else time.replace(tzinfo=UTC)
    if kind in (int, float):
        if type(value) not in (int, kind) or (type(value) is int and abs(value) >= LARGEST_INTEGER):
            raise wrong(name, value, EXPECTED[kind])
        return kind(value)
    return _plain(value, kind, name)


def _plain(value: Any, kind: type, name: str) -> Any:
    if not isinstance(value, kind):
        raise wrong(name, value, EXPECTED[kind])
    return printable(value) if isinstance(value, str) else value
