"""The tables at the end of a training, on all kinds of terminals."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console

from cdmtrain.particles import NAMES
from cdmtrain.report.run.tables import results_table

MakeRun = Callable[..., Path]


def results_of(run_dir: Path) -> dict[str, Any]:
    return json.loads((run_dir / "results.json").read_text())


def shown(results: dict[str, Any], *, colour: bool = False) -> str:
    stream = io.StringIO()
    console = Console(file=stream, width=80, force_terminal=colour, color_system="truecolor" if colour else None)
    console.print(results_table(results, NAMES))
    return stream.getvalue()


def test_table_fits_80_columns_and_breaks_no_line(make_run: MakeRun) -> None:
    text = shown(results_of(make_run(num_events=20000)))
    assert max(map(len, text.splitlines())) <= 80
    for words in ("electron-photon area", "calibration error", "training events/s", "25 min 23 s", "ROC area"):
        assert words in text
    assert len([line for line in text.splitlines() if "electron " in line and "%" in line]) == 1


def test_without_a_terminal_there_is_no_escape_code(make_run: MakeRun) -> None:
    assert "\x1b" not in shown(results_of(make_run(num_events=50)))


def test_a_terminal_that_knows_only_ascii_shows_it(make_run: MakeRun) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    Console(file=stream, width=80).print(results_table(results_of(make_run(num_events=50)), NAMES))
    stream.flush()
    assert b"0.7834" in stream.buffer.getvalue()  # type: ignore[attr-defined]


def test_confusion_cells_have_colours_counts_and_row_percentages(make_run: MakeRun) -> None:
    results = results_of(make_run(num_events=50))
    results["confusion_matrix"] = [[60, 0, 40, 0], [0, 100, 0, 0], [30, 0, 70, 0], [0, 0, 0, 1234]]
    text = shown(results, colour=True)
    assert " 60.0%     60 " in text
    assert "100.0%  1,234 " in text
    assert "48;2;8;66;107" in text  # the darkest shade as background


def test_validation_stands_beside_test(make_run: MakeRun) -> None:
    results = results_of(make_run(num_events=50)) | {"accuracy": 0.8111, "val_accuracy": 0.8222}
    line = next(line for line in shown(results).splitlines() if "accuracy" in line)
    assert line.split()[1:3] == ["0.8111", "0.8222"]


def test_absent_figures_are_dashes(make_run: MakeRun) -> None:
    results = results_of(make_run(num_events=50))
    results["roc_auc"]["proton"] = None
    results["confusion_matrix"][3] = [0, 0, 0, 0]
    lines = [line for line in shown(results).splitlines() if "proton" in line]
    assert " - " in lines[0]
    assert lines[-1].split() == ["proton"] + ["-", "0"] * 4
    assert "-" in shown({})
