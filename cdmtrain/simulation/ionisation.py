"""Collisions with atomic electrons: mean loss below a cut, its variance, and the rate of collisions above the cut.

Muon and proton: Bethe with Sternheimer's density effect and the shell term of Barkas and Berger (ICRU 37), restricted
to transfers below the cut (Review of Particle Physics, Passage of particles through matter, eqs. 34.5 and 34.12).
Electron: Berger and Seltzer with the Moller cross section; a positron loses as an electron does (Bhabha differs by
2 %). Straggling comes from random collisions above the cut, 10 keV, and a Gaussian below it, of Bohr's variance and of
that which binding adds: over a few millimetres the sum is Landau's or Vavilov's distribution, as Blunck and Leisegang
broaden it. Valid from 1 MeV (muon), 5 MeV (proton), 10 keV
(electron) to some GeV; at less, the range is under 0.2 mm.
"""

import numpy as np

from cdmtrain.simulation import argon

Array = np.ndarray


def gamma_and_beta2(kinetic_mev: Array, mass_mev: float) -> tuple[Array, Array]:
    """Lorentz factor and squared velocity."""
    gamma = 1 + kinetic_mev / mass_mev
    return gamma, 1 - 1 / gamma**2


def density_effect(gamma: Array) -> Array:
    """Sternheimer's density correction delta."""
    x = np.log10(np.sqrt(gamma**2 - 1))
    bend = argon.STERNHEIMER_A * np.clip(argon.STERNHEIMER_X1 - x, 0, None) ** argon.STERNHEIMER_K
    return np.where(x < argon.STERNHEIMER_X0, 0.0, 2 * np.log(10) * x - argon.STERNHEIMER_C + bend)


def shell_term(gamma: Array) -> Array:
    """C/Z of the Bethe formula, frozen below beta gamma = 0.13 where the fit ends."""
    inverse = 1 / np.clip(gamma**2 - 1, 0.13**2, None)
    excitation_ev = argon.MEAN_EXCITATION_MEV * 1e6
    square = (0.422377 * inverse + 0.0304043 * inverse**2 - 0.00038106 * inverse**3) * 1e-6 * excitation_ev**2
    cube = (3.850190 * inverse - 0.1667989 * inverse**2 + 0.00157955 * inverse**3) * 1e-9 * excitation_ev**3
    return (square + cube) / 18


def largest_transfer_mev(kinetic_mev: Array, mass_mev: float) -> Array:
    """Largest energy that a heavy particle can transfer to one electron, MeV."""
    gamma, _ = gamma_and_beta2(kinetic_mev, mass_mev)
    ratio = argon.ELECTRON_MASS_MEV / mass_mev
    return 2 * argon.ELECTRON_MASS_MEV * (gamma**2 - 1) / (1 + 2 * gamma * ratio + ratio**2)


def heavy_loss(kinetic_mev: Array, mass_mev: float, cut_mev: float) -> Array:
    """Bethe's dE/dx from transfers below the cut, MeV/cm."""
    gamma, beta2 = gamma_and_beta2(kinetic_mev, mass_mev)
    top = largest_transfer_mev(kinetic_mev, mass_mev)
    upper = np.minimum(cut_mev, top)
    argument = 2 * argon.ELECTRON_MASS_MEV * (gamma**2 - 1) * upper / argon.MEAN_EXCITATION_MEV**2
    bracket = np.log(np.maximum(argument, 1.0)) - beta2 * (1 + upper / top) - density_effect(gamma)
    return argon.COLLISION_CONSTANT / beta2 * np.maximum(bracket - 2 * shell_term(gamma), 0.3)


def heavy_collision_rate(kinetic_mev: Array, mass_mev: float, cut_mev: float) -> Array:
    """Collisions per cm that transfer more than the cut (spin 1/2)."""
    gamma, beta2 = gamma_and_beta2(kinetic_mev, mass_mev)
    top = np.maximum(largest_transfer_mev(kinetic_mev, mass_mev), cut_mev)
    spin = (top - cut_mev) / (2 * (gamma * mass_mev) ** 2)
    return argon.COLLISION_CONSTANT / beta2 * (1 / cut_mev - 1 / top - beta2 / top * np.log(top / cut_mev) + spin)


