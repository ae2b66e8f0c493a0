"""The PDG codes that labels mean: codes, names, or positions in a list of particles."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
from jaxtyping import Int32

from cdmtrain.errors import InputError
from cdmtrain.particles import ELECTRON, MUON, PARTICLES, PROTON

WORDS = {particle.name: particle.pdg for particle in PARTICLES}  # beside the symbols of the Particle Data Group
WORDS |= {"positron": -ELECTRON.pdg, "antimuon": -MUON.pdg, "antiproton": -PROTON.pdg, "neutron": 2112}
SMALLEST_CODE = 11  # of a particle that is seen alone


def pdg_codes(labels: np.ndarray, meanings: Sequence[object] | None, source: Path) -> Int32[np.ndarray, " event"]:
    """Return the PDG code of each label.

    Args:
        labels: (event,) codes or names; with `meanings` positions in that list.
        meanings: names, symbols or codes of the particles that 0, 1, ... stand for.
        source: the file, for messages.

    Raises:
        InputError: for a label that is no particle, with its event.
    """
    labels = labels.astype(str) if labels.dtype.kind in "SO" else labels
    if labels.ndim != 1 or labels.dtype.kind not in "iuUf" or (labels.dtype.kind == "f" and (labels % 1 != 0).any()):
        raise InputError(
            f"the labels in {source} are {labels.dtype} of shape {labels.shape}; one code, name or number of each "
            "event is expected"
        )
    values, place = np.unique(labels, return_inverse=True)
    if meanings is not None:
        return _positions(values, place, [code_of(one) for one in meanings], source)
    if labels.dtype.kind != "U" and len(values) and values.min() >= 0 and values.max() < SMALLEST_CODE:
        raise InputError(
            f"the labels in {source} are numbers from {values.min():g} to {values.max():g}, which are no PDG codes; "
            "say what 0, 1, ... mean, as in labels=[electron,photon]"
        )
    try:
        codes = np.array([code_of(value) for value in values.tolist()], np.int32)
    except InputError as error:
        wrong = next(number for number, value in enumerate(values.tolist()) if not _is_known(value))
        raise InputError(f"label of event {int(np.flatnonzero(place == wrong)[0])} in {source}: {error}") from error
    return codes[place]


def code_of(particle: object) -> int:
    """Return the PDG code of a name (electron), a symbol (e-, pi+) or a code.

    Raises:
        InputError: where it is none that the package `particle` knows.
    """
    word = str(int(particle)) if isinstance(particle, float) else str(particle).strip()
    if word in WORDS:
        return WORDS[word]
    if (code := _known_code(word)) is None:
        raise InputError(
            f"{word!r} is no particle; a PDG code, a symbol (e-, gamma, pi+) or one of {', '.join(WORDS)} is expected"
        )
    return code


def name_of(code: int) -> str:
    """Return the word or the symbol of a code."""
    from particle import Particle  # takes a third of a second

    words = {value: word for word, value in WORDS.items()}
    return words.get(code) or str(Particle.from_pdgid(code).name)


def _is_known(particle: object) -> bool:
    try:
        return bool(code_of(particle))
    except InputError:
        return False


@cache
def _known_code(word: str) -> int | None:
    from particle import Particle, ParticleNotFound  # takes a third of a second

    try:
        known = Particle.from_pdgid(int(word)) if word.lstrip("-").isdigit() else Particle.from_name(word)
    except (ParticleNotFound, ValueError):
        return None
    return int(known.pdgid)


def _positions(
    values: np.ndarray, place: np.ndarray, codes: Sequence[int], source: Path
) -> Int32[np.ndarray, " event"]:
    if values.dtype.kind == "U" or values.min() < 0 or values.max() >= len(codes):
        wrong = next(value for value in values.tolist() if isinstance(value, str) or not 0 <= value < len(codes))
        event = int(np.flatnonzero(place == values.tolist().index(wrong))[0])
        raise InputError(
            f"label of event {event} in {source} is {wrong}; labels= has {len(codes)} particles, so a number from 0 to "
            f"{len(codes) - 1} is expected"
        )
    return np.array(codes, np.int32)[values.astype(int)][place]
