"""The readout draws from a generator of its own, so detector effects leave the particles as they are."""

import numpy as np

from cdmtrain.simulation import Simulator


def test_particles_are_the_same_with_and_without_diffusion_and_noise() -> None:
    plain, _ = Simulator().block(first=0, events=20, seed=3)
    effects = {"diffusion_cm": 0.1, "noise_mev": 0.03, "pixel_threshold_mev": 0.12}
    read, _ = Simulator(**effects).block(first=0, events=20, seed=3)
    for name in ("pdg", "kinetic_energy_mev", "vertex_px", "direction"):
        np.testing.assert_array_equal(getattr(plain, name), getattr(read, name))
    assert not np.array_equal(plain.pixel, read.pixel)
    again, _ = Simulator(**effects).block(first=0, events=20, seed=3)
    np.testing.assert_array_equal(read.energy_mev, again.energy_mev)
