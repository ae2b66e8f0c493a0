"""Every run has a page: cut, empty, diverged, with absent particles or missing files."""

import re
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from cdmtrain.errors import InputError
from cdmtrain.report.run.page import write_report
from tests.report.run.pages import TEST, TRAINING, change_json, figures, page_of, table_of

MakeRun = Callable[..., Path]


def test_a_run_without_any_mistake_has_a_page(make_run: MakeRun) -> None:
    def perfect(predictions: dict[str, np.ndarray]) -> None:
        predictions["probability"] = np.eye(4, dtype=np.float32)[predictions["class_index"]]

    run_dir = make_run(change=perfect)
    assert "are classified wrongly" not in page_of(run_dir)
    assert figures(run_dir) == TRAINING | TEST - {"mistakes", "mistakes_explained"}


def test_a_run_cut_after_two_epochs_has_a_page_that_says_so(make_run: MakeRun) -> None:
    run_dir = make_run(finished=False)
    page = page_of(run_dir)
    assert "state of this run is interrupted after epoch 1: there is no results.json and no predictions.h5" in page
    assert figures(run_dir) == TRAINING
    assert "experiment=lecture_cnn" in page


def test_files_may_be_missing_one_after_the_other(make_run: MakeRun) -> None:
    run_dir = make_run(num_events=40)
    for name in ("predictions.h5", "results.json", "metrics.csv", "provenance.json", "config.yaml", "status.json"):
        (run_dir / name).unlink()
        assert "<h1>" in page_of(run_dir)


def test_predictions_without_results_are_drawn_without_numbers(make_run: MakeRun) -> None:
    run_dir = make_run(num_events=40)
    (run_dir / "results.json").unlink()
    assert "there is no results.json, so" in page_of(run_dir)
    assert figures(run_dir) == TRAINING | TEST - {"confusion_counts", "confusion_normalised"}


def test_an_empty_directory_has_a_page(tmp_path: Path) -> None:
    assert "state of this run is unknown" in page_of(tmp_path)


def test_an_absent_particle_is_a_dash_and_the_others_are_drawn(make_run: MakeRun) -> None:
    def without_protons(predictions: dict[str, np.ndarray]) -> None:
        predictions["class_index"][predictions["class_index"] == 3] = 1
        predictions["probability"][:, 3] = 0

    run_dir = make_run(change=without_protons)
    row = re.search(r"</span>proton</td>(.*?)</tr>", page_of(run_dir))
    assert row is not None
    assert re.findall(r"<td>(.*?)</td>", row[1]) == ["0", "-", "-", "-"]
    assert figures(run_dir) == TRAINING | TEST


def test_without_electrons_there_is_no_electron_photon_curve(make_run: MakeRun) -> None:
    def without_electrons(predictions: dict[str, np.ndarray]) -> None:
        predictions["class_index"][predictions["class_index"] == 0] = 3

    run_dir = make_run(change=without_electrons)
    write_report(run_dir)
    assert figures(run_dir) == TRAINING | TEST - {"electron_photon_roc"}


def test_a_single_event_has_a_page(make_run: MakeRun) -> None:
    run_dir = make_run(num_events=1)
    assert "Of 1 test event, 100.0% are classified correctly." in page_of(run_dir)
    assert "calibration" in figures(run_dir)


def test_no_test_event_at_all_has_a_page(make_run: MakeRun) -> None:
    run_dir = make_run(num_events=0)
    assert "No test event was classified." in page_of(run_dir)
    assert figures(run_dir) == TRAINING


def test_events_of_unknown_particle_or_without_probability_are_left_out(make_run: MakeRun) -> None:
    run_dir = make_run(num_events=100)
    with h5py.File(run_dir / "predictions.h5", "a") as file:
        file["class_index"][:40] = -1
        file["probability"][40:50] = np.nan
    write_report(run_dir)
    rows = table_of(run_dir, "calibration")
    assert sum(int(row["events"]) for row in rows) == 50


def test_the_page_of_a_training_that_ended_as_diverged_says_so(make_run: MakeRun) -> None:
    run_dir = make_run()
    change_json(run_dir / "status.json", state="diverged")
    change_json(run_dir / "results.json", diverged=True, epochs=3)
    assert "The training diverged in epoch 3: its losses are no numbers any more." in page_of(run_dir)


def test_a_diverged_training_has_a_page(make_run: MakeRun) -> None:
    run_dir = make_run(num_events=20)
    (run_dir / "metrics.csv").write_text("epoch,train_loss,val_loss,val_accuracy\n0,nan,nan,nan\n1,inf,,0.25\n")
    change_json(run_dir / "results.json", cross_entropy=float("nan"), best_epoch=None)
    assert "<b>-</b><span>test cross entropy</span>" in page_of(run_dir)


def test_damaged_files_end_in_one_sentence_that_names_the_file(make_run: MakeRun, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not a directory"):
        write_report(tmp_path / "nowhere")
    run_dir = make_run(num_events=5)
    (run_dir / "predictions.h5").write_bytes((run_dir / "predictions.h5").read_bytes()[:700])
    with pytest.raises(InputError, match="is damaged"):
        write_report(run_dir)
    (run_dir / "results.json").write_text('{"accuracy": 0.')
    with pytest.raises(InputError, match=r"results\.json is not valid JSON"):
        write_report(run_dir)
