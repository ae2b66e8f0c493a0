"""Constants of liquid argon and of the particles that cross it.

Source: Particle Data Group, Atomic and Nuclear Properties (liquid argon), and Sternheimer, Berger, Seltzer,
At. Data Nucl. Data Tables 30 (1984) 261 for the density effect. Energies in MeV, lengths in cm.
"""

import math

ATOMIC_NUMBER = 18
ATOMIC_MASS = 39.948  # g/mol
DENSITY = 1.396  # g/cm3
MEAN_EXCITATION_MEV = 188.0e-6
INNER_SHELLS_MEV = ((2, 3.206e-3), (8, 0.27e-3))  # electrons and binding energy of the shells K and L
PLASMA_MEV = 22.854e-6
STERNHEIMER_C, STERNHEIMER_A, STERNHEIMER_K, STERNHEIMER_X0, STERNHEIMER_X1 = 5.2146, 0.19559, 3.0, 0.2, 3.0
NUCLEAR_RADIUS_MEV = 3.43 / 197.327  # rms charge radius 3.43 fm over hbar c, in 1/MeV

ELECTRON_MASS_MEV = 0.51099895
MUON_MASS_MEV = 105.6583755
PROTON_MASS_MEV = 938.27208816
FINE_STRUCTURE = 1.0 / 137.035999
ELECTRON_RADIUS_CM = 2.8179403262e-13

ATOMS_PER_CM3 = DENSITY / ATOMIC_MASS * 6.02214076e23
ELECTRONS_PER_CM3 = ATOMS_PER_CM3 * ATOMIC_NUMBER
# 2 pi r_e^2 m_e n_e: half of the Bethe constant K Z/A rho, in MeV/cm
COLLISION_CONSTANT = 2 * math.pi * ELECTRON_RADIUS_CM**2 * ELECTRON_MASS_MEV * ELECTRONS_PER_CM3

# Kinds of particle in a shower. The first four are the class indices of cdmtrain.particles.
ELECTRON, MUON, PHOTON, PROTON, POSITRON = 0, 1, 2, 3, 4
MASS_MEV = (ELECTRON_MASS_MEV, MUON_MASS_MEV, 0.0, PROTON_MASS_MEV, ELECTRON_MASS_MEV)

# Collisions and photons below these energies are part of the continuous loss; those above are simulated one by one.
COLLISION_CUT_MEV = 0.010
PHOTON_CUT_MEV = 0.030
# A photon that scattering has brought below this energy deposits it on the spot.
PHOTON_END_MEV = 0.006
# A collision that transfers more ends the step and makes a delta ray that is followed (0.06 mm of range).
DELTA_RAY_MEV = 0.055
# A charged particle with less has a range under 1 mm (electrons) or 0.2 mm (others): it makes one last deposit.
STOP_MEV = (0.340, 0.880, PHOTON_END_MEV, 2.040, 0.340)
