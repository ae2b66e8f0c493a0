"""How much each lit pixel contributes to the answer of a network."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from cdmtrain.batch import EventBatch
from cdmtrain.errors import InputError

STEPS = 24  # of the path of integrated gradients
METHODS = ("integrated_gradients", "gradient")


def contributions(
    representation: nn.Module,
    model: nn.Module,
    batch: EventBatch,
    *,
    method: str = "integrated_gradients",
    class_index: Int[Tensor, " event"] | None = None,
    steps: int = STEPS,
) -> Float[Tensor, " hit"]:
    """Return the contribution of every lit pixel to the score of a class: positive where its energy speaks for it.

    The score is the log odds ln(p / (1 - p)) of the class against all others.

    - gradient: energy times the derivative of the score with respect to it.
    - integrated_gradients: E int_0^1 dscore(a E)/dE da, Sundararajan 2017, arXiv:1703.01365, eq. 1, from events with
      the same lit pixels and no energy. The contributions of an event add up to its score less that of the baseline,
      a -> 0. Hits that are below a representation's threshold stay so along the path.

    Args:
        representation, model: the parts of the network, in evaluation mode.
        batch: events, on the device of the network.
        class_index: whose score it is in each event; None for the class that the network finds most probable.
        steps: points of the path (Gauss and Legendre's, in the cube root of a).

    Raises:
        InputError: for another method.
    """
    if method not in METHODS:
        raise InputError(f"method={method}: integrated_gradients or gradient is expected")
    classes = most_probable(representation, model, batch) if class_index is None else class_index
    points = _path(steps) if method == METHODS[0] else [(1.0, 1.0)]
    parts = [weight * _gradient(representation, model, batch, classes, scale=scale) for scale, weight in points]
    return torch.stack(parts).sum(0) * batch.energy


def explained_images(
    representation: nn.Module,
    model: nn.Module,
    batches: Iterable[EventBatch],
    classes: Sequence[str],
    *,
    method: str,
    particle: str | None,
) -> Float[np.ndarray, "event row column"]:
    """Return the contributions of the events of some batches as dense images, float32; 0 where a pixel is dark.

    Args:
        representation, model, batches: as in `contributions`.
        classes: names of the classes, in their order.
        particle: the one of them whose score it is; None for the most probable one of each event.

    Raises:
        InputError: for another method or particle.
    """
    if particle is not None and particle not in classes:
        raise InputError(f"particle={particle}: one of {', '.join(classes)} is expected")
    images = []
    for batch in batches:
        chosen = None if particle is None else torch.full_like(batch.class_index, classes.index(particle))
        found = contributions(representation, model, batch, method=method, class_index=chosen)
        images.append(batch.image(found)[:, 0].float().cpu())
    return torch.cat(images).numpy() if images else np.empty((0, 0, 0), np.float32)


@torch.no_grad()
def most_probable(representation: nn.Module, model: nn.Module, batch: EventBatch) -> Int[Tensor, " event"]:
    """Return the class that a network finds most probable for each event."""
    return model(representation(batch)).argmax(1)


def score(logits: Float[Tensor, "event class"], class_index: Int[Tensor, " event"]) -> Float[Tensor, " event"]:
    """Return the log odds of a class against all others, for each event."""
    chosen = nn.functional.one_hot(class_index, logits.shape[1]).bool()
    return logits[chosen] - logits.masked_fill(chosen, -torch.inf).logsumexp(1)


@contextmanager
def scaled_threshold(representation: nn.Module, scale: float) -> Iterator[None]:
    """Multiply the threshold of a representation, if it has one, so that scaled events have the same hits above it."""
    threshold = getattr(representation, "threshold_mev", None)
    if threshold is None:
        yield
        return
    representation.threshold_mev = scale * threshold
    try:
        yield
    finally:
        representation.threshold_mev = threshold


def _gradient(
    representation: nn.Module, model: nn.Module, batch: EventBatch, class_index: Int[Tensor, " event"], *, scale: float
) -> Float[Tensor, " hit"]:
    """The derivative of the scores with respect to the energies, where all energies are multiplied by `scale`.

    cuDNN differentiates recurrent networks in training mode only, so it is left out.
    """
    with torch.enable_grad(), torch.backends.cudnn.flags(enabled=False), scaled_threshold(representation, scale):
        energy = (scale * batch.energy.detach()).requires_grad_()
        inputs = representation(replace(batch, energy=energy.clone()))
        logits = model.forward(inputs)  # a compiled network would be compiled once more, with gradients of its input
        total = score(logits, class_index).sum()
        if not total.requires_grad:  # a network that does not look at the energies
            return torch.zeros_like(energy)
        return torch.autograd.grad(total, energy, materialize_grads=True)[0]


def _path(steps: int) -> list[tuple[float, float]]:
    """The points a from 0 to 1 and their weights: the integrand of a logarithmic scale is steep near 0."""
    position, weight = np.polynomial.legendre.leggauss(steps)
    root = (1 + position) / 2
    return list(zip((root**3).tolist(), (1.5 * root**2 * weight).tolist(), strict=True))
