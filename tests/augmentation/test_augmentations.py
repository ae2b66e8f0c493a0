"""Every augmentation draws from the generator it is given and returns a valid EventBatch."""

import numpy as np
import pytest
import torch

from cdmtrain.augmentation.chain import Chain
from cdmtrain.augmentation.energy_scale import EnergyScale
from cdmtrain.augmentation.pixel_dropout import PixelDropout
from cdmtrain.augmentation.shifts import Shifts, shifted
from cdmtrain.augmentation.symmetries import Symmetries
from cdmtrain.errors import InputError
from cdmtrain.representation.image import ImageRepresentation

ALL = {
    "symmetries": Symmetries(),
    "shifts": Shifts(max_pixels=5),
    "energy_scale": EnergyScale(spread=0.2),
    "pixel_dropout": PixelDropout(probability=0.3),
}
ALL["chain"] = Chain([ALL["symmetries"], ALL["shifts"], ALL["energy_scale"], ALL["pixel_dropout"]])

every_augmentation = pytest.mark.parametrize("augment", ALL.values(), ids=ALL)


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def dense(batch) -> np.ndarray:
    return ImageRepresentation()(batch).energy[:, 0].numpy()


@every_augmentation
def test_pixels_stay_sorted_unique_and_inside_the_image_and_no_event_is_lost(augment, make_batch):
    batch = make_batch(32, empty=[0, 5])
    changed = augment(batch, generator(1))
    assert ((changed.event * 256 + changed.pixel).diff() > 0).all()
    assert ((changed.pixel >= 0) & (changed.pixel < 256)).all()
    assert changed.offset[-1] == len(changed.pixel) == len(changed.energy)
    assert not changed.num_hits[[0, 5]].any()
    for name in ("class_index", "dataset_index"):
        assert torch.equal(getattr(changed, name), getattr(batch, name))
    assert (changed.image_size, changed.weight) == (16, 1.0)


@every_augmentation
def test_a_seed_reproduces_the_draw_and_global_random_state_is_untouched(augment, make_batch):
    batch, before = make_batch(32), torch.get_rng_state()
    assert dense(augment(batch, generator(1))).tobytes() == dense(augment(batch, generator(1))).tobytes()
    assert dense(augment(batch, generator(1))).tobytes() != dense(augment(batch, generator(2))).tobytes()
    assert torch.equal(torch.get_rng_state(), before)


@every_augmentation
def test_events_without_a_hit_stay_without_one(augment, make_batch):
    assert augment(make_batch(3, empty=[0, 1, 2]), generator(1)).num_hits.tolist() == [0, 0, 0]


@pytest.mark.parametrize(("rows", "columns"), [(0, 0), (3, 0), (-2, 5), (7, -9), (16, 0), (0, -16)])
def test_a_shift_moves_the_dense_image_and_fills_in_dark_pixels(rows, columns, make_batch):
    batch = make_batch(6)
    wide = np.pad(dense(batch), [(0, 0), (16, 16), (16, 16)])
    expected = wide[:, 16 - rows : 32 - rows, 16 - columns : 32 - columns]
    moved = shifted(batch, torch.full((6,), rows), torch.full((6,), columns))
    np.testing.assert_array_equal(dense(moved), expected)


def test_shifts_are_uniform_up_to_the_largest_and_independent_for_each_event(make_batch):
    batch = make_batch(1, image_size=16)
    many = batch.__class__(
        pixel=torch.full((4000,), 8 * 16 + 8),
        energy=torch.ones(4000),
        offset=torch.arange(4001),
        class_index=torch.zeros(4000, dtype=torch.int64),
        dataset_index=torch.arange(4000),
        image_size=16,
    )
    moved = Shifts(max_pixels=2)(many, generator(1))
    shift = torch.stack([moved.row - 8, moved.column - 8])
    assert shift.min() == -2
    assert shift.max() == 2
    counts = torch.bincount((shift[0] + 2) * 5 + shift[1] + 2, minlength=25)
    assert ((counts - 160) ** 2 / 160).sum() < 51.2  # 24 degrees of freedom pass it once in 1000 even draws


def test_an_event_has_one_energy_factor_of_the_right_spread(make_batch):
    batch = make_batch(400)
    factor = EnergyScale(spread=0.2)(batch, generator(1)).energy / batch.energy
    of_event = factor[batch.offset[:-1]]
    torch.testing.assert_close(factor, of_event[batch.event])
    assert of_event.log().std().item() == pytest.approx(0.2, rel=0.15)  # four standard errors
    assert of_event.log().mean().item() == pytest.approx(0, abs=0.04)


def test_hits_are_dropped_with_the_probability_and_the_rest_is_untouched(make_batch):
    batch = make_batch(200)
    left = PixelDropout(probability=0.3)(batch, generator(1))
    share = len(left.pixel) / len(batch.pixel)
    assert share == pytest.approx(0.7, abs=4 * (0.21 / len(batch.pixel)) ** 0.5)
    before, after = dense(batch), dense(left)
    np.testing.assert_array_equal(after[after > 0], before[after > 0])


def test_a_chain_applies_its_augmentations_in_order_with_one_generator(make_batch):
    batch, draws = make_batch(8), generator(4)
    expected = Shifts(max_pixels=5)(Symmetries()(batch, draws), draws)
    found = Chain([Symmetries(), Shifts(max_pixels=5)])(batch, generator(4))
    assert torch.equal(found.pixel, expected.pixel)
    assert torch.equal(found.offset, expected.offset)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Shifts(max_pixels=-1), r"shifts\.max_pixels=-1: 0 or more pixels are expected"),
        (lambda: EnergyScale(spread=-0.1), r"energy_scale\.spread=-0\.1: 0 or more is expected"),
        (lambda: PixelDropout(probability=1.0), r"pixel_dropout\.probability=1\.0: from 0 to below 1 is expected"),
    ],
)
def test_an_impossible_setting_is_refused_in_one_sentence(make, sentence):
    with pytest.raises(InputError, match=rf"^augmentation\.{sentence}$"):
        make()
