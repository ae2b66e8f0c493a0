"""What the lecture says of each architecture holds when it is probed: an invariance by construction is measured."""

from collections.abc import Callable

import pytest
import torch
from hydra import compose, initialize_config_module
from hydra.utils import instantiate

from cdmtrain.batch import EventBatch
from cdmtrain.config.sources import groups
from cdmtrain.probe.measure import Sensitivity, sensitivities
from cdmtrain.probe.perturbations import perturbations

MODELS = [option.name for option in groups()["model"] if option.name != "module"]  # which wraps any network
SIZE = 67  # the smallest that AlexNet takes
ROUNDING = 1e-5  # of sums in another order, in a probability


def probed(name: str, make_batch: Callable[..., EventBatch], *overrides: str) -> dict[str, Sensitivity]:
    """The sensitivities of an untrained network, by the names of the perturbations."""
    with initialize_config_module("cdmtrain.conf", version_base="1.3"):
        words = [f"model={name}", "data=hdf5", "data.files=[x]", f"data.image_size={SIZE}", *overrides]
        cfg = compose("config", overrides=words)
    torch.manual_seed(1)
    representation, model = instantiate(cfg.representation), instantiate(cfg.model).eval()
    batches = [make_batch(8, image_size=SIZE, seed=seed, empty=[3]) for seed in (1, 2)]
    found = sensitivities(representation, model, batches, perturbations(seed=1))
    return {one.perturbation: one for one in found}


def invariant(one: Sensitivity) -> bool:
    return one.total_variation is not None and one.total_variation < ROUNDING and not one.changed


@pytest.mark.parametrize("name", MODELS)
def test_every_model_is_probed_and_all_but_the_rnn_are_invariant_to_order(make_batch, name):
    found = probed(name, make_batch)
    assert len(found) == 12
    orders = [found[order] for order in ("nodes renumbered", "hits reordered") if not found[order].note]
    assert all(invariant(one) for one in orders) == (name != "rnn")
    assert all(one.events > 0 for one in found.values() if not one.note)
    assert any(not invariant(one) for one in found.values() if not one.note)


def test_the_gnn_is_invariant_under_shifts_and_symmetries(make_batch):
    found = probed("gnn", make_batch)
    assert all(invariant(found[name]) for name in found if found[name].group in ("shift", "symmetry"))
    assert not invariant(found["pixels permuted"])
    assert found["hits reordered"].note == "the network takes Graph, this is for sequences and hits"


def test_a_dense_network_is_invariant_under_no_shift(make_batch):
    found = probed("dnn", make_batch)
    assert not any(invariant(found[name]) for name in found if found[name].group in ("shift", "symmetry"))


def test_fractions_are_taken_over_the_events_of_all_batches_that_count(make_batch):
    class Rows(torch.nn.Module):
        """Predicts an electron if the first row is lit and a muon otherwise, with certainty."""

        def forward(self, batch: EventBatch) -> torch.Tensor:
            first_row = (batch.pixel < batch.image_size).float()
            lit = torch.zeros(batch.num_events).index_add_(0, batch.event, first_row) > 0
            return 100.0 * torch.nn.functional.one_hot((~lit).long(), 4)

    def batch(*events: list[int]) -> EventBatch:
        pixel = torch.tensor([p for event in events for p in event])
        offset = torch.tensor([0, *map(len, events)]).cumsum(0)
        truth = torch.zeros(len(events), dtype=torch.int64)
        return EventBatch(pixel, torch.ones(len(pixel)), offset, truth, truth, 4)

    batches = [batch([0], [5, 6]), batch([0, 3])]  # the last has to go down by one; the others go right
    found = {
        one.perturbation: one for one in sensitivities(torch.nn.Identity(), Rows(), batches, perturbations(seed=1))
    }
    one = found["shift by 1 pixel"]
    assert (one.events, one.changed, one.accuracy_before, one.accuracy) == (3, 1 / 3, 2 / 3, 1 / 3)
    assert one.total_variation == pytest.approx(1 / 3)
    assert found["shift by 16 pixels"].note == "every event loses a pixel"
