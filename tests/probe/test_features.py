"""The features of events, of networks with and without a method `embed`."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from cdmtrain.batch import Image
from cdmtrain.errors import InputError
from cdmtrain.model.dnn import DNN
from cdmtrain.model.perceptron import Perceptron
from cdmtrain.probe.features import embed, recorded_or_embedded, recording
from cdmtrain.representation.event_features import NumHits
from cdmtrain.representation.hits import HitsRepresentation
from cdmtrain.representation.image import ImageRepresentation


class Plain(nn.Module):
    """Two linear layers without a method `embed`; a third one is never called."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last, self.unused = nn.Linear(64, 5), nn.Linear(5, 4), nn.Linear(1, 1)

    def forward(self, image: Image) -> torch.Tensor:
        return self.last(self.first(image.energy.flatten(1)))


class PerPixel(nn.Module):
    """A linear layer for each row of an image, then a mean."""

    def __init__(self) -> None:
        super().__init__()
        self.rows = nn.Linear(8, 4)

    def forward(self, image: Image) -> torch.Tensor:
        return self.rows(image.energy).mean((1, 2))


class Convolution(nn.Module):
    """One convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.only = nn.Conv2d(1, 4, 8)

    def forward(self, image: Image) -> torch.Tensor:
        return self.only(image.energy).flatten(1)


@pytest.fixture
def batch(make_batch):
    return make_batch(3, image_size=8)


def test_without_embed_the_features_are_the_input_of_the_last_linear_layer_that_is_called(batch):
    model = Plain()
    expected = model.first(ImageRepresentation()(batch).energy.flatten(1))
    torch.testing.assert_close(embed(ImageRepresentation(), model, batch), expected)
    assert not model.last._forward_pre_hooks


@pytest.mark.parametrize(
    ("model", "words"),
    [(PerPixel(), r"the last nn.Linear of PerPixel takes \(3, 1, 8, 8\)"), (Convolution(), "it calls no nn.Linear")],
)
def test_a_network_without_features_is_refused_with_what_to_do(batch, model, words):
    with pytest.raises(InputError, match=f"{words}.*give the class a method embed"):
        embed(ImageRepresentation(), model, batch)


@pytest.mark.parametrize("features", [{}, {"number": NumHits()}], ids=["pixels", "pixels and event features"])
def test_the_features_of_a_perceptron_are_the_image_whatever_it_reads(batch, features):
    image = ImageRepresentation()(batch).energy.flatten(1)
    representation = HitsRepresentation(features={}, event_features=features)
    networks = [Perceptron(image_size=8, num_event_features=len(features))]
    networks.append(DNN(image_size=8, width=3, depth=0, num_event_features=len(features)))
    for network in networks:
        found = embed(representation, network, batch)
        torch.testing.assert_close(found[:, :64], image)
        assert found.shape == (3, 64 + len(features))


def test_features_are_seen_while_several_views_are_classified(batch):
    """Those of the first call are kept, and nothing is computed for them."""
    for model in (Plain().eval(), DNN(image_size=8, width=5, depth=2).eval()):
        representation, other = ImageRepresentation(), replace(batch, energy=2 * batch.energy)
        with torch.no_grad(), recording(model) as seen:
            model(representation(batch))
            model(representation(other))
        found = recorded_or_embedded(seen, representation, model, batch)
        torch.testing.assert_close(found, embed(representation, model, batch), rtol=0, atol=0)
        assert "embed" not in vars(model)
        assert not any(one._forward_pre_hooks or one._forward_hooks for one in model.modules())
