"""The program in Python: train, open runs, compare them."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from functools import cached_property, partial
from operator import attrgetter
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from matplotlib.figure import Figure
from omegaconf import DictConfig
from torch import nn

import cdmtrain.cli  # noqa: F401  (registers the resolvers that the configuration uses)
from cdmtrain.batch import EventBatch
from cdmtrain.config.calls import alone, checked_words, composed_call, record_class
from cdmtrain.config.check import check
from cdmtrain.config.explain import explained
from cdmtrain.config.targets import targets
from cdmtrain.data.conversion.convert import write_events as write_events
from cdmtrain.errors import Interrupted
from cdmtrain.probe.contributions import explained_images
from cdmtrain.probe.features import embed
from cdmtrain.report.kit.columns import Columns
from cdmtrain.report.kit.formats import drawn_as
from cdmtrain.report.leaderboard.notebook import LeaderboardColumns
from cdmtrain.report.leaderboard.ranking import make_leaderboard
from cdmtrain.report.run.notebook import figure_named, one_line, prediction_columns, summary_html
from cdmtrain.report.run.page import write_report
from cdmtrain.runs.find import find_runs, run_directory
from cdmtrain.runs.network import Prediction, TrainedNetwork, without_classes
from cdmtrain.runs.open import open_network
from cdmtrain.runs.read import RunFiles, read_run, read_run_or_problem
from cdmtrain.runs.trust import OPENED
from cdmtrain.terminal import messages_printed
from cdmtrain.training import train_run

AnyPath = str | PathLike[str]
_open = partial(open_network, without_labels=True)


class Run:
    """A run: what its directory holds, and its network, which is opened when it is first used.

        run = cdmtrain.load_run("outputs/train/cnn/2026-11-23_120000_1a2b3c")
        run.results["accuracy"]
        probability, name = run.predict(images)     # (N, 192, 192) in MeV -> (N, classes), (N,)

    Files are read anew each time, so a run in training can be watched.
    """

    def __init__(self, path: Path, open_network: Callable[[], TrainedNetwork]) -> None:
        self.path = path
        self._open_network = open_network

    @property
    def state(self) -> str:
        """Such as running, finished or interrupted; unreadable where a file is damaged."""
        return read_run_or_problem(self.path).state

    @property
    def classes(self) -> tuple[str, ...]:
        """What the network tells apart: the names of the columns of a probability."""
        return self._read().class_names

    @property
    def results(self) -> dict[str, Any]:
        """The content of results.json; empty before the run is finished."""
        return self._read().results

    @property
    def metrics(self) -> Columns:
        """The columns of metrics.csv, a row for each epoch; NaN where a field is blank."""
        return Columns(self._read().history)

    @property
    def predictions(self) -> Columns:
        """The test events of a known particle: truth, the most probable particle, the probability of each particle."""
        return prediction_columns(self._read(with_predictions=True))

    def figure(self, name: str) -> Figure:
        """Return a figure of the run's page by the name of its file, such as "roc" or "confusion_normalised"."""
        return figure_named(self._read(with_predictions=True), name)

    @cached_property
    def network(self) -> TrainedNetwork:
        """The trained network in evaluation mode.

        Raises:
            InputError: where the run cannot be opened (see `load_run`).
        """
        return self._open_network()

    model = property(attrgetter("network.model"), doc="From the representation of events to logits: a torch module.")
    representation = property(attrgetter("network.representation"), doc="From events to what the model is given.")
    cfg = property(attrgetter("network.cfg"), doc="The run's own configuration.")
    checkpoint = property(attrgetter("network.checkpoint"), doc="The file that the weights are from.")

    def predict(self, images: object, *, symmetries: bool = False) -> Prediction:
        """Classify images.

        Args:
            images: (N, S, S) deposited energy in MeV, an array or a tensor of numbers, or an EventBatch.
            symmetries: average over the eight turned and mirrored images of each event, at eight times the cost.

        Raises:
            InputError: where the image size is not that of the training, or an energy is negative or not finite.
        """
        return self.network.predict(images, symmetries=symmetries)

    def embed(self, images: object) -> Float[np.ndarray, "event feature"]:
        """Return the features of images, float32: what the network's last layer decides by.

        They are what the class's method `embed` returns, or, where it has none, the input of its last nn.Linear. Of a
        network that was trained without labels they are what its objective gives to the probe.

        Args:
            images: as in `predict`; without an image there are no columns either.

        Raises:
            InputError: as `predict`, and for a network without such features.
        """
        features = self.network.summarize or embed
        with torch.no_grad():
            parts = [features(self.representation, self.model, batch).cpu() for batch in self._batches(images)]
        return torch.cat(parts).numpy() if parts else np.empty((0, 0), np.float32)

    def explain(
        self, images: object, *, method: str = "integrated_gradients", particle: str | None = None
    ) -> Float[np.ndarray, "event row column"]:
        """Return how much each pixel speaks for a particle (None: the most probable one): `probe.contributions`."""
        if self.network.summarize:
            raise without_classes(self.path)
        network = (self.representation, self.model, self._batches(images), self.network.classes)
        return explained_images(*network, method=method, particle=particle)

    def _batches(self, images: object) -> Iterator[EventBatch]:
        return (batch.to(self.network.classifier.device) for batch in self.network.batches(images))

    def _read(self, *, with_predictions: bool = False) -> RunFiles:
        return read_run(self.path, with_predictions=with_predictions)

    def __repr__(self) -> str:
        return one_line(read_run_or_problem(self.path))

    def _repr_html_(self) -> str:
        return summary_html(read_run_or_problem(self.path))


