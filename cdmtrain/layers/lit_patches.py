"""Cut images into patches and keep those with a lit pixel."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from cdmtrain.batch import Sequence


@dataclass(frozen=True)
class Patches:
    """The lit patches of all images of a batch, image by image and row by row."""

    pixels: Float[Tensor, "patch pixel"]  # channel by channel, each row by row
    number: Int[Tensor, " patch"]  # of the patch within its image, row by row
    event: Int[Tensor, " patch"]  # which image each patch belongs to
    rank: Int[Tensor, " patch"]  # of the patch among the lit patches of its image
    num_lit: Int[Tensor, " event"]

    @torch.compiler.disable  # the greatest number of patches depends on the events
    def to_sequence(self, feature: Float[Tensor, "patch feature"]) -> Sequence:
        """Return these features of the patches as one sequence per image, padded to the longest."""
        length = max(int(self.num_lit.max()), 1)
        padded = feature.new_zeros(len(self.num_lit), length, feature.shape[1])
        padded[self.event, self.rank] = feature
        mask = torch.arange(length, device=feature.device) < self.num_lit.unsqueeze(1)
        return Sequence(feature=padded, mask=mask)


@torch.compiler.disable  # and so does their number
def lit_patches(image: Float[Tensor, "event channel row column"], patch_size: int) -> Patches:
    """Return the patches of `patch_size` squared pixels that are not dark.

    Images are extended by dark rows and columns to a multiple of the patch size.
    """
    beyond = -image.shape[3] % patch_size
    extended = functional.pad(image, (0, beyond, 0, beyond))
    windows = extended.unfold(2, patch_size, patch_size).unfold(3, patch_size, patch_size)
    patches = windows.permute(0, 2, 3, 1, 4, 5).flatten(3).flatten(1, 2)
    lit = patches.any(dim=2)
    event, number = lit.nonzero(as_tuple=True)
    rank = (lit.cumsum(1) - 1)[event, number]
    return Patches(pixels=patches[event, number], number=number, event=event, rank=rank, num_lit=lit.sum(1))
