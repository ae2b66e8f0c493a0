"""Coverage-guided fuzzing of what reads a stranger's files: inputs that reach new lines are kept and changed further.

python tests/fuzz/fuzz.py run|hdf5 [seconds] [seed]     exit status 1 where an input ends in anything but InputError

Each input is written to a file before it is read, so one that ends the process is left there.
"""

import random
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any

import cdmtrain
from cdmtrain.data.cache import load_or_convert
from cdmtrain.data.store import EventStore
from cdmtrain.errors import InputError
from cdmtrain.runs import files
from cdmtrain.runs.checkpoint import read_checkpoint
from cdmtrain.runs.predictions import read_mistakes, read_predictions
from cdmtrain.runs.read import read_provenance, read_run
from cdmtrain.runs.trust import PARTS, read_config

PACKAGE = str(Path(cdmtrain.__file__).parent)
OLD_RUN = Path(__file__).parents[1] / "fixtures/run_0_1"
MOST_BYTES = 400_000
SLOWEST_SECONDS = 5.0
WORDS = [
    *(b"null", b"true", b"-1", b"1e999", b"NaN", b"[", b"]", b"{", b"}", b'"', b":", b",", b"\n", b"  ", b"- ", b"? "),
    *(b"&a ", b"*a", b"<<: ", b"!!python/name:os.system", b"!!set", b"${oc.env:HOME}", b"_target_: ", b"_args_: "),
    *(b"os.system", b"\x00", b"\xff", b"\x1b[2J", b"9" * 30, b"[" * 40, b"../../x", b"2026-01-01", b"state", b"1:1:1"),
]

Read = Callable[[Path], object]


class Coverage:
    """The arcs between lines of this program that have been run, with their number of times as a power of two."""

    def __init__(self) -> None:
        self.known: set[tuple[str, int, int, int]] = set()
        self._counts: dict[tuple[str, int, int], int] = {}
        self._last = 0

    def adds(self, call: Callable[[], None]) -> bool:
        """Whether a call runs an arc that no call before did."""
        self._counts, self._last = {}, 0
        sys.settrace(self._trace)
        try:
            call()
        finally:
            sys.settrace(None)
        found = {(*arc, count.bit_length()) for arc, count in self._counts.items()}
        is_new = not found <= self.known
        self.known |= found
        return is_new

    def _trace(self, frame: FrameType, event: str, _: Any) -> Any:
        name = frame.f_code.co_filename
        if not name.startswith(PACKAGE):
            return None
        if event == "line":
            arc = (name, self._last, frame.f_lineno)
            self._counts[arc] = self._counts.get(arc, 0) + 1
            self._last = frame.f_lineno
        return self._trace


def mutated(content: bytes, others: list[bytes], rng: random.Random) -> bytes:
    """The content with one to eight changes: bits, numbers, words, pieces left out, repeated or of another input."""
    data = bytearray(content)
    for _ in range(2 ** rng.randrange(4)):
        at, length = rng.randrange(len(data) + 1), rng.choice((1, 2, 4, 8, 64))
        kind = rng.randrange(7)
        if kind == 0 and at < len(data):
            data[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            data[at : at + length] = rng.choice((b"\x00", b"\xff", b"\x7f", b"\x80")) * length
        elif kind == 2:
            data[at : at + length] = rng.choice((0, 1, 2**16, 2**31 - 1, 2**40)).to_bytes(8, "little")[:length]
        elif kind == 3:
            data[at:at] = rng.choice(WORDS)
        elif kind == 4:
            del data[at : at + length]
        elif kind == 5:
            data[at:at] = data[at : at + length]
        else:
            other = rng.choice(others)
            start = rng.randrange(len(other) + 1)
            data[at : at + length] = other[start : start + length]
    return bytes(data[:MOST_BYTES])


def fuzz(seeds: dict[str, bytes], read: Callable[[str, Path], object], *, seconds: float, seed: int, at: Path) -> int:
    """Change the seeds for a while; return the number of inputs read. An input that fails is left at `at`.

    Args:
        seeds: contents by name; the name decides how an input is read.
        read: reads the file of an input of this name.
    """
    rng, coverage, until, tried = random.Random(seed), Coverage(), time.monotonic() + seconds, 0
    corpus = list(seeds.items())
    while time.monotonic() < until:
        name, content = corpus[rng.randrange(len(corpus))]
        changed = mutated(content, [other for key, other in corpus if key == name], rng) if tried else content
        at.write_bytes(changed)
        began = time.monotonic()
        if coverage.adds(lambda name=name: attempt(read, name, at)):  # type: ignore[misc]
            corpus.append((name, changed))
        taken, tried = time.monotonic() - began, tried + 1
        if taken > SLOWEST_SECONDS:
            raise TimeoutError(f"{name}: {taken:.1f} s")
    print(f"{tried} inputs, {len(corpus)} kept, {len(coverage.known)} arcs", flush=True)
    return tried


def attempt(read: Callable[[str, Path], object], name: str, at: Path) -> None:
    with suppress(InputError):
        read(name, at)


def read_run_file(name: str, at: Path, run: Path) -> None:
    """Read a run of which one file is the input, as every command does."""
    target = run / name
    before = target.read_bytes()
    shutil.copyfile(at, target)
    try:
        if name.endswith(".ckpt"):
            read_checkpoint(target)
            return
        read_run(run, with_predictions=False)
        _ = read_provenance(run).fingerprints
        read_config(run, parts=PARTS)
    finally:
        target.write_bytes(before)


def read_hdf5(name: str, at: Path, run: Path) -> None:
    """Read predictions or mistakes of a run, a file of events, or a store of which one file is the input."""
    if name == "events.h5":
        EventStore([load_or_convert(at, run.parent / "cache")])
        return
    target = run / name
    shutil.copyfile(at, target)
    if name == files.PREDICTIONS:
        read_predictions(run, 4)
    elif name == files.MISTAKES:
        read_mistakes(run, 4)
    else:
        EventStore([target.parent])


def main(kind: str, seconds: float, seed: int) -> int:
    with tempfile.TemporaryDirectory() as folder:
        run = Path(shutil.copytree(OLD_RUN, Path(folder, "run")))
        at = Path(tempfile.gettempdir(), f"fuzzed_{kind}_{seed}")
        if kind == "run":
            names = [files.CONFIG, files.STATUS, files.PROVENANCE, files.RESULTS, files.METRICS, files.BEST_CHECKPOINT]
            read: Callable[[str, Path], object] = lambda name, path: read_run_file(name, path, run)  # noqa: E731
        else:
            store = load_or_convert(run / "events.h5", run / "cache")
            inside = [str((store / name).relative_to(run)) for name in ("store.json", "events.npz", "pixel.i32")]
            names = [files.PREDICTIONS, files.MISTAKES, "events.h5", *inside]
            read = lambda name, path: read_hdf5(name, path, run)  # noqa: E731
        fuzz({name: (run / name).read_bytes() for name in names}, read, seconds=seconds, seed=seed, at=at)
        at.unlink()
    return 0


if __name__ == "__main__":
    kind, seconds, seed = [*sys.argv[1:], *("run", "60", "1")[len(sys.argv) - 1 :]]
    sys.exit(main(kind, float(seconds), int(seed)))
