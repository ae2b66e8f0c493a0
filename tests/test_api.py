"""The program in Python: a training, the run that it gives, and the process, which is as it was before."""

import json
import logging
import os
import random
import re
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from torch import nn

import cdmtrain
from cdmtrain import InputError, cli
from cdmtrain.batch import Image

pytestmark = pytest.mark.usefixtures("without_page")

Capture = pytest.CaptureFixture[str]
TIMES = ("events_per_second", "train_seconds", "peak_memory_bytes")


class MyNet(nn.Module):
    """A network that a user wrote in a notebook."""

    def __init__(self, width: int = 4) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(256, width), nn.ReLU(), nn.Linear(width, 4))

    def forward(self, image: Image) -> torch.Tensor:
        return self.layers(image.energy)


@pytest.fixture
def words(trained: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The words of a training of half a second, in an empty directory; the model is not among them."""
    monkeypatch.chdir(tmp_path)
    data = ["data=hdf5", f"data.files=[{trained.file}]", f"data.cache_dir={trained.file.parent}", "data.image_size=16"]
    return [*data, "data.batch_size=5", "trainer=cpu", "trainer.max_epochs=2"]


def cnn(words: list[str]) -> list[str]:
    return ["model=cnn", "model.channels=[2]", *words]


@pytest.fixture
def run(trained: SimpleNamespace) -> cdmtrain.Run:
    return cdmtrain.load_run(trained.path)


def without_times(results: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in results.items() if name not in TIMES}


def weights(run: Path) -> dict[str, torch.Tensor]:
    return torch.load(run / "checkpoints/best.ckpt", weights_only=True)["state_dict"]


def assert_same_training(first: Path, second: Path) -> None:
    one, other = (json.loads((path / "results.json").read_text()) for path in (first, second))
    assert without_times(one) == without_times(other)
    one, other = weights(first), weights(second)
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)
    with h5py.File(first / "predictions.h5") as mine, h5py.File(second / "predictions.h5") as its:
        np.testing.assert_array_equal(mine["probability"], its["probability"])


def test_a_training_from_python_equals_the_command_with_the_same_words_to_the_bit(
    trained: SimpleNamespace, words: list[str]
) -> None:
    other = cdmtrain.train(*cnn(words), "seed=2")
    run = cdmtrain.train(*cnn(words))
    assert_same_training(run.path, trained.path)
    assert other.results["cross_entropy"] != run.results["cross_entropy"]
    recorded = json.loads((run.path / "provenance.json").read_text())
    assert shlex.split(recorded["command"]) == ["cdmtrain", *cnn(words)]


def state_of_the_process() -> dict[str, Any]:
    loggers = [logging.getLogger(name) for name in (None, "cdmtrain", "lightning.pytorch", "lightning.fabric")]
    return {
        "signals": {number: signal.getsignal(number) for number in signal.valid_signals()},
        "loggers": [(one.level, list(one.handlers), list(one.filters), one.propagate) for one in loggers],
        "warnings": list(warnings.filters),
        "environment": dict(os.environ),
        "random": (random.getstate(), str(np.random.get_state()), torch.get_rng_state().tolist()),  # noqa: NPY002
        "threads": torch.get_num_threads(),
        "precision": torch.get_float32_matmul_precision(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "cudnn": (torch.backends.cudnn.benchmark, torch.backends.cuda.cudnn_sdp_enabled()),
        "fill": torch.utils.deterministic.fill_uninitialized_memory,  # type: ignore[attr-defined]
        "gradients": torch.is_grad_enabled(),
        "default": torch.get_default_dtype(),
        "hydra": (GlobalHydra.instance().hydra, HydraConfig.instance().cfg),
        "command": list(sys.argv),
        "directory": os.getcwd(),
        "stdout": sys.stdout,
    }


@pytest.mark.parametrize("word", ["trainer.deterministic=true", "optimizer.lr=-1", "model.channels=[a]"])
def test_the_process_is_afterwards_as_it_was_also_after_an_error(words: list[str], word: str) -> None:
    signal_before = signal.signal(signal.SIGTERM, lambda *_: None)
    try:
        before = state_of_the_process()
        try:
            cdmtrain.train(*cnn(words), word)
        except InputError:
            assert "=-1" in word or "[a]" in word
        assert state_of_the_process() == before
    finally:
        signal.signal(signal.SIGTERM, signal_before)


def test_a_training_in_a_thread_is_the_same(trained: SimpleNamespace, words: list[str]) -> None:
    runs: list[cdmtrain.Run] = []
    thread = threading.Thread(target=lambda: runs.append(cdmtrain.train(*cnn(words))))
    thread.start()
    thread.join()
    assert_same_training(runs[0].path, trained.path)


def test_a_second_training_at_the_same_time_is_refused(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    sentences = []

    def train_again(*_: object, **__: object) -> SimpleNamespace:
        with pytest.raises(InputError, match="a training runs in this process already") as error:
            cdmtrain.train(*words)
        sentences.append(str(error.value))
        return SimpleNamespace(path=Path("run"))

    monkeypatch.setattr("cdmtrain.api.train_run", train_again)
    cdmtrain.train(*words)
    assert len(sentences) == 1


@pytest.mark.parametrize(
    "word",
    [
        "lrr=1",
        "model=nett",
        "optimizer.lr=x",
        "trainer.accelerator=gpu",
        "data.files=[nowhere.h5]",
        "model.channels=[a]",
    ],
)
def test_an_error_is_an_exception_with_the_sentence_of_the_command(
    words: list[str], word: str, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    with pytest.raises(InputError) as error:
        cdmtrain.train("model=cnn", *words, word)
    capsys.readouterr()
    monkeypatch.setattr(sys, "argv", ["cdmtrain", "model=cnn", *words, word])
    assert cli.main() == 1
    assert f"error: {error.value}\n" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("word", "sentence"),
    [
        ("-m", "-m is for the command; cdmtrain.train trains one run: for several, write a loop"),
        ("task=probe", "cdmtrain.train trains; task=probe is for the command"),
        (3, 'takes words such as "model=gnn"; 3 is none'),
    ],
)
def test_what_only_the_command_can_do_is_one_sentence(word: Any, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        cdmtrain.train(word)


def test_a_network_of_ones_own_trains_is_recorded_by_its_class_and_opens_with_one_like_it(
    words: list[str], trained: SimpleNamespace
) -> None:
    network = MyNet()
    before = [parameter.clone() for parameter in network.parameters()]
    run = cdmtrain.train(*words, model=network, representation="image")
    assert all(map(torch.equal, before, network.parameters()))  # its copy was trained
    assert run.path.parent == Path("outputs/train/MyNet")
    assert "MyNet on hdf5, finished" in repr(run)
    expected = run.predict(trained.images).probability
    assert run.results["accuracy"] == np.mean(run.predictions["particle"] == run.predictions["truth"])
    with pytest.raises(InputError, match=r"this run uses .*MyNet.* trust=|a class of a notebook"):
        cdmtrain.load_run(run.path)
    opened = cdmtrain.load_run(run.path, model=MyNet())
    np.testing.assert_array_equal(opened.predict(trained.images).probability, expected)
    with pytest.raises(InputError, match=r"best\.ckpt holds the weights of another network"):
        cdmtrain.load_run(run.path, model=MyNet(width=5))
    command = json.loads((run.path / "provenance.json").read_text())["command"]
    assert command.startswith('cdmtrain.train("data=hdf5"')
    assert command.endswith("model=MyNet(...))")


def test_a_network_that_is_an_object_trains_on_one_device(words: list[str]) -> None:
    with pytest.raises(InputError, match="a network that is given as an object trains on one device"):
        cdmtrain.train(*words, "trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2", model=MyNet())


def test_a_network_of_ones_own_and_the_settings_of_another_are_refused(words: list[str]) -> None:
    with pytest.raises(InputError, match=r"model= and model=<an object> were both given"):
        cdmtrain.train(*cnn(words), model=MyNet())


@pytest.mark.parametrize("flag", [["--config-dir=my"], ["--config-dir", "my"]], ids=len)
def test_a_network_in_a_directory_of_ones_own_trains_and_predicts(
    words: list[str], trained: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, flag: list[str]
) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "minenet", raising=False)
    Path("my/model").mkdir(parents=True)
    Path("my/model/minenet.yaml").write_text("_target_: minenet.MineNet\nwidth: 3\n")
    Path("my/minenet.py").write_text(
        "from torch import nn\nclass MineNet(nn.Module):\n    def __init__(self, width):\n        super().__init__()\n"
        "        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(256, width), nn.Linear(width, 4))\n\n"
        "    def forward(self, image):\n        return self.layers(image.energy)\n"
    )
    run = cdmtrain.train(*flag, "model=minenet", *words)
    assert run.path.parent == Path("outputs/train/minenet")
    assert run.embed(trained.images).shape == (100, 3)
    with pytest.raises(InputError, match="model=minenet does not exist"):
        cdmtrain.train("model=minenet", *words)


def interrupt_when(condition: Callable[[], bool], *, again: Callable[[], bool] | None = None) -> threading.Thread:
    """Send Ctrl-C to this process once a condition holds; and once more."""

    def send() -> None:
        for one in (condition, again):
            while one is not None and not one():
                time.sleep(0.01)
            if one is not None:
                os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=send, daemon=True)
    thread.start()
    return thread


def test_ctrl_c_returns_the_run_so_far_and_it_is_resumed_to_the_bit(words: list[str], capsys: Capture) -> None:
    model = MyNet()
    whole = cdmtrain.train(*words, "trainer.max_epochs=40", model=model)
    capsys.readouterr()
    begun = Path("mine/metrics.csv")
    before = signal.default_int_handler
    signal.signal(signal.SIGINT, before)  # a shell may have started the tests without it
    thread = interrupt_when(lambda: begun.exists() and len(begun.read_text().splitlines()) > 2)
    run = cdmtrain.train(*words, "trainer.max_epochs=40", "run_dir=mine", model=model)
    thread.join()
    assert signal.getsignal(signal.SIGINT) is before
    assert (run.path, run.state) == (Path("mine"), "interrupted")
    assert 2 <= run.metrics.num_rows < 40
    assert run.results == {}
    assert not run.predictions
    assert "interrupted" in repr(run)
    assert "interrupted" in run._repr_html_()
    assert 'interrupted; to resume: cdmtrain.train("run=mine", model=...)' in capsys.readouterr().out
    resumed = cdmtrain.train("run=mine", model=model)
    assert resumed.state == "finished"
    assert_same_training(resumed.path, whole.path)


def test_a_script_prints_a_line_for_each_epoch_without_carriage_returns(words: list[str]) -> None:
    script = f"import cdmtrain\nrun = cdmtrain.train(*{[*cnn(words), 'print_config=false']!r})\nprint(run)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    first, *epochs, last = done.stdout.split("\n")[:-1]
    assert "\r" not in done.stdout
    assert first.startswith("the test part has no muon")
    assert [line[:9] for line in epochs] == ["epoch 1/2", "epoch 2/2"]
    assert re.fullmatch("<run outputs/train/cnn/.*: cnn on hdf5, finished, .*>", last)
    assert done.stderr == ""


def test_a_run_has_its_results_epochs_and_predictions_as_columns(run: cdmtrain.Run, trained: SimpleNamespace) -> None:
    assert run.results == json.loads((trained.path / "results.json").read_text())
    assert run.state == "finished"
    assert run.metrics["epoch"].tolist() == [1, 2]
    found = run.predictions
    assert found["index"].tolist() == list(range(1092, 1100))
    probability = np.stack([found[name] for name in run.classes], axis=1)
    np.testing.assert_array_equal(probability, run.predict(trained.images[92:]).probability)
    assert found["particle"].tolist() == run.predict(trained.images[92:]).name.tolist()
    assert np.mean(found["particle"] == found["truth"]) == run.results["accuracy"]
    assert {len(column) for column in found.values()} == {8}


def test_the_last_layer_turns_the_features_into_the_logits(run: cdmtrain.Run, trained: SimpleNamespace) -> None:
    features = run.embed(trained.images)
    assert (features.dtype, features.shape) == (np.dtype(np.float32), (100, run.model.linear.in_features))  # type: ignore[union-attr]
    logits = run.model.linear(torch.from_numpy(features))  # type: ignore[operator]
    torch.testing.assert_close(logits.softmax(1).detach(), torch.from_numpy(run.predict(trained.images).probability))
    assert run.embed(trained.images[:0]).shape == (0, 0)
    with pytest.raises(InputError, match="images of 8 x 8 pixels"):
        run.embed(np.zeros((1, 8, 8)))


def test_columns_become_a_data_frame_where_pandas_is_installed(
    run: cdmtrain.Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pandas", SimpleNamespace(DataFrame=lambda columns: columns))
    assert run.metrics.to_pandas().keys() == run.metrics.keys()
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(InputError, match=r"to_pandas\(\) needs pandas: pip install pandas"):
        run.metrics.to_pandas()


def test_every_figure_of_the_page_is_one_by_its_name(run: cdmtrain.Run, trained: SimpleNamespace) -> None:
    names = {path.stem for path in (trained.path / "report").glob("*.png")}
    with pytest.raises(InputError, match=r"has no figure 'rocs'; the page has loss, accuracy, .*roc") as error:
        run.figure("rocs")
    assert set(str(error.value).partition("has loss")[2].split(", ")[1:]) == names - {"loss"}
    figure = run.figure("roc")
    assert figure._repr_png_()[:4] == b"\x89PNG"
    assert "efficiency" in figure.axes[0].get_ylabel()


def test_a_run_shows_itself_in_a_line_and_as_a_table(run: cdmtrain.Run) -> None:
    assert re.fullmatch(r"<run /.*/run: cnn on hdf5, finished, 2 epochs, test accuracy [\d.]+%>", repr(run))
    html = run._repr_html_()
    assert all(words in html for words in ("accuracy", "efficiency", "true \\ predicted", str(run.path)))


@pytest.fixture
def stranger(trained: SimpleNamespace, tmp_path: Path) -> Iterator[Path]:
    """A run whose words would do harm in a notebook or a terminal."""
    shutil.copytree(trained.path, tmp_path / "evil\x1b[31m")
    file = tmp_path / "evil\x1b[31m" / "provenance.json"
    content = json.loads(file.read_text())
    content["choices"]["model"] = "<script>alert(1)</script>\x1b[2J"
    content["accelerator"] = "<img src=x onerror=alert(2)>"
    file.write_text(json.dumps(content))
    return tmp_path / "evil\x1b[31m"


def test_the_words_of_a_stranger_are_shown_as_words(stranger: Path) -> None:
    (run,) = cdmtrain.load_runs(stranger)
    board = cdmtrain.leaderboard([run])
    for html in (run._repr_html_(), board._repr_html_()):
        assert "<script" not in html
        assert "<img" not in html
        assert "&lt;script&gt;" in html
    assert "\x1b" not in repr(run) + repr(board)


def test_a_run_that_cannot_be_read_still_shows_itself(trained: SimpleNamespace, tmp_path: Path) -> None:
    shutil.copytree(trained.path, tmp_path / "run")
    (tmp_path / "run/results.json").write_text("{")
    (run,) = cdmtrain.load_runs(tmp_path)
    assert run.state == "unreadable"
    assert "unreadable" in repr(run)
    assert "not valid JSON" in run._repr_html_()
    with pytest.raises(InputError, match="not valid JSON"):
        _ = run.results


def test_runs_are_found_by_patterns_and_ranked() -> None:
    sweep = Path(__file__).parent / "fixtures/sweep_0_1"
    runs = cdmtrain.load_runs(f"{sweep}/sparse*", sweep / "gnn_seed1_5570bab3")
    assert [run.path.name[:3] for run in runs] == ["spa", "gnn"]
    board = cdmtrain.leaderboard(runs)
    assert board["rank"].tolist() == [1, 2]
    losses = board["val_cross_entropy_mean"]
    assert losses.tolist() == sorted(run.results["val_cross_entropy"] for run in runs)
    assert np.isnan(board["val_cross_entropy_spread"]).all()
    assert cdmtrain.leaderboard(sweep, rank="accuracy").num_rows == 2
    assert "<leaderboard of 2 configurations, ranked by val_cross_entropy; the best is " in repr(board)
    assert "cross entropy" in board._repr_html_()
    with pytest.raises(InputError, match="runs=nowhere is not a directory"):
        cdmtrain.load_runs("nowhere")
    with pytest.raises(InputError, match="rank=speed is not a metric to rank by"):
        cdmtrain.leaderboard(sweep, rank="speed")


def test_what_the_package_offers_is_listed_and_nothing_heavy_is_imported_for_it() -> None:
    heavy = "('torch', 'numpy', 'hydra', 'lightning', 'matplotlib')"
    code = f"import sys, cdmtrain; print(dir(cdmtrain)); sys.exit(str([n for n in {heavy} if n in sys.modules] or ''))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr.strip() == ""
    assert {"train", "load_run", "load_runs", "leaderboard", "Run", "InputError"} <= set(
        re.findall(r"\w+", done.stdout)
    )
    with pytest.raises(AttributeError, match="no attribute 'load_rums'"):
        cdmtrain.load_rums  # noqa: B018
