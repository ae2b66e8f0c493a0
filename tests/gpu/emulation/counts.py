"""Counts of the kernels and synchronizations of an emulated device, by the line of the program behind them."""

import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import torch

import cdmtrain

PROGRAM = str(Path(cdmtrain.__file__).parent)
PACKAGES = str(Path(torch.__file__).parents[1])
EMULATION = str(Path(__file__).parent)


@dataclass
class Counts:
    """What happened since the counts were made."""

    kernels: Counter[tuple[str, str]] = field(default_factory=Counter)  # by (operation, line)
    synchronizations: Counter[tuple[str, str]] = field(default_factory=Counter)  # by (reason, line)

    def table(self) -> str:
        """Every synchronization, and the lines with most kernels."""
        by_line: Counter[str] = Counter()
        for (_, line), number in self.kernels.items():
            by_line[line] += number
        rows = [f"{number:6d} {reason:24s} {line}" for (reason, line), number in self.synchronizations.most_common()]
        lines = [f"{number:6d} {line}" for line, number in by_line.most_common(20)]
        heads = f"{self.synchronizations.total()} synchronizations", f"{self.kernels.total()} kernels, by line"
        return "\n".join([heads[0], *rows, heads[1], *lines])


class Lines:
    """Finds the line of the program that an operation is for, in the backward pass the line of the forward pass."""

    def __init__(self) -> None:
        self._of_node: dict[int, str] = {}  # by the number that autograd gives to each node of its graph

    def current(self) -> str:
        if torch._C._current_graph_task_id() == -1:
            line = _innermost_line()
            self._of_node.setdefault(torch.autograd._get_sequence_nr() - 1, line)
            return line
        node = torch._C._current_autograd_node()
        number = -1 if node is None else node._sequence_nr()
        return f"backward of {self._of_node.get(number) or _innermost_line()}"


def _innermost_line() -> str:
    """The innermost line of the program on the stack; where a library's lies deeper, this is named too."""
    frame, library = sys._getframe(1), ""
    while frame is not None:
        name = frame.f_code.co_filename
        if name.startswith(PROGRAM):
            return f"{name.removeprefix(PROGRAM + '/')}:{frame.f_lineno}{library}"
        if not library and name.startswith(PACKAGES) and not name.startswith(f"{PACKAGES}/torch/"):
            library = f" in {name.removeprefix(PACKAGES + '/')}:{frame.f_lineno}"
        frame = frame.f_back
    return library.removeprefix(" in ") or "outside the program"
