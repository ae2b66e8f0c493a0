"""Every model on the emulated device: its numbers are those of the processor, and its steps rarely wait."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_module

from cdmtrain.batch import EventBatch
from cdmtrain.callbacks.resources import Resources
from cdmtrain.runs.open import make_classifier

pytestmark = pytest.mark.emulated

# The most synchronizations and kernels of a training step with trainer=gpu, whatever the batch. A synchronization is
# needed for each number that the host has to know before it can go on: of nodes above the threshold and of edges
# (graphs), of lit patches, of the longest event (sequences) and the longest of each group, of sites at each resolution.
BOUNDS = {
    "alexnet": (0, 130),
    "cnn": (0, 85),
    "densenet": (0, 720),
    "dnn": (0, 65),
    "edgeconv": (3, 380),
    "gnn": (2, 150),
    "graph_network": (3, 430),
    "message_passing": (3, 300),
    "perceptron": (0, 30),
    "resnet": (0, 400),
    "rnn": (2, 500),
    "self_attention": (2, 130),
    "sparse_resnet": (4, 700),
    "transformer": (2, 1950),
    "vit": (3, 1160),
}
NARROWER = {  # of the same structure, so that a test takes seconds
    "alexnet": ["model.hidden=64", "model.dropout=0.0"],
    "resnet": ["model.width=4"],
    "densenet": ["model.width=8"],
    "transformer": ["model.width=16", "model.dropout=0.0"],
    "vit": ["model.width=16", "model.dropout=0.0"],
    "message_passing": ["model.width=32"],
    "graph_network": ["model.width=32"],
    "edgeconv": ["model.width=32"],
}
STEPS = 3

every_model = pytest.mark.parametrize("model", sorted(BOUNDS))


@pytest.fixture
def step_counts(device: Any, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The counts of the steps of a training, each from the end of the step before."""
    counts, original = [], Resources.on_train_batch_end

    def mark(self: Resources, *args: Any) -> None:
        original(self, *args)
        counts.append(device.count())

    monkeypatch.setattr(Resources, "on_train_batch_end", mark)
    return counts


def first_steps(words: list[str], place: str, batch: EventBatch) -> tuple[list[float], np.ndarray]:
    """The losses of two steps in float32 and the logits after them."""
    with initialize_config_module("cdmtrain.conf", version_base="1.3"):
        cfg = compose("config", words)
    torch.manual_seed(1)
    classifier = make_classifier(cfg).to(place).train()
    optimizer = torch.optim.Adam(classifier.parameters(), lr=1e-3, fused=True)
    batch, losses = batch.to(place), []
    for step in range(2):
        loss = classifier.training_step(batch, step)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    with torch.inference_mode():
        return losses, classifier.eval().validation_step(batch, 0).cpu().numpy()


def test_the_table_has_every_model() -> None:
    assert set(BOUNDS) == {path.stem for path in Path(__file__).parents[2].glob("conf/model/*.yaml")} - {"module"}


@every_model
@pytest.mark.filterwarnings("ignore:The usage of `scatter:UserWarning")  # torch_geometric, on a GPU
def test_losses_and_logits_are_those_of_the_processor(
    make_device: Callable[[], Any], make_batch: Callable[..., EventBatch], data: list[str], model: str
) -> None:
    words = [*data, f"model={model}", *NARROWER.get(model, [])]
    batch = make_batch(8, image_size=67, empty=[2])
    here = first_steps(words, "cpu", batch)
    with make_device():
        there = first_steps(words, "cuda", batch)
    np.testing.assert_allclose(there[0], here[0], rtol=1e-5)
    np.testing.assert_allclose(there[1], here[1], rtol=1e-4, atol=1e-5)


@every_model
@pytest.mark.parametrize("batch_size", [16, 96])
def test_a_training_in_mixed_precision_seldom_waits(
    cdmtrain: Callable[..., int], data: list[str], step_counts: list[Any], model: str, batch_size: int
) -> None:
    limits = [f"trainer.limit_{part}_batches={number}" for part, number in (("train", STEPS), ("val", 1), ("test", 1))]
    words = [*data, f"model={model}", *NARROWER.get(model, []), "trainer=gpu", *limits, "trainer.max_epochs=1"]
    assert cdmtrain(*words, f"data.batch_size={batch_size}", "run_dir=run") == 0
    results = json.loads(Path("run/results.json").read_text())
    assert np.isfinite(results["cross_entropy"])
    assert results["peak_memory_bytes"] > 0
    last = step_counts[STEPS - 2]  # the last step: between the ends of two; the counts after it are of the validation
    assert last.synchronizations.total() <= BOUNDS[model][0], last.table()
    assert last.kernels.total() <= BOUNDS[model][1], last.table()
