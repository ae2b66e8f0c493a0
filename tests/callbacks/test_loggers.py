"""What TensorBoard and MLflow hold of a finished run, read back as their own programs read it."""

import json
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from cdmtrain import cli
from cdmtrain.callbacks.loggers import final_metrics
from cdmtrain.particles import NAMES

SMALL = [
    "model=dnn",
    "model.width=4",
    "data.image_size=16",
    "data.batch_size=10",
    "trainer=cpu",
    "trainer.max_epochs=2",
]
Train = Callable[..., dict[str, Any]]


@pytest.fixture
def train(tmp_path: Path, challenge_file: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> Train:
    """Trains two epochs in the directory run/ here, with more words; returns results.json."""
    monkeypatch.chdir(tmp_path)
    file = challenge_file(num_events=200)

    def run(*words: str) -> dict[str, Any]:
        typed = ["cdmtrain", "data=hdf5", f"data.files=[{file}]", "run_dir=run", "print_config=false", *SMALL, *words]
        monkeypatch.setattr(sys, "argv", typed)
        assert cli.main() == 0
        results: dict[str, Any] = json.loads(Path("run/results.json").read_text())
        return results

    return run


def png_names() -> set[str]:
    return {f"report/{path.stem}" for path in Path("run/report").glob("*.png")}


def test_tensorboard_holds_the_test_metrics_the_figures_and_the_settings(train: Train) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    results = train("logger=tensorboard")
    events = EventAccumulator("run/tensorboard", size_guidance={"images": 0}).Reload()
    scalars = {name: [(one.step, one.value) for one in events.Scalars(name)] for name in events.Tags()["scalars"]}
    assert [value for _, value in scalars["epoch"]] == [1, 1, 2, 2]  # of the validation and of the training
    assert scalars["test_accuracy"] == [(34, pytest.approx(results["accuracy"]))]
    assert scalars["test_roc_auc_muon"] == [(34, pytest.approx(results["roc_auc"]["muon"]))]
    assert scalars["best_val_cross_entropy"] == [(34, pytest.approx(results["val_cross_entropy"]))]
    best = scalars["val_confusion_photon_muon"][results["best_epoch"] - 1]
    assert best[1] == results["val_confusion_matrix"][NAMES.index("photon")][NAMES.index("muon")]

    assert set(events.Tags()["images"]) == png_names() > {"report/confusion_normalised", "report/roc"}
    picture = events.Images("report/confusion_normalised")[-1]
    assert (picture.width, picture.height) == (960, 860)
    table = events.Tensors("test_confusion_matrix/text_summary")[0].tensor_proto.string_val[0].decode()
    counts = [[int(cell) for cell in line.split("|")[2:-1]] for line in table.splitlines()[2:]]
    assert counts == results["confusion_matrix"]

    settings = events.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
    assert b"model/width" in settings
    metrics = events.SummaryMetadata("_hparams_/experiment").plugin_data.content
    assert b"test_accuracy" in metrics


def needs_mlflow(test: Callable[..., None]) -> Callable[..., None]:
    """Skips a test where MLflow is not installed, which is as large as half of the other packages together."""
    absent = pytest.mark.skipif(find_spec("mlflow") is None, reason="MLflow is absent; pip install mlflow-skinny")
    return absent(pytest.mark.filterwarnings("ignore::DeprecationWarning")(test))  # sqlalchemy's, about MLflow


@needs_mlflow
def test_mlflow_holds_one_run_with_the_test_metrics_the_page_and_the_settings_even_if_resumed(train: Train) -> None:
    from mlflow.tracking import MlflowClient

    results = train("logger=mlflow")
    client = MlflowClient("sqlite:///outputs/mlflow.db")
    (experiment,) = client.search_experiments(filter_string="name = 'cdmtrain'")
    (run,) = client.search_runs([experiment.experiment_id])
    assert (run.info.run_name, run.info.status) == ("run", "FINISHED")
    assert run.data.params["model/width"] == "4"
    assert run.data.metrics.items() >= final_metrics(results).items()
    assert [metric.value for metric in client.get_metric_history(run.info.run_id, "epoch")] == [1, 1, 2, 2]
    logged = {file.path for file in client.list_artifacts(run.info.run_id, "report")}
    assert logged == {f"report/{path.name}" for path in Path("run/report").iterdir()} > {"report/index.html"}
    assert "results.json" in {file.path for file in client.list_artifacts(run.info.run_id)}

    Path("run/status.json").unlink()
    train("logger=mlflow")
    assert len(client.search_runs([experiment.experiment_id])) == 1


MAKE = "from cdmtrain.callbacks.loggers import MLflow; MLflow(experiment_name='a', tracking_uri='sqlite:///new/a.db')"


@needs_mlflow
def test_processes_that_start_together_share_a_new_file_of_mlflow(tmp_path: Path) -> None:
    processes = [subprocess.Popen([sys.executable, "-c", MAKE], cwd=tmp_path) for _ in range(2)]
    assert [process.wait() for process in processes] == [0, 0]


def test_a_metric_that_is_not_defined_is_not_logged() -> None:
    results = {"accuracy": 0.5, "val_accuracy": 0.25, "roc_auc": {"muon": None, "proton": 1.0}, "epochs": 3}
    expected = {"test_accuracy": 0.5, "best_val_accuracy": 0.25, "test_roc_auc_proton": 1.0, "epochs": 3.0}
    assert final_metrics(results) == expected
