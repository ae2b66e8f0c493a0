"""cdmtrain task=export: write a run's network with its preprocessing to one file that does not need cdmtrain."""

import json
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from omegaconf import DictConfig
from torch import Tensor, nn

from cdmtrain.atomic import whole_file
from cdmtrain.batch import EventBatch
from cdmtrain.data.event_data import EventData
from cdmtrain.devices.torch_private import any_number_of_events
from cdmtrain.errors import InputError
from cdmtrain.particles import NAMES
from cdmtrain.representation.image import ImageRepresentation
from cdmtrain.runs.evaluation import combine_runs, evaluation_config, open_runs, open_test_data
from cdmtrain.runs.open import TrainedNetwork
from cdmtrain.terminal import say
from cdmtrain.training import configure_logging

NUM_CHECKED = 1000  # events
TOLERANCE = 1e-4  # of a probability; a different order of float32 sums changes it by less
CHECK_BATCH = 50  # events; the network is traced with two
Arrays = tuple[np.ndarray, ...]
Exported = Callable[[Arrays], np.ndarray]  # the probabilities that the file computes from its inputs
Write = Callable[[Any, tuple[str, ...], dict[str, str], Path], Exported]  # writes a traced network and loads it again


class FromHits(nn.Module):
    """Probabilities (B, 4) of B events from their hits: pixel (H,), energy (H,) in MeV, offset (B + 1,)."""

    inputs: tuple[str, ...] = ("pixel", "energy", "offset")

    def __init__(self, network: nn.Module, image_size: int) -> None:
        super().__init__()
        self.network = network
        self._image_size = image_size

    def forward(
        self, pixel: Int[Tensor, " hit"], energy: Float[Tensor, " hit"], offset: Int[Tensor, " event_plus_1"]
    ) -> Float[Tensor, "event class"]:
        unknown = torch.full_like(offset[1:], -1)
        size = self._image_size
        batch = EventBatch(pixel, energy, offset, class_index=unknown, dataset_index=unknown, image_size=size)
        return self.network(batch).softmax(1)

    def arrays(self, batch: EventBatch) -> Arrays:
        return batch.pixel.numpy(), batch.energy.numpy(), batch.offset.numpy()


class FromImages(FromHits):
    """Probabilities (B, 4) from dense images (B, S, S) in MeV: every pixel becomes a hit, a dark one with 0 MeV."""

    inputs = ("image",)

    def forward(self, image: Float[Tensor, "event row column"]) -> Float[Tensor, "event class"]:  # type: ignore[override]
        num_events, pixels = image.shape[0], self._image_size**2
        pixel = torch.arange(pixels, device=image.device).repeat(num_events)
        offset = torch.arange(num_events + 1, device=image.device) * pixels
        return super().forward(pixel, image.flatten(), offset)

    def arrays(self, batch: EventBatch) -> Arrays:
        return (ImageRepresentation()(batch).energy.squeeze(1).numpy(),)


def export(cfg: DictConfig) -> None:
    """Trace the network, write it, compare the file with the run on test events, and keep it if they agree."""
    configure_logging()
    formats: dict[str, tuple[str, Write]] = {"onnx": (".onnx", write_onnx), "torch": (".pt2", write_torch)}
    kinds: dict[str, type[FromHits]] = {"image": FromImages, "hits": FromHits}
    for key, known in {"format": list(formats), "takes": list(kinds)}.items():
        if cfg[key] not in known:
            raise InputError(f"{key}={cfg[key]}: one of {', '.join(known)} is expected")
    suffix, write = formats[cfg.format]
    output = Path(cfg.output or f"network{suffix}")
    if output.exists():
        raise InputError(f"output={output} exists; choose another name or remove it")
    runs = open_runs(cfg)
    used = evaluation_config(runs, cfg, free=("output", "format", "takes"))
    network, _ = combine_runs(runs, cfg)
    data = open_test_data(used, runs[0])
    dataset_index = data.parts.test[:NUM_CHECKED]
    wrapper = kinds[cfg.takes](network.eval(), runs[0].image_size)
    with silenced():
        program = traced(wrapper, data.store.make_batch(dataset_index[:2]), runs[0])
        with whole_file(output) as temporary:
            exported = write(program, wrapper.inputs, describe(runs, cfg), temporary)
            difference = largest_difference(network, wrapper, exported, data, dataset_index)
    agreement = f"the same as the run to {difference:.1e} on {len(dataset_index)} events"
    say(f"{output}: {', '.join(wrapper.inputs)} -> probability; {agreement}")


