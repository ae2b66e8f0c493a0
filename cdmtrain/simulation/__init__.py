"""Particle transport in liquid argon: single electrons, muons, photons and protons, as sparse images.

A particle starts at its vertex (block.py) and is followed with everything it makes (transport.py, tracks.py),
by the laws in ionisation.py, radiation.py, scattering.py, photons.py and nuclear.py,
cascade.py, evaporation.py; its deposits become an image
(image.py). `Simulator` joins them.
"""

from cdmtrain.simulation.simulator import SimulatedEvents, Simulator

__all__ = ["SimulatedEvents", "Simulator"]
