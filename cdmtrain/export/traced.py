"""Networks as torch.export traces them: for torch alone, and for networks that have no translation here."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from cdmtrain.batch import EventBatch
from cdmtrain.devices.torch_private import any_number_of_events
from cdmtrain.errors import InputError

Arrays = tuple[np.ndarray, ...]


class FromHits(nn.Module):
    """Probabilities (B, C) of B events from their hits: pixel (H,), energy (H,) in MeV, offset (B + 1,)."""

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
    """Probabilities (B, C) from dense images (B, S, S) in MeV: every pixel becomes a hit, a dark one with 0 MeV."""

    inputs = ("image",)

    def forward(self, image: Float[Tensor, "event row column"]) -> Float[Tensor, "event class"]:  # type: ignore[override]
        num_events, pixels = image.shape[0], self._image_size**2
        pixel = torch.arange(pixels, device=image.device).repeat(num_events)
        offset = torch.arange(num_events + 1, device=image.device) * pixels
        return super().forward(pixel, image.flatten(), offset)

    def arrays(self, batch: EventBatch) -> Arrays:
        return (batch.image(batch.energy).squeeze(1).numpy(),)


WRAPPERS: dict[str, type[FromHits]] = {"image": FromImages, "hits": FromHits}


def traced(wrapper: FromHits, batch: EventBatch, name: str) -> Any:
    """Trace a network as a graph of operations for any number of events and hits; `name` is that of its class."""
    arguments = tuple(map(torch.from_numpy, wrapper.arrays(batch)))
    wrapper.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]  # else two events are the least
    dynamic = {name: {0: torch.export.Dim.DYNAMIC} for name in wrapper.inputs}
    try:
        with any_number_of_events():
            return torch.export.export(wrapper, arguments, dynamic_shapes=dynamic)
    except Exception as error:  # torch raises many kinds
        raise InputError(
            f"{name} cannot be exported: what it computes depends on the content of an event (numbers of hits, "
            "neighbours), which cannot be traced; use cdmtrain.load_run(...) in Python, or task=predict"
        ) from error


def onnx_of_traced(program: Any, inputs: tuple[str, ...], about: dict[str, Any]) -> Any:
    """An ONNX model of a traced network."""
    import onnx

    names = {"input_names": list(inputs), "output_names": ["probabilities"]}
    try:
        made = torch.onnx.export(program, dynamo=True, verbose=False, **names)  # type: ignore[arg-type]
    except Exception as error:  # torch and onnxscript raise many kinds
        raise InputError("this network has operations that ONNX does not know; use format=torch") from error
    assert made is not None
    model = made.model_proto
    onnx.helper.set_model_props(model, {name: json.dumps(value) for name, value in about.items()})
    return model