def traced(wrapper: FromHits, batch: EventBatch, run: TrainedNetwork) -> Any:
    """Trace the network as a graph of operations for any number of events and hits."""
    arguments = tuple(map(torch.from_numpy, wrapper.arrays(batch)))
    dynamic = {name: {0: torch.export.Dim.DYNAMIC} for name in wrapper.inputs}
    try:
        with any_number_of_events():
            return torch.export.export(wrapper, arguments, dynamic_shapes=dynamic)
    except Exception as error:  # torch raises many kinds
        name = type(run.model).__name__
        raise InputError(
            f"{name} cannot be exported: what it computes depends on the content of an event (numbers of hits, "
            "neighbours), which cannot be traced; use cdmtrain.load_run(...) in Python, or task=predict"
        ) from error


def describe(runs: list[TrainedNetwork], cfg: DictConfig) -> dict[str, str]:
    """The metadata of the file."""
    content = {"classes": list(NAMES), "image_size": runs[0].image_size, "takes": cfg.takes, "unit": "MeV"}
    content |= {"calibrated": bool(cfg.calibrated), "runs": [str(run.path) for run in runs]}
    return {name: json.dumps(value) for name, value in content.items()}


def write_onnx(program: Any, inputs: tuple[str, ...], about: dict[str, str], path: Path) -> Exported:
    """ONNX, run by onnxruntime."""
    try:
        import onnx
        import onnxruntime
        import onnxscript  # noqa: F401  what torch exports with
    except ModuleNotFoundError as error:
        raise InputError("format=onnx needs more packages: pip install 'cdmtrain[onnx]'") from error
    names = {"input_names": list(inputs), "output_names": ["probability"]}
    try:
        made = torch.onnx.export(program, dynamo=True, verbose=False, **names)  # type: ignore[arg-type]
    except Exception as error:  # torch and onnxscript raise many kinds
        raise InputError("this network has operations that ONNX does not know; use format=torch") from error
    assert made is not None
    model = made.model_proto
    onnx.helper.set_model_props(model, about)
    onnx.save(model, path)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return lambda arrays: session.run(["probability"], dict(zip(inputs, arrays, strict=True)))[0]


def write_torch(program: Any, inputs: tuple[str, ...], about: dict[str, str], path: Path) -> Exported:
    """A program of torch.export, run by torch alone."""
    torch.export.save(program, path, extra_files={"about.json": json.dumps(about)})
    module = torch.export.load(path).module()
    return lambda arrays: module(*map(torch.from_numpy, arrays)).detach().numpy()


@torch.no_grad()
def largest_difference(
    network: nn.Module,
    wrapper: FromHits,
    exported: Exported,
    data: EventData,
    dataset_index: Int[Tensor, " chosen"],
) -> float:
    """The largest difference of a probability between the file and the run; above TOLERANCE it is an InputError."""
    worst = 0.0
    for some in dataset_index.split(CHECK_BATCH):
        batch = data.store.make_batch(some)
        expected = network(batch).softmax(1).numpy()
        worst = max(worst, float(np.abs(exported(wrapper.arrays(batch)) - expected).max()))
    if not worst <= TOLERANCE:
        raise InputError(
            f"the exported network differs from the run by {worst:.2g} in a probability, and is not written; it takes "
            f"{wrapper.inputs[0]}: try the other of takes=image and takes=hits, or format=torch"
        )
    return worst


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
