"""Numbers as text."""

from collections.abc import Callable
from typing import Any

import pytest

from cdmtrain.report.kit import numbers
from cdmtrain.report.kit.numbers import settings


@pytest.mark.parametrize(
    ("write", "value", "text"),
    [
        (numbers.fraction, 0.82708, "0.8271"),
        (numbers.percent, 0.0, "0.0%"),
        (numbers.count, 67332, "67,332"),
        (numbers.rate, 2156.3, "2,160"),
        (numbers.rate, 0.9996, "1"),
        (numbers.rate, 12.34, "12.3"),
        (numbers.rate, 99.96, "100"),
        (numbers.rate, 999.6, "1,000"),
        (numbers.duration, 9.96, "10.0 s"),
        (numbers.duration, 1523.4, "25 min 23 s"),
        (numbers.duration, 59.97, "60.0 s"),
        (numbers.duration, 7787.0, "2 h 9 min"),
        (numbers.memory, 1234567890, "1.23 GB"),
        (numbers.memory, 5e6, "5 MB"),
    ],
)
def test_a_number_is_written_for_readers(write: Callable[[Any], str], value: float, text: str) -> None:
    assert write(value) == text


@pytest.mark.parametrize("absent", [None, float("nan"), float("inf"), "0.5", True, []])
@pytest.mark.parametrize("name", ["fraction", "percent", "count", "rate", "duration", "memory"])
def test_an_absent_number_is_a_dash(name: str, absent: Any) -> None:
    assert getattr(numbers, name)(absent) == "-"


def test_settings_are_written_as_they_are_typed() -> None:
    data = {"files": ["a.h5", "b.h5"], "split": {"train": [0, 0.84]}}
    config = {"data": data, "run": None, "flag": True, "c": [{"d": 1}]}
    typed = ["data.files=[a.h5,b.h5]", "data.split.train=[0,0.84]", "run=null", "flag=true", "c.0.d=1"]
    assert [f"{name}={value}" for name, value in settings(config)] == typed
