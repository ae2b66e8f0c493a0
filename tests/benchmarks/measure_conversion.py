"""The conversion of a contiguous file, against reading it with h5py in chunks and doing nothing."""

from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import peer_reader
from timing import Row, in_turn, quartiles

from cdmtrain.data.cache import load_or_convert

CHUNKS = {"28 images": 28, "100 images": 100, "1000 images": 1000}  # 4, 15 and 147 MB


def row(contiguous: Path) -> Row:
    def convert() -> None:
        with TemporaryDirectory(dir=contiguous.parent) as cache_dir:
            load_or_convert(contiguous, Path(cache_dir))

    readers = {name: partial(peer_reader.read_in_chunks, contiguous, chunk=chunk) for name, chunk in CHUNKS.items()}
    taken = in_turn({"mine": convert, **readers}, rounds=9)
    mine = taken.pop("mine")
    name = min(taken, key=lambda reader: float(np.median(taken[reader])))  # the fastest of them
    other, gigabytes = taken[name], contiguous.stat().st_size / 1e9
    return Row(
        "conversion of a contiguous file",
        float(np.median(other) / np.median(mine)),
        "x",
        0.9,
        f"{gigabytes / np.median(mine):.2f} GB/s",
        f"{gigabytes / np.median(other):.2f} GB/s, h5py, {name} at a time",
        quartiles(other / mine),
    )