def binding_variance(gamma: Array, beta2: Array) -> Array:
    """Variance of the loss that the binding of the inner electrons adds to Bohr's, MeV^2/cm.

    Shulek et al., Sov. J. Nucl. Phys. 4 (1967) 400: (8/3) xi sum_i (Z_i/Z) I_i ln(2 m (beta gamma)^2 / I_i) over the
    shells. The density effect ends the growth with gamma at I_i / (plasma energy).
    """
    total = np.zeros_like(gamma)
    for electrons, excitation in argon.INNER_SHELLS_MEV:
        square = np.minimum(gamma**2 - 1, (excitation / argon.PLASMA_MEV) ** 2)
        log = np.log(np.maximum(2 * argon.ELECTRON_MASS_MEV * square / excitation, 1.0))
        total += electrons / argon.ATOMIC_NUMBER * excitation * log
    return 8 / 3 * argon.COLLISION_CONSTANT / beta2 * total


def heavy_variance(kinetic_mev: Array, mass_mev: float, cut_mev: float) -> Array:
    """Bohr's and Shulek's variance of the loss below the cut, MeV^2/cm."""
    gamma, beta2 = gamma_and_beta2(kinetic_mev, mass_mev)
    top = largest_transfer_mev(kinetic_mev, mass_mev)
    upper = np.minimum(cut_mev, top)
    bohr = argon.COLLISION_CONSTANT / beta2 * upper * (1 - beta2 * upper / (2 * top))
    return bohr + binding_variance(gamma, beta2)


def electron_loss(kinetic_mev: Array, mass_mev: float, cut_mev: float) -> Array:
    """Berger and Seltzer's dE/dx from transfers below the cut, at most half of the energy, MeV/cm."""
    gamma, beta2 = gamma_and_beta2(kinetic_mev, mass_mev)
    tau = kinetic_mev / mass_mev
    upper = np.minimum(cut_mev / mass_mev, tau / 2)
    spread = -1 - beta2 + np.log((tau - upper) * upper) + tau / (tau - upper)
    spread += (upper**2 / 2 + (2 * tau + 1) * np.log(1 - upper / tau)) / gamma**2
    excitation = argon.MEAN_EXCITATION_MEV / mass_mev
    return argon.COLLISION_CONSTANT / beta2 * (np.log(2 * (gamma + 1) / excitation**2) + spread - density_effect(gamma))


def electron_collision_rate(kinetic_mev: Array, mass_mev: float, cut_mev: float) -> Array:
    """Moller collisions per cm that transfer more than the cut; the slower electron counts as the struck one."""
    gamma, beta2 = gamma_and_beta2(kinetic_mev, mass_mev)
    x = np.minimum(cut_mev / kinetic_mev, 0.5)
    shape = ((gamma - 1) / gamma) ** 2 * (0.5 - x) + 1 / x - 1 / (1 - x)
    shape -= (2 * gamma - 1) / gamma**2 * np.log((1 - x) / x)
    return argon.COLLISION_CONSTANT / beta2 * shape / kinetic_mev


def electron_variance(kinetic_mev: Array, mass_mev: float, cut_mev: float) -> Array:
    """Bohr's and Shulek's variance of the loss below the cut, MeV^2/cm."""
    gamma, beta2 = gamma_and_beta2(kinetic_mev, mass_mev)
    return argon.COLLISION_CONSTANT / beta2 * np.minimum(cut_mev, kinetic_mev / 2) + binding_variance(gamma, beta2)


ELECTRON = electron_loss, electron_variance, electron_collision_rate
HEAVY = heavy_loss, heavy_variance, heavy_collision_rate
