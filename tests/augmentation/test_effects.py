"""Every detector effect follows its definition: mean values, widths, thresholds and probabilities."""

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from cdmtrain.augmentation.dead_lines import DeadLines, without_lines
from cdmtrain.augmentation.diffusion import Diffusion, diffused, shares_of_neighbours
from cdmtrain.augmentation.effect import DetectorEffect
from cdmtrain.augmentation.lost_region import LostRegion, without_region
from cdmtrain.augmentation.noise import Noise, noisy
from cdmtrain.augmentation.noisy_lines import NoisyLines, with_noisy_lines
from cdmtrain.augmentation.recombination import Recombination, recombined, surviving_share
from cdmtrain.augmentation.threshold import Threshold, above_threshold
from cdmtrain.batch import EventBatch
from cdmtrain.errors import InputError
from cdmtrain.simulation.block import surviving_charge

EFFECTS: dict[str, DetectorEffect] = {
    "recombination": Recombination(largest=1.0, pitch_cm=0.3),
    "diffusion": Diffusion(largest_cm=0.3, threshold_mev=0.05, pitch_cm=0.3),
    "noise": Noise(largest_mev=0.3, threshold=2.0),
    "dead_lines": DeadLines(largest_probability=0.5),
    "noisy_lines": NoisyLines(largest_probability=0.5, noise_mev=0.2, threshold_mev=0.4),
    "lost_region": LostRegion(largest_pixels=8.0),
    "threshold": Threshold(largest_mev=2.0),
}
LIGHT_DARK_PIXELS = ("noise", "noisy_lines")
every_effect = pytest.mark.parametrize("name", EFFECTS)
THRESHOLD = 4  # standard errors that a mean value may be off


def generator(seed: int = 1) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def events_of(images: torch.Tensor) -> EventBatch:
    """The batch of dense images (N, S, S)."""
    event, pixel = images.flatten(1).nonzero(as_tuple=True)
    offset = torch.nn.functional.pad(torch.bincount(event, minlength=len(images)).cumsum(0), (1, 0))
    truth = torch.zeros(len(images), dtype=torch.int64)
    return EventBatch(pixel, images.flatten(1)[event, pixel], offset, truth, truth, images.shape[1])


def dense(batch: EventBatch) -> np.ndarray:
    return batch.image(batch.energy)[:, 0].numpy()


def same(value: float, num_events: int) -> torch.Tensor:
    return torch.full((num_events,), value)


def check_valid(batch: EventBatch) -> None:
    assert ((batch.event * batch.image_size**2 + batch.pixel).diff() > 0).all()
    assert not len(batch.pixel) or (batch.pixel.min() >= 0 and batch.pixel.max() < batch.image_size**2)
    assert batch.offset[-1] == len(batch.pixel) == len(batch.energy)
    assert (batch.energy > 0).all()


@every_effect
@pytest.mark.parametrize(
    "images",
    [torch.zeros(3, 8, 8), torch.eye(8).expand(3, 8, 8) * (torch.arange(64).view(8, 8) == 27), torch.ones(3, 8, 8)],
    ids=["empty", "one pixel", "full"],
)
def test_an_effect_keeps_events_valid_and_a_seed_reproduces_it(name: str, images: torch.Tensor) -> None:
    batch, before = events_of(images), torch.get_rng_state()
    found, again = (EFFECTS[name](batch, generator()) for _ in range(2))
    check_valid(found)
    assert found.num_events == 3
    assert dense(found).tobytes() == dense(again).tobytes()
    assert torch.equal(torch.get_rng_state(), before)
    if name not in LIGHT_DARK_PIXELS and not len(batch.pixel):
        assert not len(found.pixel)


@every_effect
def test_events_of_strength_zero_do_not_change_beside_others_that_do(name: str, make_batch: Callable) -> None:
    batch = make_batch(16, empty=[2])
    largest = torch.tensor([0.0] * 4 + [1.0] * 12) * EFFECTS[name].largest
    found = EFFECTS[name].affect(batch, largest, generator())
    check_valid(found)
    for event in range(4):
        assert np.array_equal(dense(found)[event], dense(batch)[event])
    assert not np.array_equal(dense(found)[4:], dense(batch)[4:])


