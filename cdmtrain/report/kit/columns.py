"""Columns of numbers and words by name, as a notebook works with them."""

from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cdmtrain.errors import InputError
from cdmtrain.report.kit import markup
from cdmtrain.report.kit.numbers import plural
from cdmtrain.report.kit.page import Rows
from cdmtrain.terminal import printable

MOST_SHOWN = 20  # rows
MOST_NAMED = 6  # columns, in one line


class Columns(dict[str, NDArray[Any]]):
    """Arrays of equal length by the names of their columns; a notebook shows the first MOST_SHOWN rows."""

    @classmethod
    def of_rows(cls, rows: Rows) -> "Columns":
        """Make columns of rows of which the first holds the names; None becomes NaN in a column of numbers."""
        names, *values = rows
        return cls({str(name): _array([row[index] for row in values]) for index, name in enumerate(names)})

    @property
    def num_rows(self) -> int:
        return len(next(iter(self.values()), ()))

    def to_pandas(self) -> Any:
        """Return a pandas.DataFrame.

        Raises:
            InputError: where pandas is not installed.
        """
        try:
            from pandas import DataFrame
        except ModuleNotFoundError as error:
            raise InputError("to_pandas() needs pandas: pip install pandas") from error
        return DataFrame(dict(self))

    def __repr__(self) -> str:
        names = ", ".join([*islice(self, MOST_NAMED), *(["..."] if len(self) > MOST_NAMED else [])])
        return printable(f"<{plural(self.num_rows, 'row')}, {plural(len(self), 'column')}: {names}>")

    def _repr_html_(self) -> str:
        rows = [[_text(value) for value in row] for row in islice(zip(*self.values(), strict=True), MOST_SHOWN)]
        more = self.num_rows - len(rows)
        return markup.table(list(self), rows) + (markup.element("p", f"and {plural(more, 'row')} more") if more else "")


def _array(values: list[Any]) -> NDArray[Any]:
    """An array of numbers where all values are numbers or None, else of objects."""
    if any(isinstance(value, str) for value in values):
        return np.array(values, object)
    return np.array([np.nan if value is None else value for value in values])


def _text(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float | np.floating) else str(value)
