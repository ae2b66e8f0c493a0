"""The lecture's formula of self-attention is torch's, and does not see the order of hits."""

import torch
from torch import nn

from cdmtrain.model.self_attention import SelfAttention, self_attention

FLOAT32_SUMS = {"rtol": 1e-4, "atol": 1e-5}  # the same numbers added in another order


def test_formula_is_that_of_torchs_fused_kernel(sequence):
    torch.manual_seed(1)
    query, key, value = torch.randn(3, *sequence.mask.shape, 8).unbind()
    lit = sequence.mask.any(1)
    fused = nn.functional.scaled_dot_product_attention(
        query[lit], key[lit], value[lit], attn_mask=sequence.mask[lit].unsqueeze(1)
    )
    torch.testing.assert_close(self_attention(query, key, value, sequence.mask)[lit], fused, **FLOAT32_SUMS)


def test_formula_is_that_of_torchs_attention_of_one_head(sequence):
    torch.manual_seed(1)
    net, reference = SelfAttention(width=8), nn.MultiheadAttention(8, 1, bias=False, batch_first=True)
    weights = [net.query.weight, net.key.weight, net.value.weight]
    reference.in_proj_weight.data.copy_(torch.cat(weights))
    reference.out_proj.weight.data.copy_(torch.eye(8))
    lit = sequence.mask.any(1)
    x, mask = torch.randn(*sequence.mask.shape, 8)[lit], sequence.mask[lit]
    ours = self_attention(net.query(x), net.key(x), net.value(x), mask)
    torch.testing.assert_close(ours, reference(x, x, x, key_padding_mask=~mask)[0], **FLOAT32_SUMS)


def test_logits_do_not_depend_on_the_order_of_hits(sequence, permuted):
    torch.manual_seed(1)
    net = SelfAttention(width=8)
    torch.testing.assert_close(net(permuted(sequence)), net(sequence), **FLOAT32_SUMS)


def test_padding_is_not_seen(sequence, padded):
    torch.manual_seed(1)
    net = SelfAttention(width=8)
    torch.testing.assert_close(net(padded(sequence, value=7.0)), net(sequence), **FLOAT32_SUMS)
