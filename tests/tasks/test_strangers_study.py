"""A study that a stranger has written harms nothing: its files lead nowhere, and its trials build nothing."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import optuna
import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from cdmtrain.errors import InputError
from cdmtrain.search.space import unknown_parameter
from cdmtrain.search.study import JOURNAL, NAME, Study
from tests.tasks.training import cdmtrain

SPACE = {"optimizer.lr": FloatDistribution(1e-4, 1e-2), "model": CategoricalDistribution(["cnn", "dnn"])}
WORDS = ["task=search", "study=study", "+search.space.optimizer.lr='interval(1e-4, 1e-2)'", "trials=1"]


def opened(directory: Path) -> Study:
    sampler, pruner = optuna.samplers.RandomSampler, optuna.pruners.NopPruner()
    return Study(directory, direction="minimize", sampler=sampler, pruner=pruner, seed=1)


def planted(directory: Path, name: str, value: str, *, state: TrialState) -> None:
    """A study with one trial of this parameter."""
    directory.mkdir()
    study = optuna.create_study(
        study_name=NAME, direction="minimize", storage=JournalStorage(JournalFileBackend(str(directory / JOURNAL)))
    )
    trial = study.ask({name: CategoricalDistribution([value])})
    if state != TrialState.RUNNING:
        study.tell(trial, 0.1, state=state)


@pytest.mark.parametrize("name", [".lock", JOURNAL, "experiment", "trial_0000", "index.html", "assets"])
def test_no_link_of_a_study_is_followed(tmp_path: Path, name: str) -> None:
    (tmp_path / "victim").write_text("precious")
    (tmp_path / "study").mkdir()
    (tmp_path / "study" / name).symlink_to(tmp_path / "victim")
    with pytest.raises(InputError, match="is a link out of"):
        opened(tmp_path / "study")
    assert (tmp_path / "victim").read_text() == "precious"


def test_a_pipe_in_place_of_a_journal_is_not_waited_for(tmp_path: Path) -> None:
    (tmp_path / "study").mkdir()
    os.mkfifo(tmp_path / "study" / JOURNAL)
    with pytest.raises(InputError, match=r"journal\.log is not an ordinary file"):
        opened(tmp_path / "study")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("loss", "{_target_:os.system,command:ls}"),
        ("+model._target_", "os.system"),
        ("hydra.searchpath", "[/tmp]"),
        ("optimizer.name", "${oc.env:HOME}"),
        ("++callbacks.x._target_", "lightning.pytorch.callbacks.ModelCheckpoint"),
        ("run_dir", "/home"),
    ],
)
def test_a_killed_trial_with_words_that_the_search_space_lacks_is_not_resumed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str, value: str
) -> None:
    planted(tmp_path / "study", name, value, state=TrialState.RUNNING)
    trial = opened(tmp_path / "study").ask(SPACE, at_most=5)
    assert trial is not None
    assert (trial.number, trial.resumed) == (1, False)
    assert f"trial 0 is not resumed: {name}={value} is not in search.space" in caplog.text


def test_numbers_and_the_words_of_the_space_are_known() -> None:
    space: dict[str, BaseDistribution] = dict(SPACE)
    assert unknown_parameter({"optimizer.lr": 1e-5, "model": "dnn", "model.width": 10**400}, space) is None
    for parameters in ({"model": "gnn"}, {"model._target_": 1}, {"optimizer.lr": float("nan")}, {"model": None}):
        assert unknown_parameter(parameters, space)


def test_the_best_trial_of_a_stranger_becomes_no_experiment(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    planted(here / "study", "model", "{_target_:os.system,command:[bold]\x1b]0;owned\x07}", state=TrialState.COMPLETE)
    assert cdmtrain(monkeypatch, *WORDS) == 0
    shown = capsys.readouterr()
    assert "the best, trial 0, is no experiment: model={_target_:os.system" in shown.out
    assert "\x1b]" not in shown.out
    assert not (here / "study/experiment").exists()


def line(change: Callable[[dict[str, object]], object], number: int) -> Callable[[Path], object]:
    def edit(journal: Path) -> None:
        lines = [json.loads(text) for text in journal.read_text().splitlines()]
        change(lines[number])
        journal.write_text("".join(f"{json.dumps(one)}\n" for one in lines))

    return edit


DAMAGES: dict[str, Callable[[Path], object]] = {
    "nothing but a mapping": lambda journal: journal.write_text("{}\n"),
    "an operation without a number": lambda journal: journal.write_text('{"op_code": 99}\n'),
    "a study without a name": line(lambda one: one.pop("study_name"), 0),
    "a direction in words": line(lambda one: one.update(directions=["x"]), 0),
    "a time in words": line(lambda one: one.update(datetime_start="x"), 1),
    "a distribution in words": line(lambda one: one.update(distribution="x"), 2),
    "a distribution of code": line(lambda one: one.update(distribution='{"name": "os.system"}'), 2),
    "a value in words": line(lambda one: one.update(values=["x"]), -1),
    "a state in words": line(lambda one: one.update(state="x"), -1),
    "an operation in words": line(lambda one: one.update(op_code="x"), 1),
    "no worker": line(lambda one: one.pop("worker_id"), 1),
    "deep brackets": lambda journal: journal.write_text('{"a": ' + "[" * 100_000 + "]" * 100_000 + "}\n"),
    "an unknown class": line(lambda one: one.update(param_value_internal=9), 2),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_journal_is_one_sentence(tmp_path: Path, damage: str) -> None:
    planted(tmp_path / "study", "model", "cnn", state=TrialState.COMPLETE)
    DAMAGES[damage](tmp_path / "study" / JOURNAL)
    with pytest.raises(InputError, match=r"journal\.log is not the journal of a study"):
        opened(tmp_path / "study")


@pytest.mark.parametrize("value", ["gnn", "none"])
def test_a_space_with_other_words_than_the_study_is_one_sentence(tmp_path: Path, value: str) -> None:
    planted(tmp_path / "study", "model", value, state=TrialState.COMPLETE)
    with pytest.raises(InputError, match=r"trial 0 tried .* for model, and search\.space has .*choose another study="):
        opened(tmp_path / "study").ask(SPACE, at_most=5)