@every_effect
def test_each_event_draws_its_own_strength_uniformly(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    effect, drawn = EFFECTS[name], []
    monkeypatch.setattr(effect, "affect", lambda batch, strength, _: drawn.append(strength) or batch)
    effect(events_of(torch.zeros(4000, 1, 1)), generator())
    share = drawn[0] / effect.largest
    assert share.shape == (4000,)
    assert (share.min() >= 0) & (share.max() <= 1)
    assert share.mean().item() == pytest.approx(0.5, abs=THRESHOLD / math.sqrt(12 * 4000))
    assert share.var().item() == pytest.approx(1 / 12, rel=0.1)


@pytest.mark.parametrize("name", ["recombination", "diffusion", "threshold"])
def test_an_event_alone_changes_as_it_does_in_a_batch_if_nothing_is_drawn(name: str, make_batch: Callable) -> None:
    images = torch.from_numpy(dense(make_batch(4)))
    strength = torch.tensor([0.1, 0.5, 0.7, 1.0]) * EFFECTS[name].largest
    together = dense(EFFECTS[name].affect(events_of(images), strength, generator()))
    for event in range(4):
        alone = EFFECTS[name].affect(events_of(images[[event]]), strength[[event]], generator())
        np.testing.assert_allclose(dense(alone)[0], together[event], rtol=1e-5, atol=1e-6)


def test_recombination_is_that_of_the_simulation() -> None:
    density = torch.tensor([0.0, 0.3, 1.0, 2.1, 5, 20, 100], dtype=torch.float64)
    expected = [surviving_charge(one, 0.5) for one in density.tolist()]
    np.testing.assert_allclose(surviving_share(density), expected, rtol=1e-12)
    batch = events_of(torch.full((2, 1, 1), 0.63))  # 2.1 MeV/cm, a minimum ionising particle
    found = recombined(batch, torch.tensor([1.0, 0.5]), pitch_cm=0.3)
    survives = float(expected[3])
    np.testing.assert_allclose(found.energy, [0.63 * survives, 0.63 * (1 + survives) / 2], rtol=1e-6)
    assert survives == pytest.approx(0.7, abs=0.02)  # as it is known at 0.5 kV/cm


@pytest.mark.parametrize("width_cm", [0.02, 0.1, 0.3])
def test_diffusion_leaves_the_share_of_a_uniform_pixel_in_its_neighbours(width_cm: float) -> None:
    start = np.linspace(0, 0.3, 2001)  # where the charge was, over the pixel
    edge = np.arange(-5, 7) * 0.3
    below = np.vectorize(math.erf)((edge[:, None] - start) / (width_cm * math.sqrt(2)))
    expected = np.trapezoid(np.diff(below, axis=0) / 2, start, axis=1) / 0.3
    found = shares_of_neighbours(torch.tensor([width_cm / 0.3]), 5)[0].numpy()
    np.testing.assert_allclose(found, expected, atol=2e-4)
    assert found.sum() == pytest.approx(1, abs=1e-6)


def test_diffusion_adds_charge_where_shares_meet_loses_it_at_borders_and_widens_by_its_width() -> None:
    image = torch.zeros(1, 33, 33)
    image[0, 16, 16], image[0, 16, 18], image[0, 0, 0] = 3.0, 1.0, 2.0
    spread = dense(diffused(events_of(image), same(0.3, 1), threshold_mev=0.0))[0]
    share = shares_of_neighbours(torch.tensor([1.0]), 5)[0].numpy()
    assert spread[16, 17] == pytest.approx(share[5] * (3 * share[6] + share[4]), rel=1e-5)
    assert spread[:5, :5].sum() == pytest.approx(2 * share[5:10].sum() ** 2, rel=1e-4)
    alone = dense(diffused(events_of(image * (image == 3)), same(0.3, 1), threshold_mev=0.0))[0]
    position = np.arange(33) - 16
    assert (alone.sum(0) @ position**2) / alone.sum() == pytest.approx(1 + 2 / 12, rel=5e-3)  # 1/12 for each pixel
    above = diffused(events_of(image), same(0.3, 1), threshold_mev=0.1)
    np.testing.assert_array_equal(dense(above)[0], np.where(spread >= 0.1, spread, 0))


def test_noise_widens_lit_pixels_and_lights_dark_ones_with_the_probability_of_the_tail() -> None:
    images = torch.zeros(200, 50, 50)
    images[:, 10, :] = 5.0
    found = dense(noisy(events_of(images), same(0.1, 200), same(0.2, 200), generator()))
    lit, dark = found[:, 10], np.delete(found, 10, axis=1)
    assert lit.mean() == pytest.approx(5, abs=THRESHOLD * 0.1 / 100)
    assert lit.std() == pytest.approx(0.1, rel=0.03)
    tail = math.erfc(2 / math.sqrt(2)) / 2
    assert (dark > 0).mean() == pytest.approx(tail, abs=THRESHOLD * math.sqrt(tail / dark.size))
    in_event = (dark > 0).sum((1, 2))
    assert in_event.var() == pytest.approx(2450 * tail * (1 - tail), rel=0.4)  # independent pixels
    above = dark[dark > 0]
    density = math.exp(-2) / math.sqrt(2 * math.pi)
    assert above.min() >= 0.2
    assert above.mean() == pytest.approx(0.1 * density / tail, rel=0.005)  # mean of a normal beyond its threshold
    by_row, by_column = (dark > 0).mean((0, 1)), (dark > 0).mean((0, 2))
    assert max(by_row.std(), by_column.std()) < 1.4 * math.sqrt(tail / (200 * 50))


def test_noise_drops_lit_pixels_up_to_the_threshold() -> None:
    found = dense(noisy(events_of(torch.full((100, 20, 20), 0.2)), same(0.1, 100), same(0.2, 100), generator()))
    assert (found > 0).mean() == pytest.approx(0.5, abs=THRESHOLD / 2 / 200)
    quiet = noisy(events_of(torch.full((2, 3, 3), 0.2)), same(0.0, 2), torch.tensor([0.1, 0.2]), generator())
    assert quiet.num_hits.tolist() == [9, 0]


def test_dead_lines_remove_whole_rows_and_columns_with_the_probability() -> None:
    found = dense(without_lines(events_of(torch.ones(400, 10, 10)), same(0.2, 400), generator()))
    dead_rows, dead_columns = (~found.any(2)), (~found.any(1))
    error = THRESHOLD * math.sqrt(0.16 / 4000)
    assert dead_rows.mean() == pytest.approx(0.2, abs=error)
    assert dead_columns.mean() == pytest.approx(0.2, abs=error)
    alive = ~dead_rows[:, :, None] & ~dead_columns[:, None, :]
    np.testing.assert_array_equal(found > 0, alive)


def test_noisy_lines_have_the_noise_everywhere_and_other_pixels_do_not_change() -> None:
    images = torch.zeros(600, 12, 12)
    images[:, 5] = 3.0
    found = dense(with_noisy_lines(events_of(images), same(0.3, 600), generator(), noise_mev=0.1, threshold_mev=0.1))
    lit, dark = found[:, 5], np.delete(found, 5, axis=1)
    untouched = lit == 3.0
    in_quiet_row = untouched.any(1)
    assert in_quiet_row.mean() == pytest.approx(0.7, abs=THRESHOLD * math.sqrt(0.21 / 600))
    assert untouched[in_quiet_row].mean() == pytest.approx(0.7, abs=0.03)
    assert lit[~untouched].std() == pytest.approx(0.1, rel=0.05)
    tail = math.erfc(1 / math.sqrt(2)) / 2
    share = 1 - 0.7**2  # of pixels on a chosen row or column, those on both counted once
    assert (dark > 0).mean() == pytest.approx(share * tail, rel=0.1)


def test_a_lost_region_takes_every_pixel_with_the_same_probability() -> None:
    found = dense(without_region(events_of(torch.ones(4000, 16, 16)), same(8.0, 4000), generator()))
    lost = 1 - found.mean(0)
    expected = (8 / (16 + 8)) ** 2
    error = math.sqrt(expected * (1 - expected) / 4000)
    assert np.abs(lost - expected).max() < 4.5 * error  # the largest of 256
    hole = found[7] == 0
    rows, columns = hole.any(1), hole.any(0)
    np.testing.assert_array_equal(hole, rows[:, None] & columns)
    assert max(rows.sum(), columns.sum()) <= 8


def test_a_threshold_drops_what_is_below_it_and_nothing_else() -> None:
    images = torch.tensor([0.1, 0.2, 0.3, 0.4]).view(1, 2, 2).expand(2, 2, 2)
    found = above_threshold(events_of(images), torch.tensor([0.3, 9.0]))
    assert found.num_hits.tolist() == [2, 0]
    np.testing.assert_array_equal(found.energy, np.float32([0.3, 0.4]))


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Recombination(largest=1.2, pitch_cm=0.3), r"recombination\.largest=1\.2: from 0 to 1 is expected"),
        (
            lambda: Diffusion(largest_cm=-1.0, threshold_mev=0.0, pitch_cm=0.3),
            r"diffusion\.largest_cm=-1\.0: 0 or more is expected",
        ),
        (lambda: Noise(largest_mev=0.1, threshold=0.5), r"noise\.threshold=0\.5: 1 or more is expected"),
        (
            lambda: NoisyLines(largest_probability=0.1, noise_mev=0.2, threshold_mev=0.1),
            r"noisy_lines\.threshold_mev=0\.1: 0\.2 or more is expected",
        ),
        (
            lambda: DeadLines(largest_probability=2.0),
            r"dead_lines\.largest_probability=2\.0: from 0 to 1 is expected",
        ),
        (lambda: LostRegion(largest_pixels=math.inf), r"lost_region\.largest_pixels=inf: 0 or more is expected"),
        (lambda: Threshold(largest_mev=math.nan), r"threshold\.largest_mev=nan: 0 or more is expected"),
    ],
)
def test_an_impossible_setting_is_one_sentence(make: Callable[[], object], sentence: str) -> None:
    with pytest.raises(InputError, match=rf"^augmentation\.{sentence}$"):
        make()


def test_strengths_differ_between_the_events_of_a_batch(make_batch: Callable) -> None:
    batch = replace(make_batch(4), energy=torch.ones_like(make_batch(4).energy))
    changed = dense(recombined(batch, torch.tensor([0.0, 0.3, 0.6, 1.0])))
    each = [np.unique(image[image > 0]) for image in changed]
    assert [len(one) for one in each] == [1, 1, 1, 1]
    assert np.concatenate(each).tolist() == sorted(np.concatenate(each).tolist(), reverse=True)
