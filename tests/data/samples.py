"""A split, a simulation of two particles, and what a refusal looks like."""

import re
from types import SimpleNamespace

import numpy as np
import pytest

from cdmtrain.errors import InputError

FRACTIONS = {"train": [0.0, 0.5], "val": [0.5, 0.75], "test": [0.75, 1.0]}


BLOCK = SimpleNamespace(
    offset=np.array([0, 1, 3]),
    pixel=np.array([5, 1, 2], np.int32),
    energy_mev=np.ones(3, np.float32),
    pdg=np.array([11, 2212]),
    kinetic_energy_mev=np.ones(2, np.float32),
    vertex_px=np.ones((2, 2), np.float32),
    direction=np.ones((2, 3), np.float32),
)


class Twos:
    """A simulation of the same two events over and over."""

    image_size = 16

    def settings(self):
        return {"version": 1}

    def blocks(self, *, events, seed):
        return (BLOCK for _ in range(events // 2))


def refused(sentence):
    return pytest.raises(InputError, match=f"^{re.escape(sentence)}$")
