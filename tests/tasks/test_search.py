"""A study is gone on with, shared by processes and whole after a kill; its best is an experiment that runs."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import optuna
import pytest
import torch
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState

from cdmtrain import cli
from cdmtrain.classifier import Classifier
from cdmtrain.errors import InputError
from cdmtrain.search.space import read_space
from cdmtrain.search.study import Study, Trial

SMALL = ["data.image_size=16", "trainer=cpu", "trainer.max_epochs=2", "trials=3"]
SPACE = {"optimizer.lr": "tag(log, interval(1e-4, 1e-2))"}
Search = Callable[..., int]


@pytest.fixture
def search(tmp_path: Path, challenge_file: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> Search:
    """Runs the command line on 100 events in this process; returns the exit status."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("cdmtrain.tasks.search.write_report", lambda run: run)  # pages have tests of their own
    file = challenge_file(num_events=100)

    def run(*words: str) -> int:
        monkeypatch.setattr(sys, "argv", ["cdmtrain", *words])
        return cli.main()

    def with_data(*words: str) -> int:
        return run("task=search", "study=study", "data=hdf5", f"data.files=[{file}]", *SMALL, *words)

    with_data.alone = run  # type: ignore[attr-defined]
    return with_data


def study_in(directory: Path) -> Study:
    sampler, pruner = optuna.samplers.TPESampler, optuna.pruners.NopPruner()
    return Study(directory, direction="minimize", sampler=sampler, pruner=pruner, seed=1)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("tag(log, interval(1e-4, 1e-2))", FloatDistribution(1e-4, 1e-2, log=True)),
        ("interval(0, 1)", FloatDistribution(0, 1)),
        ("int(interval(1, 8))", IntDistribution(1, 8)),
        ("range(1, 10, 2)", IntDistribution(1, 9, step=2)),
        ("choice([2,4], [4,8])", CategoricalDistribution(["[2,4]", "[4,8]"])),
        ("choice(none, symmetries)", CategoricalDistribution(["none", "symmetries"])),
        ("none,symmetries", CategoricalDistribution(["none", "symmetries"])),
    ],
)
def test_a_space_is_read_in_hydras_syntax_dotted_or_nested(text: str, expected: object) -> None:
    assert read_space({"model.width": text}) == read_space({"model": {"width": text}}) == {"model.width": expected}


