"""What a network has learned, as far as one can look at it: its first kernels, its attention, the graph it sees."""

import torch
from torch import Tensor, nn

from cdmtrain.batch import EventBatch, Graph, Image


@torch.no_grad()
def look_inside(representation: nn.Module, model: nn.Module, batch: EventBatch) -> dict[str, Tensor]:
    """Return what a network can show of itself and of some events, by name; nothing where it can show nothing.

    - kernel (K, rows, columns): what the first convolution does with the energy of pixels: of images with one channel,
      or of hits whose first feature is the energy, where the class of the model has a method `first_kernels`.
    - attention (hit): how much the decision attends to each lit pixel, where the class of the model has a method
      `attention`, which gives it for each pixel of an Image or each element of a Sequence.
    - edge (2, E): the hits that an edge of the graph goes from and to, where the nodes are hits above a threshold.

    Args:
        representation, model: the parts of the network, in evaluation mode.
        batch: events, on the device of the network.
    """
    found: dict[str, Tensor] = {}
    first = next((module for module in model.modules() if isinstance(module, nn.Conv2d)), None)
    if first is not None and first.in_channels == 1:
        found["kernel"] = first.weight[:, 0]
    first_kernels = getattr(type(model), "first_kernels", None)
    if first_kernels is not None and next(iter(getattr(representation, "features", ())), None) == "energy":
        found["kernel"] = first_kernels(model)
    inputs = representation(batch)
    if isinstance(inputs, EventBatch):  # an ensemble of networks
        return {}
    attention = getattr(type(model), "attention", None)
    if attention is not None:
        found["attention"] = _of_hits(attention(model, inputs), inputs, batch)
    threshold_mev = getattr(representation, "threshold_mev", None)
    if isinstance(inputs, Graph) and threshold_mev is not None:
        hit_of_node = (batch.energy > threshold_mev).nonzero().squeeze(1)
        found["edge"] = hit_of_node[inputs.edge_index]
    return {name: values.detach().cpu() for name, values in found.items()}


def first_of_each(class_index: Tensor, num_hits: Tensor) -> Tensor:
    """Return the place of the first event with a lit pixel of each known class, in the order of the classes."""
    lit = torch.where(num_hits > 0, class_index, -1)
    classes = lit.unique()
    return torch.tensor([int((lit == one).nonzero()[0]) for one in classes[classes >= 0]], dtype=torch.int64)


def _of_hits(attention: Tensor, inputs: object, batch: EventBatch) -> Tensor:
    """The attention of every hit, from that of pixels or from that of the elements of sequences in raster order."""
    if isinstance(inputs, Image):
        return attention.flatten(1)[batch.event, batch.pixel]
    rank = torch.arange(len(batch.pixel), device=batch.pixel.device) - batch.offset[batch.event]
    return attention[batch.event, rank]
