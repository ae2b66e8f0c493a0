"""Write the events of a source in the challenge's format, and say what changed on the way."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from cdmtrain.data.conversion.arrays import in_memory
from cdmtrain.data.conversion.labels import pdg_codes
from cdmtrain.data.conversion.pixels import Losses, Square, Window, choose_plane, in_mev, window_of
from cdmtrain.data.conversion.source import Source, source_of
from cdmtrain.data.hdf5 import TRUTH, new_challenge_file
from cdmtrain.errors import InputError

LEAST_MEV, MOST_MEV = 1.0, 5000.0  # of the median event: outside of it the unit is doubted


@dataclass(frozen=True)
class Settings:
    """How images become energies in MeV; see `pixels`."""

    plane: int | str | None = None
    scale: float = 1.0
    threshold: float = 0.0
    crop: Sequence[int] | None = None
    square: Square = "pad"
    labels: Sequence[object] | None = None  # what label numbers mean


@dataclass
class Summary:
    """What was written."""

    num_events: int
    shape: tuple[int, int]  # of an image of the source
    window: Window
    losses: Losses
    codes: dict[int, int] = field(default_factory=dict)  # PDG code -> events
    event_mev: list[np.ndarray] = field(default_factory=list)  # (event,) of each block

    @property
    def median_mev(self) -> float:
        """The median over events of the deposited energy."""
        return float(np.median(np.concatenate(self.event_mev)))

    def sentences(self) -> Iterator[str]:
        """What a user should know, one sentence each."""
        rows, columns = self.window.rows, self.window.columns
        if rows != columns:
            side = self.window.side
            yield f"images of {rows} x {columns} pixels were padded with dark ones to {side} x {side}"
        if self.losses.cut_mev:
            share = self.losses.cut_mev / (self.losses.cut_mev + self.losses.kept_mev)
            yield f"{100 * share:.2g} % of the energy was outside the part that is kept"
        if self.losses.dimmed:
            yield f"{self.losses.dimmed:,} pixels below the threshold were made dark"
        if self.losses.rounded:
            most = self.losses.largest_rounding
            yield f"{self.losses.rounded:,} lit pixels were rounded to float32, by at most {most:.1e} of their value"
        if not LEAST_MEV <= self.median_mev <= MOST_MEV:
            yield (
                f"the median event has {self.median_mev:.3g} MeV: are these energies in MeV? scale=... is what one "
                "unit of the source is worth, such as scale=0.01 for 100 counts a MeV"
            )


def write_converted(
    source: Source, output: Path, settings: Settings, *, attributes: Mapping[str, Any], progress: Callable[[int], Any]
) -> Summary:
    """Write the events of a source to `output`, which is whole afterwards, or absent where anything is raised.

    Args:
        source: the events.
        output: an HDF5 file in the challenge's format.
        settings: how images become energies.
        attributes: of the file.
        progress: called with the number of events in each block that is done.

    Raises:
        InputError: for labels, energies or shapes that the format cannot hold.
    """
    shape = source.image_shape[-2], source.image_shape[-1]
    window = window_of(shape, settings.crop, settings.square)
    columns, summary = _columns(source, window, settings.labels), Summary(source.num_events, shape, window, Losses())
    codes, counts = np.unique(columns.get("pdg", np.empty(0, np.int32)), return_counts=True)
    summary.codes = dict(zip(codes.tolist(), counts.tolist(), strict=True))
    first = 0
    with new_challenge_file(
        output, num_events=source.num_events, image_size=window.side, attributes=attributes
    ) as writer:
        for block in source.read():
            hits = in_mev(
                choose_plane(block, settings.plane),
                scale=settings.scale,
                threshold=settings.threshold,
                window=window,
                first=first,
                losses=summary.losses,
            )
            rows = slice(first, first + len(block))
            writer.write(hits, {name: values[rows] for name, values in columns.items()})
            summary.event_mev.append(hits.event_mev())
            first = rows.stop
            progress(len(block))
    return summary


def _columns(source: Source, window: Window, labels: Sequence[object] | None) -> dict[str, np.ndarray]:
    """The datasets beside the images, a row for each event."""
    columns = {name: values.astype(np.float32) for name, values in source.truth.items()}
    if "vertex_px" in columns:
        columns["vertex_px"] -= np.array([window.row, window.column], np.float32)
    if source.index is not None:
        columns["index"] = source.index.astype(np.int32)
    if source.label is not None:
        columns["pdg"] = pdg_codes(source.label, labels, source.path)
    return columns


def write_events(path: str | PathLike[str], images: object, *, particles: object = None, **truth: object) -> None:
    """Write images of your own as a file in the challenge's format, which is whole afterwards, or absent.

    Args:
        path: the HDF5 file, which must not exist.
        images: (N, S, S) deposited energy in MeV, an array or a tensor; images that are not square are padded.
        particles: (N,) PDG codes, symbols (e-, pi+) or names (electron); None where they are unknown.
        **truth: (N, ...) what else is known of each event, such as kinetic_energy_mev, vertex_px and direction.

    Raises:
        InputError: for a file that exists, arrays of different lengths, and energies that are negative or not finite.
    """
    target = Path(path)
    if target.exists():
        raise InputError(f"{target} exists; choose another name or remove it")
    given = {"image": images, **({} if particles is None else {"label": particles}), **truth}
    arrays = {name: in_memory(np.asarray(values)) for name, values in given.items()}
    if unknown := [name for name in truth if name not in TRUTH]:
        raise InputError(f"{unknown[0]} is no truth that the format has; {', '.join(TRUTH)} are")
    source = source_of(target, arrays, {"image": "image"})
    write_converted(source, target, Settings(), attributes={}, progress=lambda events: None)
