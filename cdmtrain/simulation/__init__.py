"""Particle transport in liquid argon: single electrons, muons, photons and protons, as sparse images.

`Simulator` (simulator.py) makes blocks of events (block.py). Each primary particle is followed with everything it makes
(transport.py, tracks.py), and the deposits become an image (block.py). The physics is in ionisation.py,
secondaries.py, scattering.py and photons.py, and for nuclei in nuclear.py, cascade.py, evaporation.py, absorption.py
and diffraction.py.
"""

from cdmtrain.simulation.simulator import SimulatedEvents, Simulator

__all__ = ["SimulatedEvents", "Simulator"]
