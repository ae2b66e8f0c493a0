"""The PDG codes that labels mean: codes, names, or positions in a list of particles."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Int32

from cdmtrain.errors import InputError
from cdmtrain.particles import ELECTRON, code_of

SMALLEST_CODE = ELECTRON.pdg  # of a particle that is seen alone


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


def _is_known(particle: object) -> bool:
    try:
        return bool(code_of(particle))
    except InputError:
        return False


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
