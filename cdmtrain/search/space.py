"""The space of a search: what is tried for each key, and whether a trial that a study names is of that space."""

import math
import re
from collections.abc import Mapping
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, IntervalSweep, RangeSweep
from hydra.errors import HydraException
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from cdmtrain.config.sources import leaves
from cdmtrain.errors import InputError

FORMS = "choice(a, b), interval(a, b), int(interval(a, b)), range(a, b, step) or tag(log, interval(a, b))"
NUMBER_KEY = re.compile(r"[a-z]\w*(\.[a-z]\w*)+")  # not _target_


def unknown_parameter(parameters: Mapping[str, Any], space: Mapping[str, BaseDistribution]) -> str | None:
    """Return a parameter, as it is typed, that only the study names; None where there is none.

    A study may be a stranger's. Numbers do no harm; words are those that the search space has for their key.
    """
    for key, value in parameters.items():
        is_number = isinstance(value, int | float) and abs(value) < math.inf and NUMBER_KEY.fullmatch(key)
        if not is_number and value not in getattr(space.get(key), "choices", ()):
            return f"{key}={value}"
    return None


def read_space(space: Mapping[str, Any]) -> dict[str, BaseDistribution]:
    """Return the distribution of every key or group of the space.

    Args:
        space: `{optimizer.lr: "tag(log, interval(1e-4, 1e-2))", ...}`; the keys may also be nested.

    Raises:
        InputError: if a value is not a sweep, or the space is empty.
    """
    # null removes a key
    found = {key: distribution(key, str(text)) for key, text in leaves(space) if text is not None}
    if not found:
        raise InputError(f"search.space is empty; give keys with what to try, as {FORMS}")
    return found


def distribution(key: str, text: str) -> BaseDistribution:
    """Return the distribution that a sweep draws from: the options of a choice, or numbers of an interval or range.

    `tag(log, ...)` draws uniformly in the logarithm. As in Hydra, a range does not include its end.
    """
    try:
        override = OverridesParser.create().parse_override(f"{key}={text}")
    except HydraException as error:
        raise InputError(f"search.space: {key}: {text} cannot be read ({str(error).splitlines()[0]})") from None
    sweep = override.value()
    try:
        if isinstance(sweep, ChoiceSweep):
            return CategoricalDistribution(list(override.sweep_string_iterator()))
        if isinstance(sweep, IntervalSweep | RangeSweep):
            return _numbers(sweep)
    except ValueError as error:
        raise InputError(f"search.space: {key}: {text}: {error}") from None
    raise InputError(f"search.space: {key}: {text}: {FORMS} is expected")


def _numbers(sweep: IntervalSweep | RangeSweep) -> BaseDistribution:
    log = "log" in sweep.tags
    low = sweep.start
    high, step = (sweep.end, None) if isinstance(sweep, IntervalSweep) else (_last(sweep), sweep.step)
    assert low is not None
    assert high is not None
    if isinstance(low, int) and isinstance(high, int) and not isinstance(step, float):
        return IntDistribution(low, high, log=log, step=1 if step is None else int(step))
    return FloatDistribution(float(low), float(high), log=log, step=None if step is None else float(step))


def _last(sweep: RangeSweep) -> float | int:
    """Return the last number of a range, which does not include its end."""
    numbers = list(sweep.range())
    if not numbers:
        raise ValueError("the range is empty")
    return numbers[-1]
