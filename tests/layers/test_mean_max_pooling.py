"""Pooling gives the mean and the maximum of each event, in values and gradients."""

import torch

from cdmtrain.layers.mean_max_pooling import mean_max_pooling


def test_it_is_the_mean_and_maximum_of_each_event_alone(masked_images):
    images = masked_images.drawn(5, 7)
    batch = images.batch
    x = torch.rand(len(batch.pixel), 3, dtype=torch.float64, requires_grad=True)
    events = [x[begin:end] for begin, end in zip(batch.offset, batch.offset[1:], strict=False)]
    expected = torch.stack(
        [torch.cat([part.mean(0), part.amax(0)]) if len(part) else torch.zeros(6).double() for part in events]
    )
    found = mean_max_pooling(x, batch.offset)
    torch.testing.assert_close(found, expected)
    weight = torch.linspace(-1, 1, found.numel()).double().view_as(found)
    torch.testing.assert_close(*(torch.autograd.grad(y, x, weight)[0] for y in (found, expected)))


def test_bfloat16_is_pooled_in_float32(masked_images):
    batch = masked_images(torch.ones(1, 64, 64, dtype=torch.bool)).batch
    x = torch.rand(4096, 3, generator=torch.Generator().manual_seed(1)).bfloat16()
    assert torch.equal(mean_max_pooling(x, batch.offset), mean_max_pooling(x.float(), batch.offset))


def test_equal_rows_count_once():
    x = torch.rand(5, 3, dtype=torch.float64)[[0, 1, 1, 2, 2, 2, 3]]
    once = torch.tensor([1, 1, 0, 1, 0, 0, 1]).unsqueeze(1).double()
    found = mean_max_pooling(x, torch.tensor([0, 3, 3, 7]), once)
    torch.testing.assert_close(found, mean_max_pooling(x[once[:, 0] > 0], torch.tensor([0, 2, 2, 4])))
