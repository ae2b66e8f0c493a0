"""Loggers that receive, beside the curves, the test metrics, figures and page of a run and count epochs from one."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import Logger, MLFlowLogger, TensorBoardLogger, WandbLogger
from lightning.pytorch.utilities import rank_zero_only

from cdmtrain.lock import Lock
from cdmtrain.runs import files

Results = Mapping[str, Any]  # of results.json

COST = ("parameters", "events_per_second", "train_seconds", "epochs", "best_epoch", "peak_memory_bytes")
FILES = (files.CONFIG, files.PROVENANCE, files.RESULTS, files.METRICS)  # logged beside the page
SQLITE = "sqlite:///"


@contextmanager
def closed_afterwards() -> Iterator[list[Logger]]:
    """Yield an empty list; the loggers that are put into it are closed at the end, whatever happens."""
    loggers: list[Logger] = []
    try:
        yield loggers
    finally:
        for logger in loggers:
            if isinstance(logger, RunLogger):
                logger.close()


@rank_zero_only
def log_run(loggers: list[Logger], run: Path, results: Results, classes: Sequence[str], step: int) -> None:
    """Give a run to its loggers after `step` steps: the final metrics to all, its figures and files to our own."""
    for logger in loggers:
        if isinstance(logger, RunLogger):
            logger.log_run(run, results, classes, step)
        else:
            logger.log_metrics(final_metrics(results), step)


def final_metrics(results: Results) -> dict[str, float]:
    """Return the numbers of results.json by the names that loggers use.

    The metrics of the test events begin with `test_`, those of the validation events with `best_val_`, since `val_` is
    a curve over the epochs. A metric of each particle ends in its name; a metric that is not defined is left out.
    """
    flat: dict[str, Any] = {}
    for name, value in results.items():
        label = name if name in COST else f"best_{name}" if name.startswith("val_") else f"test_{name}"
        flat |= {f"{label}_{key}": one for key, one in value.items()} if isinstance(value, dict) else {label: value}
    return {name: float(value) for name, value in flat.items() if isinstance(value, int | float)}


class RunLogger(Logger):
    """What our loggers have in common."""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Log metrics; Lightning counts epochs from zero."""
        from_one = {"epoch": metrics["epoch"] + 1} if "epoch" in metrics else {}
        super().log_metrics({**metrics, **from_one}, step)  # type: ignore[safe-super]

    def log_run(self, run: Path, results: Results, classes: Sequence[str], step: int) -> None:
        """Log the final metrics, the confusion matrix of the test events, and the figures and files of a run."""
        raise NotImplementedError

    def close(self) -> None:
        """End the connection, if there is one."""


class TensorBoard(RunLogger, TensorBoardLogger):
    """TensorBoard with every figure of the page, the confusion matrix as a table, and the settings as `hparams`.

    The settings are written when the run is finished, with the final metrics: TensorBoard reads them only once.

    Args:
        save_dir: the parent directory.
        settings: all other arguments of Lightning's TensorBoardLogger.
    """

    def __init__(self, *, save_dir: str, **settings: Any) -> None:
        super().__init__(save_dir, default_hp_metric=False, **settings)

    def log_run(self, run: Path, results: Results, classes: Sequence[str], step: int) -> None:
        self.log_hyperparams(self.hparams, final_metrics(results), step)
        from matplotlib.image import imread  # after the training, whose peak of memory it would raise

        head, *rows = confusion_table(results, classes)
        table = [head, ["---"] * len(head), *rows]
        text = "\n".join(f"| {' | '.join(map(str, row))} |" for row in table)
        self.experiment.add_text("test_confusion_matrix", text, step)
        for name, picture in figures(run).items():
            self.experiment.add_image(name, imread(picture)[..., :3], step, dataformats="HWC")
        self.finalize("success")


