"""cdmtrain task=predict: classify every event of a file with one or several trained networks."""

import csv
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import h5py
import lightning
import numpy as np
import torch
from omegaconf import DictConfig
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from cdmtrain.atomic import whole_file
from cdmtrain.batch import EventBatch
from cdmtrain.calibration.answers import entropy, set_columns
from cdmtrain.calibration.cuts import check_cuts, passes
from cdmtrain.calibration.likeness import UNLIKE, are_many, p_values
from cdmtrain.callbacks.predictions import event_columns
from cdmtrain.config.overrides import apply_overrides
from cdmtrain.data.hdf5 import ChallengeFile
from cdmtrain.data.hdf5_writer import new_hdf5
from cdmtrain.data.quantiles import difference
from cdmtrain.data.stream import stream_batches
from cdmtrain.errors import InputError
from cdmtrain.particles import UNKNOWN_CLASS, UNKNOWN_PDG, Classes, class_indices, name_of, names_of
from cdmtrain.probe.features import recorded_or_embedded, recording
from cdmtrain.report.kit.numbers import count, percent
from cdmtrain.runs.calibration import Calibration, distances_from_training
from cdmtrain.runs.combined import with_spread
from cdmtrain.runs.evaluation import combine_runs, open_runs
from cdmtrain.runs.network import TrainedNetwork, check_image_size, most_probable
from cdmtrain.terminal import say
from cdmtrain.training import configure_logging

log = logging.getLogger(__name__)

MOST_EVENTS = 1000  # of a batch: 150 MB of dense images
UNDEFINED = "undefined"  # what `most_probable` calls an event whose probabilities are NaN
EVENTS_AT_A_TIME = 10_000  # that are written together: 1 MB, since a write costs a millisecond whatever its size
Columns = Mapping[str, np.ndarray]  # one row an event


def predict(cfg: DictConfig) -> None:
    """Read the file once, write `output` atomically, print how many events were classified as which particle."""
    configure_logging()
    source, output = Path(cfg.input), Path(cfg.output)
    writers = {".h5": write_hdf5, ".hdf5": write_hdf5, ".csv": write_csv}
    if not source.is_file():
        raise InputError(f"input={source} is not a file; give an HDF5 file in the challenge's format")
    if output.exists():
        raise InputError(f"output={output} exists; choose another name or remove it")
    if output.suffix not in writers:
        raise InputError(f"output={output}: a name that ends in {', '.join(writers)} is expected")
    runs = open_runs(cfg)
    free = ("input", "output", "ckpt", "symmetries", "calibrated", "cut", "prior", "trainer")
    apply_overrides(runs[0].cfg, cfg, parts=(), free=free)
    cuts = check_cuts(cfg.cut, runs[0].classes)
    device = lightning.Fabric(accelerator=cfg.trainer.accelerator, devices=1).device
    network, calibration = combine_runs(runs, cfg)
    about = {"input": str(source), "symmetries": bool(cfg.symmetries), "checkpoints": [str(r.checkpoint) for r in runs]}
    about["calibrated"] = bool(cfg.calibrated)
    classes = runs[0].particles
    outcomes = (*names_of(classes), UNDEFINED)
    found = np.zeros(len(outcomes), int)
    with ChallengeFile(source) as file:
        for run in runs:
            check_image_size(run, file.image_size, source=source)
        # as in the trainings, and no more than fit into memory
        batch_size = min(MOST_EVENTS, *(run.cfg.data.batch_size for run in runs))
        answer = Answer(runs, network.to(device), calibration, device)
        sets_of = calibration if cfg.prior is None else None  # they hold for the mix of the validation events
        parts = joined(classified(file, answer, classes, batch_size))
        parts = counted(with_uncertainty(parts, sets_of, cuts, names_of(classes)), outcomes, found)
        with whole_file(output) as temporary:
            writers[output.suffix](temporary, parts, classes, file.num_events, about)
    total = found.sum()
    shown = [one for one in zip(found.tolist(), outcomes, strict=True) if one[0] or one[1] != UNDEFINED]
    shares = ", ".join(f"{percent(n / total)} {name}" for n, name in shown)
    say(f"{count(int(total))} events in {output}: {shares}")
    if are_many(answer.num_unlike, int(total)):
        log.warning(
            "%s of the events are unlike the training sample (p_value below %g), so answers may mean little: do they "
            "have other particles, energies, units or noise?",
            *(percent(answer.num_unlike / total), UNLIKE),
        )


