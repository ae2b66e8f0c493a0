"""What networks show of themselves belongs to the events that they were shown."""

from collections.abc import Callable

import pytest
import torch
from hydra import compose, initialize_config_module
from hydra.utils import instantiate
from torch import nn

from cdmtrain.batch import EventBatch, Hits
from cdmtrain.layers.sites import find_stages
from cdmtrain.layers.sparse_convolution import sparse_convolution
from cdmtrain.model.sparse_resnet import SparseResNet
from cdmtrain.model.transformer import EncoderLayer
from cdmtrain.probe.learned import first_of_each, look_inside
from tests.probe.test_measure import MODELS, SIZE

GRAPH, KERNEL, ATTENTION = {"edge"}, {"kernel"}, {"attention"}
SHOWN = {
    **dict.fromkeys(("cnn", "alexnet", "resnet", "densenet", "sparse_resnet"), KERNEL),
    **dict.fromkeys(("gnn", "message_passing", "graph_network", "edgeconv"), GRAPH),
    **dict.fromkeys(("transformer", "vit", "self_attention"), ATTENTION),
}


@pytest.fixture
def shown(make_batch: Callable[..., EventBatch]) -> Callable[[str], tuple[EventBatch, dict[str, torch.Tensor]]]:
    """Eight events, the fourth without a hit, and what an untrained model shows of itself and of them."""

    def look(model: str) -> tuple[EventBatch, dict[str, torch.Tensor]]:
        with initialize_config_module("cdmtrain.conf", version_base="1.3"):
            words = [f"model={model}", "data=hdf5", "data.files=[x]", f"data.image_size={SIZE}"]
            cfg = compose("config", overrides=words)
        torch.manual_seed(1)
        batch = make_batch(8, image_size=SIZE, empty=[3])
        return batch, look_inside(instantiate(cfg.representation), instantiate(cfg.model).eval(), batch)

    return look


@pytest.mark.parametrize("model", MODELS)
def test_every_model_shows_what_it_has(shown, model):
    batch, found = shown(model)
    assert found.keys() == SHOWN.get(model, set())
    if "attention" in found:
        total = torch.zeros(8).index_add_(0, batch.event, found["attention"])
        assert found["attention"].shape == batch.pixel.shape
        assert found["attention"].min() >= 0
        assert total[3] == 0
        assert model == "vit" or (total < 1 + 1e-5).all()  # the pixels of a patch share what it has
    if "edge" in found:
        start, end = batch.event[found["edge"]]
        assert found["edge"].shape[1] > 0
        assert torch.equal(start, end)  # no edge joins two events


def test_pixels_of_a_patch_have_the_attention_of_the_patch(shown):
    batch, found = shown("vit")
    row, column = batch.pixel // SIZE // 8, batch.pixel % SIZE // 8
    patch = (batch.event * SIZE + row) * SIZE + column
    of_patch = {int(number): found["attention"][patch == number] for number in patch.unique()}
    assert all(torch.equal(values, values[:1].expand(len(values))) for values in of_patch.values())
    total = torch.zeros(8).index_add_(
        0, torch.tensor([number // SIZE**2 for number in of_patch]), torch.stack([v[0] for v in of_patch.values()])
    )
    assert (total < 1 + 1e-5).all()
    assert (total[batch.num_hits > 0] > 0.5).all()  # the rest is what the class token pays itself


def test_the_first_kernels_of_a_sparse_resnet_are_those_that_see_the_energy():
    sizes = {"num_features": 2, "num_event_features": 0, "image_size": 8, "channels": [3], "blocks": [1]}
    model = SparseResNet(**sizes, dropout=0.0)
    row, column = (torch.arange(3).repeat_interleave(3) + 1, torch.arange(3).repeat(3) + 1)
    pixel = row * 8 + column
    feature = torch.zeros(9, 2)
    feature[:, 0] = torch.arange(9.0)
    hits = Hits(pixel, feature[:, 0], torch.tensor([0, 9]), 8, feature, torch.zeros(1, 0))
    stages = find_stages(hits, 1)
    found = sparse_convolution(hits.feature, model.stem.weight, stages[0].neighbours)[4]
    torch.testing.assert_close(found, (model.first_kernels().flatten(1) * torch.arange(9.0)).sum(1))


def test_attention_of_the_first_token_is_what_weighs_the_values():
    torch.manual_seed(1)
    layer = EncoderLayer(8, 2, 0.0, "gelu").double()
    x, mask = torch.randn(3, 5, 8).double(), torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0], [1, 0, 0, 0, 0]]).bool()
    query, key, _ = layer.query_key_value(layer.norms[0](x)).chunk(3, dim=2)
    heads = [values.unflatten(2, (2, 4)).transpose(1, 2) for values in (query, key)]
    one_for_each = torch.eye(5).double().expand(3, 2, 5, 5)
    expected = nn.functional.scaled_dot_product_attention(*heads, one_for_each, attn_mask=mask[:, None, None])
    torch.testing.assert_close(layer.first_weights(x, mask), expected.mean(1)[:, 0])


def test_a_module_of_the_name_attention_and_an_ensemble_show_nothing(make_batch):
    model = nn.Module()
    model.attention = nn.Linear(2, 2)
    assert look_inside(nn.Identity(), model, make_batch(4)) == {}


def test_the_first_event_with_a_lit_pixel_of_each_known_class_is_shown():
    class_index, num_hits = torch.tensor([2, -1, 0, 2, 0, 3]), torch.tensor([0, 5, 1, 7, 9, 1])
    assert first_of_each(class_index, num_hits).tolist() == [2, 3, 5]
