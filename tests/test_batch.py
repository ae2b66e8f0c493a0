"""What a batch derives from its pixels: neighbouring pairs, sums over events, masks."""

import pytest
import torch


@pytest.mark.parametrize("size", [1, 2, 9])
@pytest.mark.parametrize("shift", [(0, 1), (1, 0), (1, 1), (1, -1)])
def test_pairs_are_the_lit_pixels_that_lie_a_shift_apart(size, shift, masked_images):
    pixels = masked_images.drawn(5, size).lit.nonzero().tolist()
    number = {tuple(pixel): hit for hit, pixel in enumerate(pixels)}
    seconds = [(event, row + shift[0], column + shift[1]) for event, row, column in pixels]
    expected = [(first, number[second]) for first, second in enumerate(seconds) if second in number]
    first, second = masked_images.drawn(5, size).batch.pairs([shift])
    assert list(zip(first.tolist(), second.tolist(), strict=True)) == expected


@pytest.mark.parametrize("how", ["sum", "mean", "max"])
def test_reduce_is_that_of_the_hits_of_each_event(how, masked_images):
    batch = masked_images.drawn(5, 7).batch
    x = torch.rand(len(batch.pixel), 2)
    reduce = {"sum": torch.sum, "mean": torch.mean, "max": torch.amax}[how]
    for event, found in enumerate(batch.reduce(x, how)):
        hits = x[batch.event == event]
        torch.testing.assert_close(found, reduce(hits, 0) if len(hits) else torch.zeros(2))


def test_masked_hits_are_gone_and_their_events_remain(masked_images):
    batch = masked_images.drawn(5, 7).batch
    mask = (torch.arange(len(batch.pixel)) % 3 > 0) & (batch.event != 3)
    masked = batch.mask_hits(mask)
    assert torch.equal(masked.pixel, batch.pixel[mask])
    assert torch.equal(masked.energy, batch.energy[mask])
    assert torch.equal(masked.event, batch.event[mask])
    assert masked.num_events == 5
