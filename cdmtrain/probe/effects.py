"""How the answers of networks depend on the detector: each effect in several strengths, the same for every network."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from cdmtrain.augmentation.dead_lines import without_lines
from cdmtrain.augmentation.diffusion import diffused
from cdmtrain.augmentation.lost_region import without_region
from cdmtrain.augmentation.noise import noisy
from cdmtrain.augmentation.noisy_lines import with_noisy_lines
from cdmtrain.augmentation.recombination import recombined
from cdmtrain.augmentation.threshold import above_threshold
from cdmtrain.batch import EventBatch
from cdmtrain.classifier import Classifier

Change = Callable[[EventBatch, Float[Tensor, " event"], torch.Generator], EventBatch]
THRESHOLD = 4  # of the noise


@dataclass(frozen=True)
class Effect:
    """One effect and the strengths at which answers are asked for, beside 0."""

    name: str
    quantity: str  # what its strength is, with the unit
    strengths: tuple[float, ...]
    change: Change


EFFECTS = (
    Effect(
        "energy scale",
        "relative change",
        (-0.4, -0.2, -0.1, 0.1, 0.2, 0.4),
        lambda batch, change, _: replace(batch, energy=batch.energy * (1 + change)[batch.event]),
    ),
    Effect(
        "recombination",
        "share of nature's",
        (0.2, 0.4, 0.6, 0.8, 1.0),
        lambda batch, strength, _: recombined(batch, strength),
    ),
    Effect("diffusion", "width (cm)", (0.01, 0.02, 0.05, 0.1, 0.2), lambda batch, width, _: diffused(batch, width)),
    Effect(
        "noise",
        "width in a pixel (MeV)",
        (0.02, 0.04, 0.06, 0.1, 0.15),
        lambda batch, noise, generator: noisy(batch, noise, THRESHOLD * noise, generator),
    ),
    Effect("dead lines", "probability of each", (0.05, 0.1, 0.2, 0.3, 0.5), without_lines),
    Effect("noisy lines", "probability of each", (0.002, 0.01, 0.02, 0.05, 0.1), with_noisy_lines),
    Effect("lost region", "side (pixels)", (16, 32, 48, 64, 96), without_region),
    Effect(
        "threshold", "of a pixel (MeV)", (0.1, 0.2, 0.3, 0.5, 1.0), lambda batch, mev, _: above_threshold(batch, mev)
    ),
)


@dataclass(frozen=True)
class Response:
    """How a network answers at one strength of one effect."""

    effect: str
    quantity: str
    strength: float
    events: int
    accuracy: float
    changed: float  # fraction of events that are given another class than without the effect
    calibration_error: float
    efficiency: dict[str, float]  # by class


@torch.inference_mode()
def responses(
    networks: Sequence[Classifier], batches: Sequence[EventBatch], *, seed: int, effects: Sequence[Effect] = EFFECTS
) -> list[list[Response]]:
    """Return how each network answers under each effect, in the order of its strengths, 0 included.

    An effect draws the same numbers for every network and at every strength.

    Args:
        networks: in evaluation mode, on the device of the batches, for the same classes.
        batches: events of known classes.
        seed: of the random numbers.
        effects: to measure.
    """
    truth = torch.cat([batch.class_index for batch in batches])
    plain = [torch.cat([network(batch) for batch in batches]) for network in networks]
    found: list[list[Response]] = [[] for _ in networks]
    for number, effect in enumerate(effects):
        for strength in sorted({0.0, *map(float, effect.strengths)}):
            logits = plain if strength == 0 else _logits(networks, batches, effect, strength, seed + number)
            for mine, network, before, after in zip(found, networks, plain, logits, strict=True):
                mine.append(_response(effect, strength, network, before, after, truth))
    return found


def _logits(
    networks: Sequence[Classifier], batches: Sequence[EventBatch], effect: Effect, strength: float, seed: int
) -> list[Float[Tensor, "event class"]]:
    """The logits of each network for all events at one strength."""
    parts: list[list[Tensor]] = [[] for _ in networks]
    generator = torch.Generator(batches[0].pixel.device).manual_seed(seed)
    for batch in batches:
        strengths = torch.full((batch.num_events,), strength, device=batch.energy.device)
        changed = effect.change(batch, strengths, generator)
        for mine, network in zip(parts, networks, strict=True):
            mine.append(network(changed))
    return [torch.cat(mine) for mine in parts]


def _response(
    effect: Effect,
    strength: float,
    network: Classifier,
    before: Float[Tensor, "event class"],
    after: Float[Tensor, "event class"],
    truth: Int[Tensor, " event"],
) -> Response:
    metrics = network.metrics["test"]
    metrics.reset()
    metrics.update(after, truth)
    figures: dict[str, Any] = metrics.compute()
    metrics.reset()
    changed = float((before.argmax(1) != after.argmax(1)).double().mean())
    measured = figures["accuracy"], changed, figures["calibration_error"], figures["efficiency"]
    return Response(effect.name, effect.quantity, strength, len(truth), *measured)