class MLflow(RunLogger, MLFlowLogger):
    """MLflow with the page of a run, its figures and tables, its settings and its results as artifacts.

    A run that is resumed continues the MLflow run of its name. Processes that start together wait for the first one to
    make the tables of a new SQLite file; all others would fail if each made them.

    Args:
        experiment_name: in MLflow.
        run_name: in MLflow; None for a new run with a name that MLflow makes up.
        tracking_uri: of a server, or sqlite:///<file>.
        settings: all other arguments of Lightning's MLFlowLogger.
    """

    def __init__(
        self, *, experiment_name: str, tracking_uri: str, run_name: str | None = None, **settings: Any
    ) -> None:
        with _locked(tracking_uri):
            found = _find_run(tracking_uri, experiment_name, run_name) if run_name else None
            names = {"experiment_name": experiment_name, "run_name": run_name, "run_id": found}
            super().__init__(tracking_uri=tracking_uri, **names, **settings)  # type: ignore[arg-type]
            self._start()

    @rank_zero_only
    def _start(self) -> None:
        self.experiment.update_run(self.run_id, status="RUNNING")  # Lightning makes the run when its id is asked for

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Log metrics by names that MLflow allows: a particle such as pi+ or K*(892) has others."""
        allowed = {re.sub(r"[^\w\-. :/]", "_", name.replace("+", "plus")): one for name, one in metrics.items()}
        super().log_metrics(allowed, step)

    @rank_zero_only
    def log_hyperparams(self, params: dict[str, Any]) -> None:  # type: ignore[override]
        """Log the settings once: MLflow refuses others for a run that is continued, such as more epochs."""
        if not self.experiment.get_run(self.run_id).data.params:
            super().log_hyperparams(params)

    def log_run(self, run: Path, results: Results, classes: Sequence[str], step: int) -> None:
        self.log_metrics(final_metrics(results), step)
        self.experiment.log_artifacts(self.run_id, str(run / files.REPORT), files.REPORT)
        for name in FILES:
            self.experiment.log_artifact(self.run_id, str(run / name))


class WeightsAndBiases(RunLogger, WandbLogger):
    """Weights & Biases with the page, figures and confusion matrix of a run, and its files as an artifact."""

    def log_run(self, run: Path, results: Results, classes: Sequence[str], step: int) -> None:
        import wandb

        self.log_metrics(final_metrics(results), step)
        head, *rows = confusion_table(results, classes)
        self.experiment.log(
            {name: wandb.Image(str(picture)) for name, picture in figures(run).items()}
            | {"page": wandb.Html((run / files.PAGE).read_text(encoding="utf-8"))}
            | {"test_confusion_matrix": wandb.Table(columns=head, data=rows)}
        )
        artifact = wandb.Artifact(f"run-{self.experiment.id}", type="run")
        artifact.add_dir(str(run / files.REPORT), files.REPORT)
        for name in FILES:
            artifact.add_file(str(run / name))
        self.experiment.log_artifact(artifact)

    def close(self) -> None:
        import wandb

        wandb.finish()  # W&B has one run in a process, and the next run of a sweep would be logged as this one


def figures(run: Path) -> dict[str, Path]:
    """Return the PNG files of a run's page, as {name in a logger: path}."""
    return {f"report/{picture.stem}": picture for picture in sorted((run / files.REPORT).glob("*.png"))}


def confusion_table(results: Results, classes: Sequence[str]) -> list[list[Any]]:
    """Return the confusion matrix of the test events under its header: a row for each true particle."""
    counts = results["confusion_matrix"]
    return [["true, classified as", *classes], *([name, *row] for name, row in zip(classes, counts, strict=True))]


@contextmanager
def _locked(tracking_uri: str) -> Iterator[None]:
    """Lock the SQLite file of a tracking URI, in a directory that exists afterwards; nothing for a server."""
    if not tracking_uri.startswith(SQLITE):
        yield
        return
    file = Path(tracking_uri.removeprefix(SQLITE))
    file.parent.mkdir(parents=True, exist_ok=True)
    with Lock(file.with_name(f"{file.name}.lock")).held():
        yield


def _find_run(tracking_uri: str, experiment_name: str, run_name: str) -> str | None:
    from mlflow.tracking import MlflowClient

    client = MlflowClient(tracking_uri)
    experiment = client.get_experiment_by_name(experiment_name)
    if experiment is None:
        return None
    runs = client.search_runs([experiment.experiment_id], f"attributes.run_name = '{run_name}'", max_results=1)
    return str(runs[0].info.run_id) if runs else None
