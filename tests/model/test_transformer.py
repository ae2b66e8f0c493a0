"""The transformer is its formula, event by event and head by head."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from cdmtrain.batch import Sequence
from cdmtrain.model.transformer import Transformer

WIDTH, HEADS, FREQUENCIES = 16, 4, 3
PI = torch.tensor(torch.pi)  # in float32, as in the network


@pytest.fixture
def net(drawn) -> Transformer:
    return drawn(Transformer(width=WIDTH, depth=2, heads=HEADS, dropout=0.3, frequencies=FREQUENCIES)).eval()


def formula(net: Transformer, hits: Tensor) -> Tensor:
    """Logits of one event with these hits (L, 3)."""
    w = dict(net.named_parameters())

    def linear(x: Tensor, name: str) -> Tensor:
        y = x @ w[f"{name}.weight"].T
        return y + w[f"{name}.bias"] if f"{name}.bias" in w else y

    def norm(x: Tensor, name: str) -> Tensor:
        centred = x - x.mean(1, keepdim=True)
        variance = centred.square().mean(1, keepdim=True)
        return centred / (variance + 1e-5).sqrt() * w[f"{name}.weight"] + w[f"{name}.bias"]

    def attention(x: Tensor, name: str) -> Tensor:
        query, key, value = linear(x, f"{name}.query_key_value").chunk(3, dim=1)
        heads = []
        for q, k, v in zip(query.chunk(HEADS, 1), key.chunk(HEADS, 1), value.chunk(HEADS, 1), strict=True):
            similarity = (q @ k.T / (WIDTH / HEADS) ** 0.5).exp()
            heads.append(similarity / similarity.sum(1, keepdim=True) @ v)
        return linear(torch.cat(heads, dim=1), f"{name}.joined")

    def dropout(x: Tensor) -> Tensor:  # of a batch, so that the same numbers are drawn
        return functional.dropout(x.unsqueeze(0), 0.3, training=net.training).squeeze(0)

    angles = [2**k * PI * hits[:, axis] for axis in (1, 2) for k in range(FREQUENCIES)]
    features = [hits, *(angle.sin().unsqueeze(1) for angle in angles), *(angle.cos().unsqueeze(1) for angle in angles)]
    x = torch.cat([w["whole_event"].unsqueeze(0), linear(torch.cat(features, dim=1), "embedding")])
    for number in range(2):
        layer = f"layers.{number}"
        attended = attention(norm(x, f"{layer}.norms.0"), layer)
        if number == 1:  # the last layer, of which the first token alone is used, and dropped from
            x, attended = x[:1], attended[:1]
        x = x + dropout(attended)
        hidden = functional.gelu(linear(norm(x, f"{layer}.norms.1"), f"{layer}.mlp.0"))
        x = x + dropout(linear(hidden, f"{layer}.mlp.2"))
    return linear(norm(x, "norm"), "linear")


def test_logits_and_gradients_are_those_of_the_formula(net, sequence, assert_equal_with_gradients):
    events = zip(sequence.feature, sequence.mask, strict=True)
    expected = torch.cat([formula(net, feature[mask]) for feature, mask in events])
    assert_equal_with_gradients(net(sequence), expected, sequence.feature, *net.parameters())


def test_dropout_in_training_is_that_of_the_formula(net, sequence, assert_equal_with_gradients):
    net.train()
    hits = sequence.feature[0][sequence.mask[0]]
    torch.manual_seed(7)
    found = net(Sequence(feature=hits.unsqueeze(0), mask=torch.ones(1, len(hits), dtype=torch.bool)))
    torch.manual_seed(7)  # the same numbers are dropped
    assert_equal_with_gradients(found, formula(net, hits), sequence.feature, *net.parameters())


def test_logits_do_not_depend_on_the_order_of_hits(net, sequence, permuted):
    torch.testing.assert_close(net(permuted(sequence)), net(sequence))


def test_logits_do_not_depend_on_padding(net, sequence, padded):
    torch.testing.assert_close(net(padded(sequence, value=7.0)), net(sequence))


def test_a_width_that_heads_do_not_share_is_refused():
    with pytest.raises(ValueError, match="width=10 is not divisible by heads=4"):
        Transformer(width=10, depth=1, heads=4, dropout=0.0, frequencies=4)


def test_hits_without_a_position_are_refused():
    with pytest.raises(ValueError, match="num_features=1: energy, row and column of each hit are expected"):
        Transformer(width=8, depth=1, heads=4, dropout=0.0, frequencies=4, num_features=1)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("activation", ["gelu", "relu"])
def test_rows_without_padding_give_what_padded_ones_do(sequence, activation, training, monkeypatch):
    torch.manual_seed(1)
    net = Transformer(width=64, depth=3, heads=4, dropout=0.0, frequencies=8, activation=activation).train(training)
    given = Sequence(feature=sequence.feature.detach().float().requires_grad_(), mask=sequence.mask)
    leaves, found = (given.feature, *net.parameters()), []
    for one_pass in (True, False):
        monkeypatch.setattr("cdmtrain.model.transformer.fits_float32", lambda x, one_pass=one_pass: one_pass)
        outputs = net(given), net.hit_features(given)
        directions = [torch.linspace(-1, 1, y.numel()).view_as(y) for y in outputs]
        total = sum((y * direction).sum() for y, direction in zip(outputs, directions, strict=True))
        found.append((*outputs, *torch.autograd.grad(total, leaves)))
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4 * other.detach().abs().max().item())


def test_an_event_without_padding_does_not_depend_on_the_others(sequence):
    torch.manual_seed(1)
    net = Transformer(width=64, depth=3, heads=4, dropout=0.0, frequencies=8)
    feature = sequence.feature.detach().float()
    together = net(Sequence(feature=feature, mask=sequence.mask))
    for event in range(len(feature)):
        alone = net(Sequence(feature=feature[event : event + 1], mask=sequence.mask[event : event + 1]))
        torch.testing.assert_close(alone[0], together[event], rtol=1e-5, atol=1e-6)


def test_dropout_without_padding_changes_what_it_is_given(sequence):
    torch.manual_seed(1)
    net = Transformer(width=64, depth=3, heads=4, dropout=0.5, frequencies=8)
    given = Sequence(feature=sequence.feature.detach().float(), mask=sequence.mask)
    assert not torch.equal(net(given), net(given))
    assert torch.equal(net.eval()(given), net(given))