class Answer:
    """What networks say of a batch: probabilities, the spread of several, and how unlike the training sample it is."""

    def __init__(
        self,
        runs: Sequence[TrainedNetwork],
        network: torch.nn.Module,
        calibration: Calibration | None,
        device: torch.device,
    ) -> None:
        self._runs, self._network, self._device = runs, network, device
        self._distances = distances_from_training(calibration, runs)
        self._reference = calibration.distances if calibration else []
        self.num_unlike = 0  # events so far
        self._is_first = True

    @torch.inference_mode()
    def __call__(self, batch: EventBatch) -> tuple[torch.Tensor, dict[str, np.ndarray]]:
        """Return the probabilities and the columns `spread` (of several networks) and `p_value` (if calibrated).

        Says once, by the first batch, if the events are unlike those that the first run was trained on.
        """
        if self._is_first and (unlike := difference(batch, self._runs[0].trained_on)):
            log.warning("%s", unlike)
        self._is_first = False
        batch = batch.to(self._device)
        with ExitStack() as stack:  # the features are seen on the way to the answers, not computed once more
            seen = [stack.enter_context(recording(run.model)) for run in self._runs if self._distances]
            logits, spread = with_spread(self._network, batch)
        columns = {} if spread is None else {"spread": spread.cpu().numpy()}
        if self._distances:
            far = [
                distance(recorded_or_embedded(one, run.representation, run.model, batch).cpu().double().numpy())
                for distance, one, run in zip(self._distances, seen, self._runs, strict=True)
            ]
            columns["p_value"] = p_values(np.mean(far, axis=0), self._reference)
            self.num_unlike += int((columns["p_value"] < UNLIKE).sum())
        return logits.softmax(1).cpu(), columns


def classified(file: ChallengeFile, answer: Answer, classes: Classes, batch_size: int) -> Iterator[Columns]:
    """Yield the columns of a run's predictions.h5 for every batch, those of the answer, and PDG codes of others."""
    has_others = ((class_indices(file.pdg, classes) == UNKNOWN_CLASS) & (file.pdg != UNKNOWN_PDG)).any()
    for batch in with_progress(file, classes, batch_size):
        probability, more = answer(batch)
        rows = slice(int(batch.dataset_index[0]), int(batch.dataset_index[-1]) + 1)
        own = event_columns(batch, probability)
        del own["dataset_index"]
        truth = {name: values[rows] for name, values in file.truth.items()}
        if has_others:
            truth["pdg"] = file.pdg[rows]
        yield {"index": file.index[rows], **{name: values.numpy() for name, values in own.items()}, **truth, **more}


def with_uncertainty(
    parts: Iterable[Columns], calibration: Calibration | None, cuts: Mapping[str, float], names: Sequence[str]
) -> Iterator[Columns]:
    """Yield the same columns, with the entropy, what passes the cuts and, if it is calibrated, prediction sets."""
    for columns in parts:
        probability = columns["probability"]
        sets = {} if calibration is None else set_columns(probability, calibration.sets, calibration.classes)
        passed = {f"passes_{name}": one.astype(np.int8) for name, one in passes(probability, cuts, names).items()}
        yield {**columns, "entropy": entropy(probability), **sets, **passed}


