"""Every file of a run directory is checked as it is read."""

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import h5py
import numpy as np
import pytest
import yaml

from cdmtrain.errors import InputError
from cdmtrain.liveness import identity
from cdmtrain.runs import files
from cdmtrain.runs.find import find_runs, run_directory
from cdmtrain.runs.read import read_metrics, read_run, read_run_or_problem, read_status, read_submission
from cdmtrain.runs.records import HEARTBEAT_SECONDS, LOST_AFTER_SECONDS, Metric, Status, Submission

OLD_RUN = Path(__file__).parents[1] / "fixtures/run_0_1"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A whole run directory that may be damaged."""
    return Path(shutil.copytree(OLD_RUN, tmp_path / "run"))


def edit_json(name: str, **changes: Any) -> Callable[[Path], None]:
    def edit(run: Path) -> None:
        (run / name).write_text(json.dumps(json.loads((run / name).read_text()) | changes))

    return edit


def edit_config(**changes: Any) -> Callable[[Path], None]:
    def edit(run: Path) -> None:
        (run / files.CONFIG).write_text(yaml.safe_dump(yaml.safe_load((run / files.CONFIG).read_text()) | changes))

    return edit


def write(name: str, content: str | bytes) -> Callable[[Path], None]:
    return lambda run: (run / name).write_bytes(content.encode() if isinstance(content, str) else content) and None


def edit_hdf5(name: str, column: str, values: Any) -> Callable[[Path], None]:
    def edit(run: Path) -> None:
        with h5py.File(run / name, "a") as file:
            if column == "image_size":
                file.attrs[column] = values
            else:
                del file[column]
                file[column] = values

    return edit


def test_a_whole_run_is_read_with_typed_values(run: Path) -> None:
    read = read_run(run)
    assert read.status == Status(
        state="finished",
        host="vm",
        process=6835,
        started=datetime(2026, 11, 24, 21, 1, 57, tzinfo=UTC),
        updated=datetime(2026, 11, 24, 21, 2, 1, tzinfo=UTC),
        ended=datetime(2026, 11, 24, 21, 2, 1, tzinfo=UTC),
        epoch=3,
        metric=Metric("val_loss", 1.4664260149002075),
        expected_end=datetime(2026, 11, 24, 21, 2, tzinfo=UTC),
    )
    assert read.provenance.data is not None
    assert (read.provenance.data.train, read.provenance.data.sources[0].num_hits) == (50, 854)
    assert read.provenance.choices["model"] == "cnn"
    assert read.results["accuracy"] == pytest.approx(0.3)
    assert read.results == json.loads((run / files.RESULTS).read_text())
    assert (read.settings.seed, read.settings.trainer.max_epochs, read.settings.data.image_size) == (1, 3, 16)
    assert list(read.history["epoch"]) == [1, 2, 3]
    assert np.isnan(read.history["val_purity_photon"][0])
    assert read.predictions is not None
    assert read.predictions.probability.shape == (30, 4)
    assert read.mistakes is not None
    assert read.mistakes.images.shape[1:] == (16, 16)
    assert (read.missing, read.state, read.error) == ((), "finished", None)


def test_an_empty_directory_is_a_run_of_which_nothing_is_known(tmp_path: Path) -> None:
    read = read_run(tmp_path)
    assert (read.status, read.results, read.history, read.predictions, read.mistakes) == (None, {}, {}, None, None)
    assert read.provenance.data is None
    assert read.missing == files.EXPECTED
    assert read.state == "unknown"


DAMAGES = {
    "status.json is cut": (write(files.STATUS, '{"state": "runn'), "status.json is not valid JSON"),
    "status.json is empty": (write(files.STATUS, ""), "status.json is not valid JSON"),
    "status.json is a list": (write(files.STATUS, "[1]"), r"status.json is \[1\], but a mapping is expected"),
    "status.json has no state": (write(files.STATUS, "{}"), "status.json has no 'state'"),
    "the state is unknown": (edit_json(files.STATUS, state="asleep"), "state is 'asleep', but one of submitted, runn"),
    "the state is a list": (edit_json(files.STATUS, state=[]), r"state is \[\], but one of submitted"),
    "the epoch is text": (edit_json(files.STATUS, epoch="3"), "status.json: epoch is '3', but a whole number"),
    "the epoch is true": (edit_json(files.STATUS, epoch=True), "epoch is True, but a whole number"),
    "the epoch is huge": (edit_json(files.STATUS, epoch=10**400), r"epoch is 1000.*, but a whole number"),
    "the metric is text": (edit_json(files.STATUS, metric="x"), "metric is 'x', but a mapping"),
    "the metric's value is text": (edit_json(files.STATUS, metric={"name": "a", "value": "1"}), "metric.value is '1'"),
    "the error is a number": (edit_json(files.STATUS, error=5), "error is 5, but text"),
    "a time is not one": (edit_json(files.STATUS, updated="noon"), "updated is 'noon', but a time such as 2026-"),
    "a time is a number": (edit_json(files.STATUS, updated=3), "updated is 3, but a time such as"),
    "results.json is text": (write(files.RESULTS, b"\xff\xfe"), "results.json cannot be read"),
    "results.json is deep": (write(files.RESULTS, "[" * 100_000 + "]" * 100_000), "results.json is not valid JSON"),
    "the accuracy is text": (edit_json(files.RESULTS, accuracy="0.9"), "accuracy is '0.9', but a number"),
    "val_accuracy is text": (edit_json(files.RESULTS, val_accuracy="0.9"), "val_accuracy is '0.9', but a number"),
    "the accuracy is true": (edit_json(files.RESULTS, accuracy=True), "accuracy is True, but a"),
    "the purity is a number": (edit_json(files.RESULTS, purity=0.5), "purity is 0.5, but a mapping"),
    "a purity is text": (edit_json(files.RESULTS, purity={"muon": "x"}), "purity.muon is 'x', but a number"),
    "the matrix is a number": (edit_json(files.RESULTS, confusion_matrix=3), "confusion_matrix is 3, but a list"),
    "the matrix is 3 x 3": (edit_json(files.RESULTS, confusion_matrix=[[1] * 3] * 3), "but 4 x 4 counts"),
    "the matrix is 3 x 4": (edit_json(files.RESULTS, confusion_matrix=[[1] * 4] * 3), "but a square matrix of counts"),
    "a count is negative": (
        edit_json(files.RESULTS, val_confusion_matrix=[[-1] * 4] * 4),
        "but a square matrix of counts",
    ),
    "the choices are a list": (edit_json(files.PROVENANCE, choices=[1]), r"choices is \[1\], but a mapping"),
    "git is text": (edit_json(files.PROVENANCE, git="x"), "git is 'x', but a mapping"),
    "a count of hits is text": (
        edit_json(
            files.PROVENANCE, data={"events": 1, "train": 1, "val": 0, "test": 0, "sources": [{"num_hits": "7"}]}
        ),
        r"data.sources\[0\].num_hits is '7', but a whole number",
    ),
    "metrics.csv is not text": (write(files.METRICS, b"epoch\n\xff\n"), "metrics.csv cannot be read"),
    "metrics.csv has no epoch": (write(files.METRICS, "loss\n1\n"), "epoch in line 2 is None"),
    "an epoch is no number": (write(files.METRICS, "epoch,loss\nx,1\n"), "epoch in line 2 is 'x', but a whole number"),
    "a row is cut": (write(files.METRICS, "epoch,loss\n1,1\n2\n"), "line 3 has not as many fields"),
    "a row is long": (write(files.METRICS, "epoch,loss\n1,1,1\n"), "line 2 has not as many fields"),
    "a loss is text": (write(files.METRICS, "epoch,loss\n1,x\n"), "metrics.csv: loss is 'x', but a number"),
    "the trainer is a list": (edit_config(trainer=[1]), r"config.yaml: trainer is \[1\], but a mapping"),
    "the seed is a list": (edit_config(seed=[1]), r"config.yaml: seed is \[1\], but a whole number"),
    "config.yaml refers to itself": (write(files.CONFIG, "a: &a [*a]\n"), "config.yaml has aliases"),
    "config.yaml is deep": (write(files.CONFIG, "[" * 5000 + "]" * 5000), "nested too deeply"),
    "config.yaml is cut": (write(files.CONFIG, "model: [1"), "config.yaml is not valid YAML"),
    "config.yaml is text": (write(files.CONFIG, "run"), "config.yaml is 'run', but a mapping"),
    "predictions.h5 is cut": (write(files.PREDICTIONS, b"\x89HDF"), "predictions.h5 is damaged"),
    "predictions of words": (
        edit_hdf5(files.PREDICTIONS, "class_index", np.array([b"a"] * 30)),
        r"predictions.h5 is damaged \(class_index is \|S1",
    ),
    "one probability": (edit_hdf5(files.PREDICTIONS, "probability", 1.0), "probability is float64 of shape"),
    "a class of 7": (edit_hdf5(files.PREDICTIONS, "class_index", np.full(30, 7)), "class_index 7 is not below 4"),
    "too few energies": (edit_hdf5(files.PREDICTIONS, "deposited_energy_mev", np.ones(3)), "deposited_energy_mev is"),
    "mistakes of a million pixels": (edit_hdf5(files.MISTAKES, "image_size", 10**6), "pixels do not fit images of 10"),
    "mistakes outside their image": (edit_hdf5(files.MISTAKES, "image_size", 2), "pixels do not fit images of 2 x 2"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_one_sentence_that_names_it(run: Path, damage: str) -> None:
    change, sentence = DAMAGES[damage]
    change(run)
    with pytest.raises(InputError, match=sentence) as raised:
        read_run(run)
    assert str(raised.value).startswith(str(run))
    assert len(str(raised.value)) < 400


def test_a_run_that_cannot_be_read_says_why(run: Path) -> None:
    write(files.STATUS, "{")(run)
    read = read_run_or_problem(run)
    assert (read.state, read.directory, read.results) == ("unreadable", run, {})
    assert read.error is not None
    assert "status.json is not valid JSON" in read.error


def test_a_pipe_in_place_of_a_file_is_not_waited_for(run: Path) -> None:
    (run / files.CONFIG).unlink()
    os.mkfifo(run / files.CONFIG)
    with pytest.raises(InputError, match=r"config\.yaml is not an ordinary file"):
        read_run(run)


def test_control_characters_in_text_do_not_reach_a_terminal(run: Path) -> None:
    edit_json(files.STATUS, state="failed", error="\x1b]0;owned\x07 at 3 µs\n")(run)
    assert read_run(run).error == "\\x1b]0;owned\\x07 at 3 µs\n"


def test_keys_of_later_versions_are_ignored(run: Path) -> None:
    edit_json(files.STATUS, mood="fine")(run)
    assert read_run(run).state == "finished"


def heard(run: Path, seconds_ago: float, **changes: Any) -> str:
    """The state of a run that says that it is running, and whose last heartbeat is so old by the file system."""
    told = {"updated": datetime.now(UTC).isoformat()} | changes
    edit_json(files.STATUS, state="running", **told)(run)
    os.utime(run / files.STATUS, (time.time() - seconds_ago,) * 2)
    return read_run(run).state


def test_a_running_run_without_a_heartbeat_is_lost(run: Path) -> None:
    assert [heard(run, age) for age in (0, LOST_AFTER_SECONDS / 2, LOST_AFTER_SECONDS + 1)] == [
        *("running", "running"),
        "lost",
    ]
    assert LOST_AFTER_SECONDS >= 3 * HEARTBEAT_SECONDS  # one late write is no reason
    edit_json(files.STATUS, state="finished")(run)
    assert read_run(run).state == "finished"


@pytest.mark.parametrize("minutes", [-25, -10, 0, 10, 600])
def test_the_clock_of_the_machine_that_trains_decides_nothing(run: Path, minutes: int) -> None:
    told = (datetime.now(UTC) + timedelta(minutes=minutes)).isoformat()
    assert heard(run, 10, updated=told, process_identity="of another machine 1 2") == "running"
    assert heard(run, LOST_AFTER_SECONDS + 10, updated=told, process_identity="of another machine 1 2") == "lost"


@pytest.mark.parametrize("minutes", [-600, -10, 10, 600])
def test_the_clock_of_the_machine_that_looks_decides_nothing(
    run: Path, monkeypatch: pytest.MonkeyPatch, minutes: int
) -> None:
    ours = time.time
    monkeypatch.setattr("cdmtrain.runs.read.time", SimpleNamespace(time=lambda: ours() + 60 * minutes))
    assert [heard(run, age) for age in (10, LOST_AFTER_SECONDS + 10)] == ["running", "lost"]


def test_a_running_run_that_was_copied_is_lost(run: Path) -> None:
    told = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
    assert heard(run, 0, updated=told) == "lost"
    assert heard(run, 0, updated=None) == "lost"


def test_a_look_at_a_running_run_leaves_nothing_in_it(run: Path) -> None:
    before = sorted(run.rglob("*"))
    assert heard(run, 10) == "running"
    assert sorted(run.rglob("*")) == before


def test_a_run_whose_process_is_stopped_for_long_is_not_lost_and_one_that_was_killed_is_at_once(run: Path) -> None:
    with subprocess.Popen(["sleep", "60"]) as process:
        name = identity(process.pid)
        process.send_signal(signal.SIGSTOP)
        assert heard(run, 10 * LOST_AFTER_SECONDS, process_identity=name) == "running"
        process.kill()
        process.wait()
        assert heard(run, 0, process_identity=name) == "lost"


def test_a_directory_that_cannot_be_written_to_tells_whether_its_run_is_lost(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(folder: Path) -> float:
        raise PermissionError(13, "Permission denied", str(folder))

    monkeypatch.setattr("cdmtrain.runs.read.file_system_time", refuse)
    assert [heard(run, age) for age in (0, LOST_AFTER_SECONDS + 1)] == ["running", "lost"]


def test_a_submission_is_read(run: Path) -> None:
    assert read_submission(run) is None
    write(files.SUBMISSION, '{"job": "3_1", "log": "3_1.out"}')(run)
    assert read_submission(run) == Submission("3_1", "3_1.out")
    write(files.SUBMISSION, "[1]")(run)
    with pytest.raises(InputError, match=r"submission\.json is \[1\]"):
        read_submission(run)


def test_absent_files_are_none(tmp_path: Path) -> None:
    assert read_status(tmp_path) is None
    assert read_metrics(tmp_path) == []


def test_runs_are_found_at_any_depth_each_once(run: Path) -> None:
    again = Path(shutil.copytree(run, run.parent / "sweep/inner/again"))
    shutil.copytree(OLD_RUN, run / "checkpoints/run")  # a run is not looked into
    assert find_runs([run.parent, run, f"{run.parent}/sw*"]) == [run, again]
    assert find_runs(["best", run]) == [run_directory("best"), run]
    with pytest.raises(InputError, match="nowhere is not a directory"):
        find_runs([run.parent / "nowhere"])
