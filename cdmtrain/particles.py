"""The four particles: name, PDG code, class index and symbol. PDG codes are written nowhere else.

Codes follow the Monte Carlo numbering scheme of the Particle Data Group (Phys. Rev. D 110, 030001, section 45).
Classes are ordered by code, whatever a file contains.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Int, Int8


class Particle(NamedTuple):
    """One class of the task."""

    name: str
    pdg: int
    class_index: int  # 0..3, the label networks learn
    latex: str


ELECTRON = Particle("electron", 11, 0, r"$e^-$")
MUON = Particle("muon", 13, 1, r"$\mu^-$")
PHOTON = Particle("photon", 22, 2, r"$\gamma$")
PROTON = Particle("proton", 2212, 3, r"$p$")

PARTICLES = (ELECTRON, MUON, PHOTON, PROTON)  # in class order
NAMES = tuple(particle.name for particle in PARTICLES)
PDG_CODES = tuple(particle.pdg for particle in PARTICLES)
NUM_CLASSES = len(PARTICLES)
UNKNOWN_CLASS = -1  # class index of an event whose file has no `pdg`


def class_indices(pdg: Int[np.ndarray, " event"]) -> Int8[np.ndarray, " event"]:
    """The class index of every PDG code; UNKNOWN_CLASS for any other code."""
    class_index = np.full(len(pdg), UNKNOWN_CLASS, np.int8)
    for particle in PARTICLES:
        class_index[pdg == particle.pdg] = particle.class_index
    return class_index
