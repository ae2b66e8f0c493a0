"""This program beside what users write by hand, in one run: python tests/benchmarks/compare.py

Prints what was measured beside its target, with quartiles. Both sides of a ratio have their turns one after the other,
so that whatever else the machine does slows both. All events are made here, in a temporary directory of 3 GB.
Takes 3 minutes on two cores, with nothing else running on them.
"""

import argparse
import csv
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory

import measure_against
import measure_batches
import measure_conversion
import measure_epoch
import measure_memory
import measure_residual
import measure_steps
from rich.console import Console
from rich.table import Table
from sample import CONVERTED, EVENTS, MANY, make_stores, write_contiguous
from timing import Row, machine

from cdmtrain.training import configure_logging

Measurement = Callable[[Path, Path], list[Row]]  # of the cache of stores and the contiguous file

MEASUREMENTS: dict[str, Measurement] = {
    "batches": measure_batches.rows,
    "conversion": lambda cache_dir, file: [measure_conversion.row(file)],
    "memory": lambda cache_dir, file: [measure_memory.row(cache_dir)],
    "cnn": lambda cache_dir, file: measure_steps.rows(
        cache_dir, "cnn", "CNN", most=5, faster=25, than_dense=5, rounds=25
    ),
    "gnn": lambda cache_dir, file: measure_steps.rows(cache_dir, "gnn", "GCN", most=10, faster=None, rounds=40),
    "dnn": lambda cache_dir, file: measure_steps.rows(
        cache_dir, "dnn", "dense network", most=40, faster=None, rounds=60
    ),
    "residual": lambda cache_dir, file: [measure_residual.row(cache_dir)],
    "epoch": lambda cache_dir, file: [measure_epoch.row(cache_dir)],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = ", ".join(MEASUREMENTS)
    parser.add_argument("only", nargs="*", choices=[[], *MEASUREMENTS], metavar="measurement", help=f"of {names}; all")
    parser.add_argument("--csv", type=Path, help="write the rows to this file too")
    parser.add_argument("--against", metavar="REV", help="only time trainings against this commit, in turn")
    parser.add_argument(
        "--train", metavar="WORDS", action="append", help="such a training: its words in quotation marks"
    )
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # ends what has begun: worktrees, processes, directories
    configure_logging()
    if arguments.against:
        rows = list(measure_against.rows(arguments.against, arguments.train or measure_against.TRAININGS))
    else:
        rows = list(measured(arguments.only or list(MEASUREMENTS)))
    Console(width=None if sys.stdout.isatty() else 150).print(table(rows))
    if arguments.csv:
        write(arguments.csv, rows)


def measured(names: list[str]) -> Iterator[Row]:
    with TemporaryDirectory() as folder:
        cache_dir, file = Path(folder) / "cache", Path(folder) / "events.h5"
        make_stores(cache_dir, EVENTS, CONVERTED, MANY)
        write_contiguous(file, cache_dir)
        for name in names:
            print(name, flush=True)
            yield from MEASUREMENTS[name](cache_dir, file)


def table(rows: list[Row]) -> Table:
    columns = ("", "measured", "quartiles", "target", "", "here", "by hand")
    shown = Table(*columns, title=machine(), title_justify="left", box=None, title_style="")
    for row in rows:
        spread = "" if row.spread is None else " - ".join(map(number, row.spread))
        bound = "" if row.target is None else f"{'at least' if row.at_least else 'at most'} {number(row.target)}"
        word = {None: "", True: "reached", False: "missed"}[row.reached]
        shown.add_row(row.what, f"{number(row.measured)} {row.unit}", spread, bound, word, row.cdmtrain, row.peer)
    return shown


def number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def write(path: Path, rows: list[Row]) -> None:
    with path.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, [*asdict(rows[0]), "reached", "machine"])
        writer.writeheader()
        writer.writerows({**asdict(row), "reached": row.reached, "machine": machine()} for row in rows)


if __name__ == "__main__":
    main()
