"""Check the metrics of results.json: each is a number, or one for each class, with its interval."""

from typing import Any

from cdmtrain.runs.check import check, wrong
from cdmtrain.runs.records import Results

PER_CLASS = ("efficiency", "purity", "roc_auc", "class_calibration_error", "prior")
OF_SOME = ("class_coverage_", "class_set_size_", "cut_")  # how figures of prediction sets and of cuts begin
UNCERTAINTY = "uncertainty"
CONFUSION_MATRIX = "confusion_matrix"


def check_results(content: dict[str, Any], where: str) -> Results:
    """Return metrics as they are in results.json, checked; `where` is the name of the file in error messages."""
    return {
        name: _check_result(name.removeprefix("val_"), value, f"{where}: {name}") for name, value in content.items()
    }


def check_classes(results: Results, num_classes: int, where: str) -> None:
    """Refuse confusion matrices of another number of classes.

    Raises:
        InputError: with the matrix.
    """
    for name, value in results.items():
        if name.endswith(CONFUSION_MATRIX) and value is not None and len(value) != num_classes:
            raise wrong(f"{where}: {name}", value, f"{num_classes} x {num_classes} counts")


def _check_result(name: str, value: Any, where: str) -> Any:
    if value is None:
        return None
    if _is_per_class(name):
        return check(value, dict[str, float | None], where)
    if name == UNCERTAINTY:
        figures = check(value, dict[str, Any], where)
        return {figure: _check_interval(figure, ends, f"{where}: {figure}") for figure, ends in figures.items()}
    if name == "diverged":
        return check(value, bool, where)
    if name != CONFUSION_MATRIX:
        return check(value, int if isinstance(value, int) else float, where)
    counts = check(value, list[list[int]], where)
    if any(len(row) != len(counts) or min(row) < 0 for row in counts):
        raise wrong(where, value, "a square matrix of counts")
    return counts


def _is_per_class(name: str) -> bool:
    return name in PER_CLASS or name.startswith(OF_SOME)


def _check_interval(figure: str, value: Any, where: str) -> Any:
    """The ends of a figure's interval, or those of each class."""
    if value is None or not _is_per_class(figure):
        ends = check(value, list[float | None] | None, where)
        if ends is not None and len(ends) != 2:
            raise wrong(where, value, "two numbers")
        return ends
    return {
        name: _check_interval("", ends, f"{where}: {name}")
        for name, ends in check(value, dict[str, Any], where).items()
    }
