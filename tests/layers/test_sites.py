"""Each lit pixel is joined with its lit neighbours, and with the pixel of half the resolution."""

from dataclasses import replace
from itertools import pairwise

import pytest
import torch

from cdmtrain.layers import pair_lists
from cdmtrain.layers.sites import KernelMap, Stage, find_stages

SIZES = [1, 2, 7, 12]
Joins = set[tuple[int, int, int]]  # element, source, target


def joins_of(kernel_map: KernelMap) -> Joins:
    """What the tables join, by targets and by sources alike."""
    source_of, target_of = kernel_map.source_of, kernel_map.target_of
    by_target = {(k, int(source_of[t, k]), t) for t, k in (source_of < len(target_of)).nonzero().tolist()}
    by_source = {(k, s, int(target_of[s, k])) for s, k in (target_of < len(source_of)).nonzero().tolist()}
    assert by_target == by_source
    return by_target


def numbers(lit: torch.Tensor, factor: int) -> dict[tuple[int, ...], int]:
    """The number of the site of each lit pixel (event, row, column) at 1 / factor of the resolution.

    Sites are numbered by their first lit pixel of the full resolution.
    """
    found: dict[tuple[int, ...], int] = {}
    for event, row, column in lit.nonzero().tolist():
        found.setdefault((event, row // factor, column // factor), len(found))
    return found


@pytest.mark.parametrize("pairs", [True, False], ids=["image by image", "at once"])
@pytest.mark.parametrize("size", SIZES)
def test_neighbours_are_joined_at_every_resolution(size, pairs, masked_images):
    images = masked_images.drawn(4, size)
    for number, stage in enumerate(find_stages(images.batch, 3, pairs=pairs)):
        site = numbers(images.lit, 2**number)
        expected = {
            (3 * (a + 1) + b + 1, site[event, row + a, column + b], target)
            for (event, row, column), target in site.items()
            for a in (-1, 0, 1)
            for b in (-1, 0, 1)
            if (event, row + a, column + b) in site
        }
        assert joins_of(stage.neighbours) == expected
        events = [event for event, _, _ in site]
        assert stage.offset.diff().tolist() == [events.count(event) for event in range(4)]


@pytest.mark.parametrize("pairs", [True, False], ids=["image by image", "at once"])
@pytest.mark.parametrize("size", SIZES)
def test_each_site_is_joined_with_that_of_half_the_resolution(size, pairs, masked_images):
    images = masked_images.drawn(4, size)
    for number, stage in enumerate(find_stages(images.batch, 3, pairs=pairs)[1:]):
        fine, coarse = numbers(images.lit, 2**number), numbers(images.lit, 2 ** (number + 1))
        expected = {
            (2 * (row % 2) + column % 2, source, coarse[event, row // 2, column // 2])
            for (event, row, column), source in fine.items()
        }
        assert stage.down is not None
        assert joins_of(stage.down) == expected


def test_lists_of_pairs_join_what_the_tables_join(masked_images, monkeypatch):
    monkeypatch.setattr(pair_lists, "SMALLEST", 20)  # two or more events in a group, and several groups
    groups = set()
    for stage in find_stages(masked_images.drawn(9, 12).batch, 3, pairs=True):
        for kernel_map in filter(None, (stage.neighbours, stage.down)):
            pairs, listed = kernel_map.pairs, []
            assert pairs is not None
            groups.add(len(pairs.begin))
            for group, (source, target) in enumerate(zip(pairs.source_row, pairs.target_row[:-1], strict=False)):
                for element, (begin, end) in enumerate(pairwise(pairs.begin[group])):
                    of_element = zip(pairs.source[begin:end] + source, pairs.target[begin:end] + target, strict=True)
                    listed += [(element, int(s), int(t)) for s, t in of_element]
            assert len(listed) == len(set(listed)) == len(pairs.source)
            assert set(listed) == joins_of(kernel_map)
            assert (pairs.source_row[-1], pairs.target_row[-1]) == tuple(map(len, reversed(kernel_map[:2])))
    assert max(groups) > 1


@pytest.mark.parametrize("pairs", [True, False], ids=["image by image", "at once"])
def test_the_joins_do_not_depend_on_the_order_of_the_hits_of_an_event(pairs, masked_images):
    batch = masked_images.drawn(4, 7).batch
    order = torch.cat([torch.randperm(end - begin) + begin for begin, end in pairwise(batch.offset.tolist())])
    found = find_stages(replace(batch, pixel=batch.pixel[order]), 1, pairs=pairs)[0]
    joins = {(k, int(order[s]), int(order[t])) for k, s, t in joins_of(found.neighbours)}
    assert joins == joins_of(find_stages(batch, 1)[0].neighbours)


def test_a_track_has_a_third_of_the_joins_of_a_full_image(masked_images):
    track = masked_images(torch.eye(12, dtype=torch.bool).unsqueeze(0))
    assert len(joins_of(find_stages(track.batch, 1)[0].neighbours)) == 12 + 2 * 11
    full = masked_images(torch.ones(1, 12, 12, dtype=torch.bool))
    assert len(joins_of(find_stages(full.batch, 1)[0].neighbours)) == (3 * 12 - 2) ** 2


@pytest.mark.parametrize("pairs", [True, False])
def test_a_batch_without_a_hit_has_neither_sites_nor_joins(pairs, masked_images):
    batch = masked_images(torch.zeros(3, 7, 7, dtype=torch.bool)).batch
    for stage in find_stages(batch, 3, pairs=pairs):
        assert stage.offset.tolist() == [0, 0, 0, 0]
        assert joins_of(stage.neighbours) == set()


def test_without_merging_every_stage_has_a_row_for_each_hit_and_counts_each_site_once(masked_images):
    images = masked_images.drawn(4, 12)
    stages: list[Stage] = find_stages(images.batch, 3, merge=False)
    for number, stage in enumerate(stages):
        assert stage.once is not None
        assert len(stage.neighbours.source_of) == len(stage.once) == len(images.batch.pixel)
        assert int(stage.once.sum()) == len(numbers(images.lit, 2**number))
