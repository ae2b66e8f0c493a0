"""Self-attention is its formula, event by event."""

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from cdmtrain.batch import Sequence
from cdmtrain.model.self_attention import MAX_WEIGHTS, SelfAttention


def formula(net: SelfAttention, sequence: Sequence) -> Tensor:
    means = []
    for feature, mask in zip(sequence.feature, sequence.mask, strict=True):
        x = (feature[mask] @ net.embedding.weight.T + net.embedding.bias).clamp(min=0)
        query, key, value = (x @ layer.weight.T for layer in (net.query, net.key, net.value))
        similarity = (query @ key.T / 8**0.5).exp()
        z = similarity / similarity.sum(1, keepdim=True) @ value
        means.append((x + z).clamp(min=0).mean(0) if mask.any() else x.new_zeros(8))
    return torch.stack(means) @ net.linear.weight.T + net.linear.bias


def test_logits_and_gradients_are_those_of_the_formula(sequence, drawn, assert_equal_with_gradients):
    net = drawn(SelfAttention(width=8))
    assert_equal_with_gradients(net(sequence), formula(net, sequence), sequence.feature, *net.parameters())


def test_logits_do_not_depend_on_the_order_of_hits(sequence, permuted):
    torch.manual_seed(1)
    net = SelfAttention(width=8).double()
    torch.testing.assert_close(net(permuted(sequence)), net(sequence))


def test_logits_do_not_depend_on_padding(sequence, padded):
    torch.manual_seed(1)
    net = SelfAttention(width=8).double()
    torch.testing.assert_close(net(padded(sequence, value=7.0)), net(sequence))


def test_a_long_event_needs_no_square_of_its_hits_in_memory():
    torch.manual_seed(1)
    net, mask = SelfAttention(width=8), torch.zeros(100, 9000, dtype=torch.bool)
    mask[:, :5] = mask[:1] = True
    sequence = Sequence(feature=torch.randn(100, 9000, 3), mask=mask)
    largest = LargestTensor()
    with largest:
        net(sequence).sum().backward()
        net.attention(Sequence(sequence.feature[:2], mask[:2]))
    assert largest.num_numbers <= 2 * MAX_WEIGHTS  # all weights are 81 million for this event, 8100 million padded


class LargestTensor(TorchDispatchMode):
    """Remembers the largest number of elements that an operation gave."""

    num_numbers = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        outputs = function(*args, **(kwargs or {}))
        for one in outputs if isinstance(outputs, tuple | list) else (outputs,):
            if isinstance(one, Tensor):
                self.num_numbers = max(self.num_numbers, one.untyped_storage().nbytes() // one.element_size())
        return outputs


def test_rows_without_padding_give_what_padded_ones_do(sequence, monkeypatch):
    torch.manual_seed(1)
    net, found = SelfAttention(width=64), []
    given = Sequence(feature=sequence.feature.detach().float().requires_grad_(), mask=sequence.mask)
    for one_pass in (True, False):
        monkeypatch.setattr("cdmtrain.model.self_attention.fits_float32", lambda x, one_pass=one_pass: one_pass)
        y = net(given)
        found.append((y, *torch.autograd.grad(y.square().sum(), (given.feature, *net.parameters()))))
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4 * other.detach().abs().max().item())
