"""Reversal acts on the elements of an event and leaves its padding at the end."""

import torch

from cdmtrain.layers.reverse import reverse


def test_elements_are_reversed_within_each_event(assert_equal_with_gradients):
    mask = torch.arange(6) < torch.tensor([[6], [3], [1], [0]])
    x = torch.randn(4, 6, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64, requires_grad=True)
    lengths = mask.sum(1).tolist()
    expected = torch.stack([torch.cat([one[:n].flip(0), one[n:]]) for one, n in zip(x, lengths, strict=True)])
    assert_equal_with_gradients(reverse(x, mask), expected, x)
