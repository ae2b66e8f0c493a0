"""Features of events and distances to the border can be given to every model that does not take images."""

import functools
from dataclasses import replace

import pytest
import torch
from hydra import compose, initialize_config_module
from hydra.utils import instantiate
from omegaconf import DictConfig
from torch import nn

from cdmtrain.augmentation.shifts import shifted
from cdmtrain.batch import EventBatch
from cdmtrain.errors import InputError
from cdmtrain.model.dnn import DNN
from cdmtrain.representation.event_features import EventFeature
from cdmtrain.representation.features import Energy
from cdmtrain.representation.hits import HitsRepresentation

ALL = "representation/event_features=[num_hits,energy,extent,border_distance]"
HITS = ("dnn", "perceptron", "sparse_resnet")
GRAPH = ("gnn", "message_passing", "edgeconv", "graph_network")
SEQUENCE = ("rnn", "self_attention", "transformer")
SIZE = 33


class Silenced:
    """A feature with zeros in all its columns."""

    def __init__(self, feature: EventFeature) -> None:
        self.feature, self.num_columns = feature, feature.num_columns

    def __call__(self, batch: EventBatch) -> torch.Tensor:
        return 0 * self.feature(batch)


every_model = pytest.mark.parametrize("name", HITS + GRAPH + SEQUENCE)


@functools.cache
def composed(*words: str) -> DictConfig:
    with initialize_config_module("cdmtrain.conf", version_base="1.3"):
        return compose("config", overrides=[*words, "data=hdf5", "data.files=[x]", f"data.image_size={SIZE}"])


def network(*words: str) -> nn.Sequential:
    """Representation and model, with weights drawn from seed 1."""
    cfg = composed(*words)
    torch.manual_seed(1)
    return nn.Sequential(instantiate(cfg.representation), instantiate(cfg.model))


@every_model
def test_a_model_is_built_for_the_features_of_events_and_learns_from_each_of_them(name, make_batch):
    net, batch = network(f"model={name}", ALL), make_batch(16, image_size=SIZE, empty=[3])
    logits = net(batch)
    assert logits.shape == (16, 4)
    nn.functional.cross_entropy(logits, batch.class_index).backward()
    assert all(weight.grad.isfinite().all() for weight in net.parameters())
    features = net[0].event_features
    for name, feature in features.items():  # without one of them the same weights give other logits
        net[0].event_features = {**features, name: Silenced(feature)}
        assert not torch.equal(net(batch), logits), name


@pytest.mark.parametrize("name", GRAPH + SEQUENCE)
def test_a_model_is_built_for_distances_to_the_border(name, make_batch):
    net = network(f"model={name}", "representation/features=[energy,position,border_distance]")
    assert net(make_batch(4, image_size=SIZE)).shape == (4, 4)


@every_model
def test_without_them_a_model_has_the_weights_it_always_had(name):
    width = {"sparse_resnet": 15, "gnn": 1, "dnn": SIZE**2, "perceptron": SIZE**2, "transformer": 3 + 32}.get(name, 3)
    first = next(weight for key, weight in network(f"model={name}")[1].named_parameters() if weight.ndim > 1)
    assert width in first.shape


@every_model
def test_logits_of_a_batch_are_those_of_its_events_in_another_order(name, random_events):
    net = network(f"model={name}", ALL).eval()
    batch, turned = random_events
    torch.testing.assert_close(net(turned).flip(0), net(batch), rtol=1e-4, atol=1e-5)  # float32 sums


@pytest.fixture
def random_events(make_batch):
    """Events, and the same events in the opposite order."""
    batch = make_batch(6, image_size=SIZE, empty=[2])
    events = [slice(*batch.offset[k : k + 2].tolist()) for k in range(6)]
    hit = torch.cat([torch.arange(part.start, part.stop) for part in reversed(events)])
    offset = nn.functional.pad(batch.num_hits.flip(0).cumsum(0), (1, 0))
    turned = type(batch)(
        pixel=batch.pixel[hit],
        energy=batch.energy[hit],
        offset=offset,
        class_index=batch.class_index.flip(0),
        dataset_index=batch.dataset_index.flip(0),
        image_size=SIZE,
    )
    return batch, turned


def test_gnn_logits_stay_invariant_under_shifts_with_features_that_are(make_batch):
    small = make_batch(6, image_size=SIZE - 16)
    rows, columns = small.row + 8, small.column + 8
    central = replace(small, pixel=rows * SIZE + columns, image_size=SIZE)
    moved = shifted(central, torch.full((6,), 5), torch.full((6,), -7))
    invariant = network("model=gnn", "representation/event_features=[num_hits,energy,extent]").eval()
    torch.testing.assert_close(invariant(moved), invariant(central), rtol=1e-4, atol=1e-5)  # float32 sums
    aware = network("model=gnn", "representation/event_features=[border_distance]").eval()
    assert (aware(moved) - aware(central)).abs().max() > 1e-3


@pytest.mark.parametrize("name", [name for name in SEQUENCE if name != "rnn"])
def test_logits_of_a_set_of_hits_stay_invariant_to_their_order(name, make_batch, permuted):
    represent, net = network(f"model={name}", ALL).eval()
    sequence = represent(make_batch(6, image_size=SIZE, empty=[3]))
    torch.testing.assert_close(net(permuted(sequence)), net(sequence), rtol=1e-4, atol=1e-5)  # float32 sums


def test_a_dense_network_adds_them_to_its_first_layer(make_batch):
    represent, net = network("model=perceptron", "representation/event_features=[energy]")
    hits = represent(make_batch(5, image_size=SIZE))
    pixels = torch.zeros(5, SIZE**2)
    pixels[make_batch(5, image_size=SIZE).event, hits.pixel] = hits.energy
    weight, bias = net.linear.weight, net.linear.bias
    expected = torch.cat([pixels, hits.event_feature], 1) @ weight + bias
    torch.testing.assert_close(net(hits), expected, rtol=1e-4, atol=1e-5)  # float32 sums


def test_a_dense_network_refuses_features_of_single_hits(make_batch):
    hits = HitsRepresentation(features={"energy": Energy()})(make_batch(2))
    with pytest.raises(InputError, match="leave out representation/features"):
        DNN(image_size=16, width=4, depth=1)(hits)
