"""Whatever a run's configuration records, each task that opens the run answers, or says in one sentence what is wrong.

What opening itself reads is tried in tests/runs/test_recorded_values.py.
"""

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.runs.test_recorded_values import CONFIG, RUN, changed, keys
from tests.tasks.training import cdmtrain

DATA = ["data.cache_dir=cache", "print_config=false"]
TASKS = {
    "evaluate": ["task=evaluate", "run=run", "trainer=cpu", *DATA],
    "predict": ["task=predict", "run=run", "input=run/events.h5", "output=p.csv", *DATA],
    "probe": ["task=probe", "run=run", *DATA],
    "export": ["task=export", "run=run", "format=torch", "output=net.pt2", *DATA],
    "calibrate": ["task=calibrate", "run=run", *DATA],
    "report": ["task=report", "runs=run", "output=board"],
    "status": ["task=status", "runs=run"],
}
WRITTEN = {"run", "events.h5", "cache", "outputs", "p.csv", "net.pt2", "board"}
VALUES: list[Any] = [
    [1, "a"],
    {"a": {"b": 1}},
    None,
    -5,
    10**18,
    1e400,
    "../../x\x1b[31m\n$(touch x)`touch x`'\"; [/] ${oc.env:HOME}",
]
READ = ("seed", "data", "trainer", "trainer.precision", "trainer.max_epochs", "callbacks")
KEYS = [key for key in map(".".join, keys(CONFIG)) if key in READ or key.startswith("data.")]


@contextlib.contextmanager
def in_copy_of_run(folder: Path) -> Iterator[None]:
    """A new copy of a run, and its events where the run looks for them, in the working directory."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    shutil.copytree(RUN, folder / "run")
    shutil.copyfile(RUN / "events.h5", folder / "events.h5")
    with contextlib.chdir(folder):
        yield


def check(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], folder: Path, key: str, value: int, task: str
) -> None:
    with in_copy_of_run(folder):
        Path("run/config.yaml").write_text(yaml.safe_dump(changed(key.split("."), VALUES[value])))
        status = cdmtrain(monkeypatch, *TASKS[task])
        shown = capfd.readouterr()
        what = f"{key}={VALUES[value]!r} for {task}:\n{shown.err[-2000:]}"
        assert "Traceback" not in shown.out + shown.err, what
        assert status == shown.err.count("error: "), what
        assert "\x1b" not in shown.out + shown.err, what
        assert {*os.listdir()} <= WRITTEN, what
        assert {*os.listdir(folder.parent)} == {folder.name}, what


def test_each_key_leaves_one_of_the_tasks_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    for number, key in enumerate(KEYS):
        task = [*TASKS][number % len(TASKS)]
        check(monkeypatch, capfd, tmp_path / "here", key, number % len(VALUES), task)


@pytest.mark.slow
@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("key", KEYS)
def test_every_value_of_each_key_leaves_every_task_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], key: str, task: str
) -> None:
    for value in range(len(VALUES)):
        check(monkeypatch, capfd, tmp_path / "here", key, value, task)
