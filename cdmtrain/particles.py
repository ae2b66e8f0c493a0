"""The particles that a network tells apart: the list of classes, names, PDG codes. Codes are written nowhere else.

Codes follow the Monte Carlo numbering scheme of the Particle Data Group (Phys. Rev. D 110, 030001, section 45). The
package `particle` knows all of them; it takes a fifth of a second to import, so it is asked for what is not known here.
"""

from collections.abc import Sequence
from difflib import get_close_matches
from functools import cache
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from jaxtyping import Int, Int16

from cdmtrain.errors import InputError


class Particle(NamedTuple):
    """A particle by the name that the user gave it."""

    name: str
    pdg: int

    @property
    def latex(self) -> str:
        """The symbol, for matplotlib."""
        if self.pdg in LATEX:
            return LATEX[self.pdg]
        return f"${_known(self.pdg).latex_name}$" if _known_code(str(self.pdg)) is not None else self.name


Classes: TypeAlias = tuple[Particle, ...]  # what a network tells apart; the class index is the place in it

DEFAULT: Classes = (Particle("electron", 11), Particle("muon", 13), Particle("photon", 22), Particle("proton", 2212))
ELECTRON, MUON, PHOTON, PROTON = DEFAULT
NAMES = tuple(one.name for one in DEFAULT)
PDG_CODES = tuple(one.pdg for one in DEFAULT)
POSITRON = Particle("positron", -ELECTRON.pdg)
LATEX = {11: r"$e^-$", 13: r"$\mu^-$", 22: r"$\gamma$", 2212: r"$p$"}

UNKNOWN_CLASS = -1  # class index of an event that is none of the classes, or of which nothing is known
UNKNOWN_PDG = 0  # of an event of which nothing is known

# words beside the symbols of the Particle Data Group
WORDS = {one.name: one.pdg for one in (*DEFAULT, POSITRON)}
WORDS |= {"antimuon": -MUON.pdg, "antiproton": -PROTON.pdg, "neutron": 2112, "deuteron": 1000010020}
MOST_SHOWN = 6  # particles in a sentence
LONGEST_NAME = 20  # characters


def read_classes(typed: object) -> Classes:
    """Return the classes that `data.particles` lists, as typed and in the order typed; None for the default ones.

    Raises:
        InputError: for fewer than two particles, one that does not exist, and one that is there twice.
    """
    if typed is None:
        return DEFAULT
    if isinstance(typed, str) or not isinstance(typed, Sequence):
        raise InputError(f"data.particles={typed}: a list in brackets is expected, such as [electron,photon,pi+]")
    classes = tuple(_read_class(word) for word in typed)
    if len(classes) < 2:
        raise InputError(f"data.particles={list(typed)}: at least two particles are expected, to be told apart")
    for number, one in enumerate(classes):
        if twice := [other.name for other in classes[:number] if one.pdg == other.pdg]:
            same = "twice" if twice[0] == one.name else f"as {twice[0]} and as {one.name}"
            raise InputError(f"data.particles has the particle {one.pdg} {same}; name each once")
    return classes


def _read_class(word: object) -> Particle:
    try:
        return Particle(str(word).strip(), code_of(word))
    except InputError as error:
        raise InputError(f"data.particles: {error}") from error


def names_of(classes: Classes) -> tuple[str, ...]:
    """Return the names of the classes."""
    return tuple(one.name for one in classes)


def class_indices(pdg: Int[np.ndarray, " event"], classes: Classes) -> Int16[np.ndarray, " event"]:
    """Return the class index of every PDG code; UNKNOWN_CLASS for a code of no class."""
    class_index = np.full(len(pdg), UNKNOWN_CLASS, np.int16)
    for index, one in enumerate(classes):
        class_index[pdg == one.pdg] = index
    return class_index


def code_of(particle: object) -> int:
    """Return the PDG code of a name (electron), a symbol (e-, pi+) or a code.

    Raises:
        InputError: where it is none that the package `particle` knows, with the nearest names.
    """
    word = str(int(particle)) if isinstance(particle, float) and particle.is_integer() else str(particle).strip()
    if (code := find_code(word)) is None:
        near = get_close_matches(word[:LONGEST_NAME], [*WORDS, *_symbols()])
        hint = f"did you mean {' or '.join(near)}?" if near else f"such as {', '.join(WORDS)}"
        raise InputError(
            f"{word!r} is no particle; a PDG code, a symbol (e-, gamma, pi+) or a name is expected; {hint}"
        )
    return code


def find_code(word: str) -> int | None:
    """Return the PDG code of a name, a symbol or a code; None where it is no particle."""
    return WORDS[word] if word in WORDS else _known_code(word)


def name_of(code: int) -> str:
    """Return the word or the symbol of a PDG code; the code itself where no particle has it."""
    words = {value: word for word, value in WORDS.items()}
    if code in words:
        return words[code]
    return str(_known(code).name) if _known_code(str(code)) is not None else str(code)


def counts_in_words(pdg: Int[np.ndarray, " event"]) -> str:
    """Return `20 pi+, 10 K+`: how many events there are of each particle, the most frequent first."""
    codes, counts = np.unique(pdg, return_counts=True)
    order = np.argsort(-counts, kind="stable").tolist()
    shown = [f"{counts[one]:,} {name_of(int(codes[one]))}" for one in order[:MOST_SHOWN]]
    more = len(order) - len(shown)
    return ", ".join([*shown, *([f"{more} more kinds"] if more else [])])


class Pair(NamedTuple):
    """Two classes whose ROC curve is drawn for their own events alone; the first one is the signal."""

    signal: str
    background: str

    @property
    def key(self) -> str:
        """The name of the area under the curve in results.json, such as electron_photon_auc."""
        return f"{self.signal}_{self.background}_auc"


def read_pairs(typed: object, classes: Classes) -> tuple[Pair, ...]:
    """Return the pairs that `metrics.pairs` lists; None for electron and photon, where both are classes.

    Raises:
        InputError: for anything but pairs of different classes.
    """
    by_code = {one.pdg: one.name for one in classes}
    if typed is None:
        usual = [by_code.get(one.pdg) for one in (ELECTRON, PHOTON)]
        return (Pair(*map(str, usual)),) if all(usual) else ()
    pairs = [list(one) if isinstance(one, Sequence) and not isinstance(one, str) else [] for one in _listed(typed)]
    found = [[by_code.get(code_of(word)) for word in pair] for pair in pairs]
    for words, pair in zip(_listed(typed), found, strict=True):
        if len(pair) != 2 or None in pair or pair[0] == pair[1]:
            known = ", ".join(names_of(classes))
            raise InputError(f"metrics.pairs has {words}: two of the classes are expected, which are {known}")
    return tuple(dict.fromkeys(Pair(*map(str, pair)) for pair in found))


def _listed(typed: object) -> Sequence[object]:
    if isinstance(typed, str) or not isinstance(typed, Sequence):
        raise InputError(f"metrics.pairs={typed}: a list of pairs is expected, such as [[electron,photon]]")
    return typed


def _known(code: int) -> Any:
    from particle import Particle

    return Particle.from_pdgid(code)


@cache
def _known_code(word: str) -> int | None:
    from particle import InvalidParticle, Particle, ParticleNotFound

    is_code = word.removeprefix("-").isdecimal() and word == str(int(word))
    try:
        known = Particle.from_pdgid(int(word)) if is_code else Particle.from_name(word)
    except (ParticleNotFound, InvalidParticle, ValueError):
        return None
    return int(known.pdgid)


def _symbols() -> list[str]:
    from particle import Particle

    return [one.name for one in Particle.all() if not one.pdgid.is_nucleus]
