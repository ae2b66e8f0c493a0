"""Masking hides what it says, and asks for what it says."""

from collections.abc import Callable

import pytest
import torch

from cdmtrain.batch import EventBatch
from cdmtrain.pretraining.patches import Patches, hide_patches
from tests.pretraining.parts import SIZE, generator

MakeBatch = Callable[..., EventBatch]


def dense(batch: EventBatch, size: int, patches: torch.Tensor) -> torch.Tensor:
    """Which pixels (event, row, column) are in these patches."""
    side = -(-batch.image_size // size)
    flags = torch.zeros(batch.num_events * side**2).index_fill_(0, patches, 1).view(-1, side, side)
    pixels = flags.repeat_interleave(size, 1).repeat_interleave(size, 2)
    return pixels[:, : batch.image_size, : batch.image_size] > 0


def lit(batch: EventBatch) -> torch.Tensor:
    return batch.image(batch.energy)[:, 0] > 0


@pytest.mark.parametrize("size", [1, 3, 4, 16, 40])
def test_a_hit_is_hidden_exactly_if_it_lies_in_a_hidden_patch(make_batch: MakeBatch, size: int) -> None:
    batch = make_batch(6, empty=[2])
    patches = hide_patches(batch, size, 0.6, generator())
    inside = dense(batch, size, patches.lit[patches.hidden])
    assert torch.equal(patches.hides, inside.flatten(1)[batch.event, batch.pixel])
    assert torch.equal(dense(batch, size, patches.of_hit) & lit(batch), lit(batch))


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_the_share_of_the_lit_patches_of_each_event_is_hidden_and_one_is_left(
    make_batch: MakeBatch, share: float
) -> None:
    batch = make_batch(20)
    patches = hide_patches(batch, 2, share, generator())
    event = patches.lit // (SIZE // 2) ** 2
    for one in range(20):
        hidden = patches.hidden[event == one]
        expected = min(int(share * len(hidden) + 0.5), len(hidden) - 1)
        assert int(hidden.sum()) == expected


def one_pixel(make_batch: MakeBatch) -> EventBatch:
    batch = make_batch(3)
    first = torch.zeros(len(batch.pixel), dtype=torch.bool)
    first[batch.offset[0]] = True
    return batch.mask_hits(first)


def test_of_events_with_one_pixel_or_none_nothing_is_hidden(make_batch: MakeBatch) -> None:
    patches = hide_patches(one_pixel(make_batch), 4, 0.9, generator())
    assert len(patches.lit) == 1
    assert not patches.hidden.any()
    nothing = hide_patches(make_batch(2, empty=[0, 1]), 4, 0.9, generator())
    assert len(nothing.asked()) == 0


def test_asked_for_are_hidden_patches_and_dark_ones_beside_the_event(make_batch: MakeBatch) -> None:
    batch = make_batch(8)
    patches = hide_patches(batch, 4, 0.5, generator())
    asked = dense(batch, 4, patches.asked())
    some_lit = dense(batch, 4, patches.lit)
    assert asked[dense(batch, 4, patches.lit[patches.hidden])].all()
    assert not asked[dense(batch, 4, patches.lit[~patches.hidden])].any()
    near = torch.nn.functional.max_pool2d(some_lit.float(), 9, stride=1, padding=4) > 0  # a patch of 4 further
    assert (asked & ~near).sum() == 0
    assert (asked & ~some_lit).any()


def test_another_generator_hides_other_patches(make_batch: MakeBatch) -> None:
    batch = make_batch(20)

    def hidden(seed: int) -> Patches:
        return hide_patches(batch, 2, 0.5, generator(seed))

    assert torch.equal(hidden(1).hidden, hidden(1).hidden)
    assert not torch.equal(hidden(1).hidden, hidden(2).hidden)
