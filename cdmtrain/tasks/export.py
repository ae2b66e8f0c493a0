"""cdmtrain task=export: write a run's network with its preprocessing to one file that does not need cdmtrain."""

import hashlib
import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from omegaconf import DictConfig, OmegaConf

from cdmtrain.atomic import whole_file
from cdmtrain.batch import EventBatch
from cdmtrain.errors import InputError
from cdmtrain.export.check import Comparison, Exported, check_batches, compare
from cdmtrain.export.traced import WRAPPERS, FromHits, onnx_of_traced, traced
from cdmtrain.runs.calibration import find_calibration
from cdmtrain.runs.evaluation import combine_runs, evaluation_config, open_runs, open_test_data
from cdmtrain.runs.network import TrainedNetwork
from cdmtrain.runs.read import read_provenance, read_results
from cdmtrain.terminal import say
from cdmtrain.training import configure_logging

NUM_CHECKED = 1000  # events
TOLERANCE = {32: 1e-5, 16: 0.1}  # of a probability; a different order of float32 sums changes it by less
ALLOWED: dict[str, tuple[Any, ...]] = {"format": ("onnx", "torch"), "takes": tuple(WRAPPERS), "precision": (32, 16)}
SUFFIX = {"onnx": ".onnx", "torch": ".pt2"}


def export(cfg: DictConfig) -> None:
    """Translate or trace the network, compare the file with the run on test events, and keep it if they agree."""
    configure_logging()
    output = checked_output(cfg)
    runs = open_runs(cfg)
    used = evaluation_config(runs, cfg, free=("output", *ALLOWED))
    network, _ = combine_runs(runs, cfg)
    data = open_test_data(used, runs[0])
    chosen = data.parts.test[:NUM_CHECKED]
    wrapper = WRAPPERS[cfg.takes](network.eval(), runs[0].image_size)
    two = data.store.make_batch(chosen[:2])
    write = write_onnx if cfg.format == "onnx" else write_torch
    with silenced(), whole_file(output) as temporary:
        exported = write(runs, cfg, wrapper, two, temporary)
        batches = check_batches(data.store.make_batch, chosen)
        found = compare(network, exported, batches, TOLERANCE[cfg.precision])
        refuse_other_answers(found, cfg)
    say(f"{output}: {cfg.takes} -> probabilities; {agreement(found, len(chosen), cfg.precision)}")


def checked_output(cfg: DictConfig) -> Path:
    """The file to write, if the keys have values that are known."""
    for key, known in ALLOWED.items():
        if cfg[key] not in known:
            raise InputError(f"{key}={cfg[key]}: one of {', '.join(map(str, known))} is expected")
    if cfg.format == "torch" and cfg.precision != 32:
        raise InputError(f"precision={cfg.precision} needs format=onnx")
    output = Path(cfg.output or f"network{SUFFIX[cfg.format]}")
    if output.exists():
        raise InputError(f"output={output} exists; choose another name or remove it")
    return output


def describe(runs: list[TrainedNetwork], cfg: DictConfig) -> dict[str, Any]:
    """The metadata of the file."""
    thresholds = [float(OmegaConf.select(run.cfg, "representation.threshold_mev") or 0) for run in runs]
    return {
        "classes": list(runs[0].classes),
        "image_size": runs[0].image_size,
        "takes": cfg.takes,
        "unit": "MeV",
        "threshold_mev": thresholds if len(runs) > 1 else thresholds[0],
        "symmetries": bool(cfg.symmetries),
        "calibrated": bool(cfg.calibrated),
        "precision": cfg.precision,
        "runs": [str(run.path) for run in runs],
        "figures": [read_results(run.path) for run in runs],
        "weights_sha256": [hashlib.sha256(run.checkpoint.read_bytes()).hexdigest() for run in runs],
        "data_fingerprints": [read_provenance(run.path).fingerprints for run in runs],
    }


def write_onnx(runs: list[TrainedNetwork], cfg: DictConfig, wrapper: FromHits, two: EventBatch, path: Path) -> Exported:
    """ONNX, run by onnxruntime; a network that has no translation is traced, from two events."""
    try:
        import onnx
        import onnxruntime

        from cdmtrain.export.layers import NotTranslatedError
        from cdmtrain.export.network import feeds, onnx_model
    except ModuleNotFoundError as error:
        raise InputError("format=onnx needs more packages: pip install 'cdmtrain[onnx]'") from error
    about = describe(runs, cfg)
    calibration = find_calibration(runs, symmetries=cfg.symmetries) if cfg.calibrated else None
    scaling = (calibration.scale, calibration.bias) if calibration else None
    options = {"takes": cfg.takes, "symmetries": cfg.symmetries, "precision": cfg.precision, "scaling": scaling}
    networks = [run.classifier for run in runs]
    try:
        model = onnx_model(networks, image_size=runs[0].image_size, about=about, **options)
        arrays = feeds if cfg.takes == "hits" else wrapper_feeds(wrapper)
    except NotTranslatedError as error:
        if cfg.precision != 32:
            raise InputError(
                f"precision={cfg.precision} is for the networks of cdmtrain, and {error} is not"
            ) from error
        model = onnx_of_traced(traced(wrapper, two, type(runs[0].model).__name__), wrapper.inputs, about)
        arrays = wrapper_feeds(wrapper)
    onnx.save(model, path)
    settings = onnxruntime.SessionOptions()
    settings.log_severity_level = 4  # a failure is told in one sentence
    session = onnxruntime.InferenceSession(str(path), settings, providers=["CPUExecutionProvider"])
    return lambda batch: session.run(["probabilities"], arrays(batch))[0]


def wrapper_feeds(wrapper: FromHits) -> Any:
    """The inputs of a traced network by their names."""

    def feeds(batch: EventBatch) -> dict[str, np.ndarray]:
        return dict(zip(wrapper.inputs, wrapper.arrays(batch), strict=True))

    return feeds


def write_torch(
    runs: list[TrainedNetwork], cfg: DictConfig, wrapper: FromHits, two: EventBatch, path: Path
) -> Exported:
    """A program of torch.export, run by torch alone."""
    about = {name: json.dumps(value) for name, value in describe(runs, cfg).items()}
    program = traced(wrapper, two, type(runs[0].model).__name__)
    torch.export.save(program, path, extra_files={"about.json": json.dumps(about)})
    module = torch.export.load(path).module()
    return lambda batch: module(*map(torch.from_numpy, wrapper.arrays(batch))).detach().numpy()


def refuse_other_answers(found: Comparison, cfg: DictConfig) -> None:
    """InputError if the file says something else than the run."""
    if not found.difference <= TOLERANCE[cfg.precision]:
        raise InputError(
            f"the exported network differs from the run by {found.difference:.2g} in a probability, and is not "
            f"written; it takes {cfg.takes}: try the other of takes=image and takes=hits, or the other format"
        )


def agreement(found: Comparison, num_events: int, precision: int) -> str:
    """How well file and run agree, as text."""
    said = f"the same as the run to {found.difference:.1e} on {num_events} events"
    if precision == 32 or not found.num_known:
        return said
    of_run, of_file = (right / found.num_known for right in (found.right_of_run, found.right_of_file))
    return f"{said}, accuracy {of_file:.4f} instead of {of_run:.4f}"


@contextmanager
def silenced() -> Iterator[None]:
    """Hide what the tracer prints; a failure is explained in one sentence."""
    disabled = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(action="ignore"), redirect_stderr(StringIO()):
            yield
    finally:
        logging.disable(disabled)
