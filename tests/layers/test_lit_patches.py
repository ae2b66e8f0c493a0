"""Patches are those cut out one by one, without the dark ones."""

import torch

from cdmtrain.layers.lit_patches import lit_patches


def test_patches_are_those_cut_out_one_by_one():
    generator = torch.Generator().manual_seed(1)
    image = torch.rand(4, 2, 10, 10, generator=generator) * (torch.rand(4, 2, 10, 10, generator=generator) < 0.03)
    image[1] = 0
    image[2, :, 9, 9] = 1.0  # in the patch that reaches over the edge
    extended = torch.zeros(4, 2, 12, 12)
    extended[..., :10, :10] = image
    patches = lit_patches(image, 4)
    sequence = patches.to_sequence(patches.pixels)
    for event in range(4):
        cut = [extended[event, :, row : row + 4, column : column + 4] for row in (0, 4, 8) for column in (0, 4, 8)]
        lit = [number for number, patch in enumerate(cut) if patch.any()]
        assert patches.number[patches.event == event].tolist() == lit
        assert sequence.mask[event].sum() == len(lit)
        for rank, number in enumerate(lit):
            assert torch.equal(sequence.feature[event, rank], cut[number].flatten())
        assert not sequence.feature[event, len(lit) :].any()


def test_dark_images_are_sequences_of_padding():
    patches = lit_patches(torch.zeros(2, 1, 8, 8), 4)
    assert patches.to_sequence(patches.pixels).mask.tolist() == [[False], [False]]