@pytest.mark.parametrize(
    ("space", "sentence"),
    [
        ({}, "search.space is empty"),
        ({"seed": None}, "search.space is empty"),
        ({"seed": 3}, r"search.space: seed: 3: choice\(a, b\), interval"),
        ({"seed": "interval(1)"}, "search.space: seed: interval.1. cannot be read"),
        ({"seed": "range(1, 1)"}, "the range is empty"),
        ({"seed": "tag(log, interval(0, 1))"}, "search.space: seed: tag"),
    ],
)
def test_what_is_no_space_is_one_sentence(space: dict[str, object], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        read_space(space)


def test_processes_share_a_study_and_one_takes_over_what_a_killed_one_left(tmp_path: Path) -> None:
    space = read_space(SPACE)
    one, other = study_in(tmp_path), study_in(tmp_path)
    first, second = one.ask(space, at_most=2), other.ask(space, at_most=2)
    assert first is not None
    assert second is not None
    assert (first.number, second.number) == (0, 1)
    assert first.parameters != second.parameters
    assert study_in(tmp_path).ask(space, at_most=2) is None  # both are being trained
    first.lock.release()  # as the system does for a process that is killed
    taken = other.ask(space, at_most=2)
    assert taken is not None
    assert (taken.number, taken.parameters, taken.resumed) == (0, first.parameters, True)
    for trial, value in ((taken, 0.5), (second, 0.7)):
        assert not trial.is_bad(value, 1)
        assert not trial.is_bad(value + 1, 2)
        other.tell(trial, TrialState.COMPLETE)
    assert [trial.value for trial in one.trials] == [0.5, 0.7]
    assert one.best is not None
    assert one.best.number == 0
    assert one.ask(space, at_most=2) is None


def test_the_same_seed_draws_the_same_trials_however_often_the_study_is_gone_on_with(tmp_path: Path) -> None:
    drawn: list[list[dict[str, object]]] = []
    for name, starts in (("at_once", 1), ("in_pieces", 4)):
        drawn.append([])
        for _ in range(starts):
            study = study_in(tmp_path / name)
            for _ in range(4 // starts):
                trial = study.ask(read_space(SPACE), at_most=4)
                assert trial is not None
                trial.is_bad(trial.parameters["optimizer.lr"], 1)
                study.tell(trial, TrialState.COMPLETE)
                drawn[-1].append(trial.parameters)
    assert drawn[0] == drawn[1]


def test_a_study_prunes_goes_on_and_ends_in_an_experiment_that_runs_as_it_stands(
    search: Search, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    is_bad = Trial.is_bad
    monkeypatch.setattr(Trial, "is_bad", lambda self, *seen: is_bad(self, *seen) or self.number == 1)
    assert search("search=dnn") == 0
    study = tmp_path / "study"
    states = [json.loads((study / f"trial_000{n}/status.json").read_text())["state"] for n in range(3)]
    assert states == ["finished", "pruned", "finished"]
    assert "3 trials: 2 finished, 1 pruned" in capsys.readouterr().out
    assert search("search=dnn", "trials=4") == 0
    shown = capsys.readouterr()
    assert "trial 3:" in shown.out
    assert "trial 2:" not in shown.out
    assert shown.err == ""
    assert {path.name for path in study.glob("*.*")} >= {"index.html", "trials.csv", "journal.log"}

    command = next(line for line in shown.out.splitlines() if line.startswith("best: ")).split()[2:]
    assert search.alone(*command, "run_dir=again", "print_config=false") == 0  # type: ignore[attr-defined]
    best = study_in(study).best
    assert best is not None
    found = json.loads((tmp_path / "again/results.json").read_text())["val_cross_entropy"]
    assert found == pytest.approx(best.value, rel=1e-6)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "task=search needs a search space; add search= (options: cnn, dnn, gnn)"),
        (["search=dnn", "trainer.devices=2"], "a trial trains on one device: leave trainer.devices=1"),
        (["search=dnn", "trials=0"], "trials=0: at least 1 is expected"),
        (["search=dnn", "+search.space.model.widht='3,4'"], "search.space: model.widht does not exist; did you mean"),
    ],
)
def test_what_cannot_be_searched_is_one_sentence(
    search: Search, capsys: pytest.CaptureFixture[str], words: list[str], sentence: str
) -> None:
    assert search(*words) == 1
    assert sentence in capsys.readouterr().err


def test_without_optuna_the_sentence_says_how_to_get_it(
    search: Search, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("cdmtrain.tasks.search.find_spec", lambda name: None)
    assert search("search=dnn") == 1
    assert capsys.readouterr().err == "error: task=search needs optuna: pip install 'cdmtrain[search]'\n"


def test_a_trial_that_diverges_is_a_bad_one_and_a_failing_machine_leaves_its_trial_to_the_next_worker(
    search: Search, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["search=dnn", "model.width=4", "trials=1"]
    with monkeypatch.context() as patch:
        patch.setattr("cdmtrain.tasks.search.train_run", lambda *_, **__: Path("/proc/none/a").touch())
        assert search(*words) == 1
    assert [trial.state for trial in study_in(Path("study")).trials] == [TrialState.RUNNING]
    assert search(*words) == 0
    assert "trial 0 resumed: " in capsys.readouterr().out
    forward = Classifier.forward
    monkeypatch.setattr(Classifier, "forward", lambda self, batch: forward(self, batch) * torch.nan)
    assert search("search=dnn", "trials=2") == 0
    states = [trial.state for trial in study_in(Path("study")).trials]
    assert states[1] == TrialState.PRUNED
    assert json.loads(Path("study/trial_0001/status.json").read_text())["state"] == "diverged"
    assert "diverged" in capsys.readouterr().out
