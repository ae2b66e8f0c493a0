"""cdmtrain task=search: a study of many trainings, each a run of its own; the best one becomes an experiment."""

import math
import re
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from cdmtrain.atomic import write_text
from cdmtrain.cluster.preemption import Preemption
from cdmtrain.config.build import build
from cdmtrain.config.explain import explain
from cdmtrain.config.sources import groups
from cdmtrain.errors import InputError, Pruned
from cdmtrain.report.run.page import write_report
from cdmtrain.report.search import SearchFacts, TrialFacts, trials_table, write_search
from cdmtrain.runs.names import new_name
from cdmtrain.search.trial_config import base_words, composed, experiment_yaml
from cdmtrain.terminal import say
from cdmtrain.training import train_run

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

    from cdmtrain.search.study import Study, Trial


def search(cfg: DictConfig) -> float | None:
    """Train trial after trial until the study has `trials`, then show it; returns the best value."""
    check(cfg)
    from cdmtrain.search.space import read_space, unknown_parameter
    from cdmtrain.search.study import Study

    space = read_space(OmegaConf.to_container(cfg.search.space))  # type: ignore[arg-type]
    study = Study(
        Path(cfg.study) if cfg.study else Path("outputs/search") / new_name(),
        direction="minimize" if cfg.callbacks.checkpoint.mode == "min" else "maximize",
        sampler=build(cfg, "sampler"),
        pruner=build(cfg, "pruner"),
        seed=cfg.seed,
    )
    while trial := study.ask(space, at_most=cfg.trials):
        run_trial(study, trial, cfg)
    show(study, cfg, unknown=unknown_parameter(study.best.params, space) if study.best else None)
    return study.best.value if study.best else None


def check(cfg: DictConfig) -> None:
    """Refuse settings with which no search is possible."""
    if find_spec("optuna") is None:
        raise InputError("task=search needs optuna: pip install 'cdmtrain[search]'")
    if "search" not in cfg or not cfg.search:
        options = ", ".join(option.name for option in groups()["search"])
        raise InputError(f"task=search needs a search space; add search= (options: {options})")
    if cfg.trainer.devices not in (1, "auto") or cfg.trainer.num_nodes != 1:
        several = "and start several workers on the study"
        raise InputError(f"a trial trains on one device: leave trainer.devices=1, {several}")
    if cfg.trials < 1:
        raise InputError(f"trials={cfg.trials}: at least 1 is expected")


def run_trial(study: "Study", trial: "Trial", cfg: DictConfig) -> None:
    """Train one trial in its own directory; a failure ends the search only if no trial has succeeded before."""
    from optuna.trial import TrialState

    from cdmtrain.search.study import Pruning

    words = " ".join(f"{key}={value}" for key, value in trial.parameters.items())
    say(f"trial {trial.number}{' resumed' if trial.resumed else ''}: {words}")
    pruning = Pruning(trial.is_bad, monitor=cfg.callbacks.checkpoint.monitor)
    try:
        with composed(base_words(), trial.parameters, trial.directory) as trial_cfg:
            trained = train_run(trial_cfg, Preemption(), pruning, write_page=write_report)
    except Pruned as pruned:
        say(f"trial {trial.number}: {pruned}")
        study.tell(trial, TrialState.PRUNED)
    except OSError:  # of this machine, not of the trial: the next worker resumes it
        trial.lock.release()
        raise
    except Exception as error:
        study.tell(trial, TrialState.FAIL)
        sentence = explain(error)
        if sentence is None or study.best is None:
            raise
        say(f"trial {trial.number} failed: {sentence}")
    else:  # for the sampler a pruned trial is a bad one, while it learns nothing from a failed one
        study.tell(trial, TrialState.PRUNED if trained.results.get("diverged") else TrialState.COMPLETE)


def show(study: "Study", cfg: DictConfig, *, unknown: str | None) -> None:
    """Write the page and the experiment of the best trial; print the best trials and where the page is.

    Args:
        study: with at least one trial.
        cfg: of the search.
        unknown: a parameter of the best trial that search.space does not have.
    """
    facts = SearchFacts(
        title=study.directory.name,
        monitor=cfg.callbacks.checkpoint.monitor,
        minimize=cfg.callbacks.checkpoint.mode == "min",
        trials=[trial_facts(study, trial) for trial in study.trials],
        importances=study.importances(),
    )
    console = Console()
    console.print(trials_table(facts))
    if study.best is not None and unknown:
        say(f"the best, trial {study.best.number}, is no experiment: {unknown} is not in search.space")
    elif study.best is not None:
        say(f"best: {write_experiment(study, study.best, facts)}")
    say(f"page: {write_search(study.directory, facts)}")


def trial_facts(study: "Study", trial: "FrozenTrial") -> TrialFacts:
    last = max(trial.intermediate_values, default=None)
    value = trial.value if trial.value is not None else trial.intermediate_values.get(last or 0)
    state = {"COMPLETE": "finished", "FAIL": "failed"}.get(trial.state.name, trial.state.name.lower())
    return TrialFacts(
        number=trial.number,
        state="diverged" if value is not None and not math.isfinite(value) else state,
        value=value,
        parameters={
            key: f"{value:.6g}" if isinstance(value, float) else str(value) for key, value in trial.params.items()
        },
        directory=study.trial_dir(trial.number),
    )


def write_experiment(study: "Study", best: "FrozenTrial", facts: SearchFacts) -> str:
    """Write the best trial as an experiment of the study's directory; return the command that runs it."""
    name = re.sub(r"\W+", "_", f"best_of_{study.directory.name}")
    command = f"cdmtrain --config-dir {study.directory} experiment={name}"
    summary = f"{facts.monitor} {best.value:.4f}, trial {best.number} of {len(facts.trials)}"
    with composed(base_words(), best.params, study.trial_dir(best.number)) as best_cfg:
        text = experiment_yaml(f"# {command}: {summary}", best_cfg)
    write_text(study.directory / "experiment" / f"{name}.yaml", text)
    return command
