"""The transformer's layers are torch's; it sees where hits are, not in which order they come."""

import pytest
import torch
from torch import nn

from cdmtrain.batch import Sequence
from cdmtrain.model.transformer import EncoderLayer, Transformer

FLOAT32_SUMS = {"rtol": 1e-4, "atol": 1e-5}  # the same numbers added in another order


@pytest.fixture
def net() -> Transformer:
    torch.manual_seed(1)
    return Transformer(width=16, depth=2, heads=4, dropout=0.0, frequencies=6)


def test_an_encoder_layer_is_torchs_with_the_same_weights(sequence):
    torch.manual_seed(1)
    ours = EncoderLayer(16, heads=4, dropout=0.0)
    torchs = nn.TransformerEncoderLayer(16, 4, 64, 0.0, activation="gelu", batch_first=True, norm_first=True)
    torchs.self_attn.in_proj_weight.data.copy_(ours.query_key_value.weight)
    torchs.self_attn.in_proj_bias.data.zero_()
    torchs.self_attn.out_proj.load_state_dict(ours.joined.state_dict())
    torchs.linear1.load_state_dict(ours.mlp[0].state_dict())
    torchs.linear2.load_state_dict(ours.mlp[2].state_dict())
    lit = sequence.mask.any(1)
    x, mask = torch.randn(*sequence.mask.shape, 16)[lit], sequence.mask[lit]
    torch.testing.assert_close(ours(x, mask)[mask], torchs(x, src_key_padding_mask=~mask)[mask], **FLOAT32_SUMS)


def test_logits_do_not_depend_on_the_order_of_hits(net, sequence, permuted):
    torch.testing.assert_close(net(permuted(sequence)), net(sequence), **FLOAT32_SUMS)


def test_padding_is_not_seen(net, sequence, padded):
    torch.testing.assert_close(net(padded(sequence, value=7.0)), net(sequence), **FLOAT32_SUMS)


def test_logits_depend_on_where_hits_are(net, sequence):
    moved = sequence.feature.clone()
    moved[..., 1] += 0.1
    change = (net(Sequence(feature=moved, mask=sequence.mask)) - net(sequence)).abs().amax(1)
    assert (change[sequence.mask.any(1)] > 1e-4).all()


def test_an_event_without_a_hit_is_the_token_of_the_event_alone(net, sequence):
    dark = Sequence(feature=torch.zeros(1, 1, 3), mask=torch.zeros(1, 1, dtype=torch.bool))
    torch.testing.assert_close(net(sequence)[3:4], net(dark), **FLOAT32_SUMS)


def test_a_width_that_heads_do_not_share_is_refused():
    with pytest.raises(ValueError, match="width=10 is not divisible by heads=4"):
        Transformer(width=10, depth=1, heads=4, dropout=0.0, frequencies=4)


def test_hits_without_a_position_are_refused():
    with pytest.raises(ValueError, match="num_features=1: energy, row and column of each hit are expected"):
        Transformer(width=8, depth=1, heads=4, dropout=0.0, frequencies=4, num_features=1)