def train(*words: str, model: nn.Module | str | None = None, representation: str | None = None) -> Run:
    """Train a run as the command `cdmtrain` does with the same words, and return it.

    After one Ctrl-C the training saves itself and the run so far is returned; a second one raises KeyboardInterrupt.
    Afterwards the process is as it was: signal handlers, warnings, logging, random numbers, settings of torch.

    Args:
        words: as typed after `cdmtrain`, such as "model=gnn", "data.events=4000", "run=outputs/train/gnn/...".
        model: the name of a model, or a network of your own from the representation to logits (event, class). Its copy
            is trained, beginning with its weights. The run records its class alone: to resume the run or to open it
            later, give such a network again.
        representation: image (the default), graph, sequence or hits: what a network of your own is given.

    Raises:
        InputError: with the sentence that the command prints.
    """
    typed = [*checked_words(words), *([f"model={model}"] if isinstance(model, str) else [])]
    network = None if isinstance(model, str) else model
    if network is not None and not any(word.startswith(("representation=", "run=")) for word in typed):
        representation = representation or "image"
    typed += [f"representation={representation}"] if representation else []
    with alone(), messages_printed(), ExitStack() as stack:
        cfg = stack.enter_context(composed_call(typed))
        with explained(), drawn_as(cfg.report.format, cfg.report.style):
            check(cfg)
            if network is not None:
                record_class(cfg, network)
            try:
                path = train_run(cfg, None, write_page=write_report, model=network).path
            except Interrupted as stopped:
                path = stopped.run
    return Run(path, partial(_open, path, trust=_packages(cfg), model=network))


def load_run(
    path: AnyPath,
    *,
    checkpoint: str = "best",
    device: str = "cpu",
    trust: Sequence[str] = (),
    model: nn.Module | None = None,
    calibrated: bool = False,
) -> Run:
    """Open a trained run; safe for runs from strangers.

    Args:
        path: the run directory; "best" is the network that comes with the package, "./best" a directory of that name.
        checkpoint: "best", "last", or the path of a checkpoint.
        device: to compute on, such as "cuda".
        trust: packages whose classes the run may build too, beside those in the environment variable CDMTRAIN_TRUST.
        model: a network like the one that was trained, for a run whose network was an object; it is copied.
        calibrated: whether `predict` gives calibrated probabilities, as `task=calibrate` found.

    Raises:
        InputError: where this is not a run, or the checkpoint is absent, damaged, or of another network.
    """
    options: dict[str, Any] = {"device": device, "trust": trust, "model": model, "calibrated": calibrated}
    directory = run_directory(path)
    run = Run(directory, partial(_open, directory, checkpoint=checkpoint, **options))
    _ = run.network
    return run


def load_runs(*places: AnyPath, device: str = "cpu", trust: Sequence[str] = ()) -> list[Run]:
    """Return the runs in directories, also those that are not finished; each network is opened when it is first used.

    Args:
        places: run directories, directories that hold runs at any depth, or patterns such as "outputs/sweeps/*cnn*".
        device, trust: as in `load_run`.

    Raises:
        InputError: where a place is not a directory.
    """
    paths = find_runs([Path(place) for place in places])
    return [Run(path, partial(_open, path, device=device, trust=trust)) for path in paths]


def leaderboard(runs: AnyPath | Sequence[Run | AnyPath], *, rank: str = "cross_entropy") -> LeaderboardColumns:
    """Rank runs by a validation metric: one row for each configuration, with mean and spread over seeds and folds.

    Args:
        runs: runs, run directories, directories that hold runs, or patterns; one of them or several.
        rank: cross_entropy, accuracy, macro_f1, calibration_error, loss (of runs without labels), or an area such as
            electron_photon_auc.

    Raises:
        InputError: where there is no run, or the metric is none to rank by.
    """
    several = [runs] if isinstance(runs, str | PathLike) else runs
    found = make_leaderboard([one.path if isinstance(one, Run) else Path(one) for one in several], rank=rank)
    return LeaderboardColumns(found)


def _packages(cfg: DictConfig) -> list[str]:
    """The packages of the classes that a training has built: opening its run may build them again."""
    return sorted({target.partition(".")[0] for part in OPENED for _, target in targets(part, cfg[part])})
