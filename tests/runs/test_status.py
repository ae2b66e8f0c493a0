"""status.json says what a run is doing, and how it ended."""

import json
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest

from cdmtrain.errors import InputError, Preempted, Pruned
from cdmtrain.runs import files
from cdmtrain.runs.read import is_finished, read_status
from cdmtrain.runs.records import Metric
from cdmtrain.runs.status import RunStatus, write_submitted

KEYS = [
    "state",
    "host",
    "process",
    "process_identity",
    "started",
    "updated",
    "ended",
    "epoch",
    "metric",
    "expected_end",
    "error",
]


def state_after(run: Path, error: BaseException | None) -> tuple[str, str | None]:
    with suppress(type(error)), RunStatus(run, lambda one: f"explained: {one}"):
        if error is not None:
            raise error
    status = read_status(run)
    assert status is not None
    assert status.ended is not None
    return status.state, status.error


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (None, ("finished", None)),
        (InputError("no events"), ("failed", "explained: no events")),
        (Pruned("pruned after epoch 2"), ("pruned", "pruned after epoch 2")),
        (KeyboardInterrupt(), ("interrupted", None)),
        (Preempted(), ("preempted", None)),
    ],
)
def test_the_status_says_how_a_run_ended(
    tmp_path: Path, error: BaseException | None, expected: tuple[str, str | None]
) -> None:
    assert state_after(tmp_path, error) == expected
    assert is_finished(tmp_path) == (error is None)


def test_a_heartbeat_renews_the_status_of_a_running_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cdmtrain.runs.status.HEARTBEAT_SECONDS", 0.01)
    with RunStatus(tmp_path, str):
        (tmp_path / files.STATUS).unlink()
        until = time.monotonic() + 10
        while not (tmp_path / files.STATUS).exists() and time.monotonic() < until:
            time.sleep(0.01)
        status = read_status(tmp_path)
    assert status is not None
    assert status.state == "running"


def test_a_continued_run_keeps_its_epoch_and_metric(tmp_path: Path) -> None:
    end = datetime(2030, 1, 1, tzinfo=UTC)
    with RunStatus(tmp_path, str) as running:
        running.record_epoch(3, ("val_loss", 0.5), end)
        running.record_epoch(4, ("val_loss", 0.25), None)
        status = read_status(tmp_path)
    assert status is not None
    assert (status.epoch, status.metric, status.expected_end) == (4, Metric("val_loss", 0.25), end)
    write_submitted(tmp_path)
    status = read_status(tmp_path)
    assert status is not None
    assert (status.state, status.epoch, status.host, status.ended) == ("submitted", 4, None, None)
    with RunStatus(tmp_path, str):
        status = read_status(tmp_path)
    assert status is not None
    assert (status.state, status.epoch, status.metric) == ("running", 4, Metric("val_loss", 0.25))


def test_the_keys_of_status_json_do_not_change(tmp_path: Path) -> None:
    state_after(tmp_path, None)
    content = json.loads((tmp_path / files.STATUS).read_text())
    assert list(content) == KEYS
    assert datetime.fromisoformat(content["started"]).tzinfo is not None


def test_only_the_first_process_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_RANK", "1")
    with RunStatus(tmp_path, str):
        assert not (tmp_path / files.STATUS).exists()
