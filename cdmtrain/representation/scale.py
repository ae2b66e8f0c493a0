"""Energy scales of a representation. Each preserves the order of energies and maps 0 to exactly 0."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from cdmtrain.errors import InputError

Scale = Callable[[Float[Tensor, "*shape"]], Float[Tensor, "*shape"]]


class LinearScale:
    """Energies in MeV, as they are."""

    def __call__(self, energy: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        return energy


class LogScale:
    """ln(1 + E / E_0): linear well below the reference E_0, logarithmic well above it.

    Args:
        reference_mev: E_0 in MeV, above 0; InputError otherwise. Half of the lit pixels hold less than 0.7 MeV.
    """

    def __init__(self, *, reference_mev: float) -> None:
        if not reference_mev > 0:
            raise InputError(f"representation.scale.reference_mev={reference_mev}: more than 0 MeV is expected")
        self.reference_mev = reference_mev

    def __call__(self, energy: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        return torch.log1p(energy / self.reference_mev)


class SqrtScale:
    """The square root of the energy in MeV, on which counting noise has the same width at every energy."""

    def __call__(self, energy: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        return energy.sqrt()


LINEAR = LinearScale()