def joined(parts: Iterable[Columns]) -> Iterator[Columns]:
    """Yield the columns of many batches at a time."""
    waiting: list[Columns] = []
    num_events = 0
    for columns in parts:
        waiting.append(columns)
        num_events += len(columns["index"])
        if num_events >= EVENTS_AT_A_TIME:
            yield _concatenated(waiting)
            waiting, num_events = [], 0
    if waiting:
        yield _concatenated(waiting)


def _concatenated(parts: list[Columns]) -> Columns:
    return {name: np.concatenate([columns[name] for columns in parts]) for name in parts[0]}


def counted(parts: Iterable[Columns], outcomes: Sequence[str], found: np.ndarray) -> Iterator[Columns]:
    """Yield the same columns, and add their events of each outcome to `found`."""
    for columns in parts:
        names = most_probable(columns["probability"], outcomes[:-1])
        found += [(names == name).sum() for name in outcomes]
        yield columns


def with_progress(file: ChallengeFile, classes: Classes, batch_size: int) -> Iterator[EventBatch]:
    """Yield the batches of the file, with a progress bar on a terminal."""
    bar = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console()
    with Progress(*bar, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(f"reading {file.path.name}", total=file.num_events)
        for batch in stream_batches(file, classes, batch_size=batch_size):
            yield batch
            progress.advance(task, batch.num_events)


def write_hdf5(
    path: Path, parts: Iterable[Columns], classes: Classes, num_events: int, about: Mapping[str, Any]
) -> None:
    """Write the format of a run's predictions.h5, with attributes that name the input and the checkpoints.

    The datasets have one row per event and are created at the first batch.
    """
    first = 0
    with new_hdf5(path) as (file, target):
        file.attrs.update({**about, "classes": list(names_of(classes))})
        for columns in parts:
            for name, values in columns.items():
                kind = h5py.string_dtype() if values.dtype.kind == "U" else values.dtype
                dataset = file.require_dataset(name, (num_events, *values.shape[1:]), kind)
                dataset[first : first + len(values)] = values.astype(kind)
            first += len(columns["index"])
            target.check()


def write_csv(
    path: Path, parts: Iterable[Columns], classes: Classes, num_events: int, about: Mapping[str, Any]
) -> None:
    """Write a table for a spreadsheet.

    One line per event: index, most probable particle, probabilities, and what the file knows of the event.
    """
    with path.open("w", newline="", encoding="utf-8") as stream:
        lines = csv.writer(stream, lineterminator="\n")
        for number, columns in enumerate(parts):
            table = flat(columns, classes)
            if number == 0:
                lines.writerow(table)
            lines.writerows(zip(*(values.tolist() for values in table.values()), strict=True))


def flat(columns: Columns, classes: Classes) -> dict[str, np.ndarray]:
    """The columns as numbers and names, one value per cell; the truth only if the file has it."""
    probability, names = columns["probability"], names_of(classes)
    table = {"index": columns["index"], "particle": most_probable(probability, names)}
    table |= {name: probability[:, column] for column, name in enumerate(names)}
    if "pdg" in columns:
        table["truth"] = true_names(columns["pdg"], classes)
    elif (columns["class_index"] != UNKNOWN_CLASS).any():
        table["truth"] = np.array(names)[columns["class_index"]]
    for name, values in columns.items():
        parts = values.reshape(len(values), -1).T
        if name not in ("index", "probability", "class_index", "pdg"):
            table |= {name if len(parts) == 1 else f"{name}_{number}": part for number, part in enumerate(parts)}
    return table


def true_names(pdg: np.ndarray, classes: Classes) -> np.ndarray:
    """The name of the particle of each event, as the classes call it where it is one of them; empty where unknown."""
    codes, place = np.unique(pdg, return_inverse=True)
    known = {one.pdg: one.name for one in classes} | {UNKNOWN_PDG: ""}
    return np.array([known[code] if code in known else name_of(code) for code in codes.tolist()])[place]
