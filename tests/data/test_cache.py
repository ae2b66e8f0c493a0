"""A store is made once, whole or not at all, by one process, and never beside the user's files."""

import json
import os
import signal
import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from cdmtrain.data import cache, hdf5_images
from cdmtrain.data.cache import load_or_convert
from cdmtrain.data.hdf5 import ChallengeFile
from cdmtrain.data.store import EventStore, is_whole
from cdmtrain.errors import InputError

CONVERT = """
import logging, sys
from pathlib import Path
from cdmtrain.data import cache, hdf5, hdf5_images

def blocks(file):
    for number, block in enumerate(everything(file)):
        yield block
        if number == 0:
            print("converting", flush=True)
            sys.stdin.readline()

everything, hdf5.ChallengeFile.blocks = hdf5.ChallengeFile.blocks, blocks
hdf5_images.BLOCK_BYTES = 2 * 4 * 16**2
logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="%(message)s")
print(cache.load_or_convert(Path(sys.argv[1]), Path(sys.argv[2])), flush=True)
"""


@pytest.fixture
def conversion(cache_dir: Path) -> Iterator[Callable[[Path], subprocess.Popen]]:
    """Starts a process that converts a file; it prints "converting" after a block and waits for a line of input."""
    started, pipe = [], subprocess.PIPE

    def start(path: Path) -> subprocess.Popen:
        command = [sys.executable, "-c", CONVERT, str(path), str(cache_dir)]
        started.append(subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=os.environ | {"TERM": "dumb"}))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def wait_for(process: subprocess.Popen, words: str) -> None:
    """Wait until the process has printed these words."""
    for line in process.stdout:
        if words in line:
            return
    raise AssertionError(f"the process ended without printing {words!r}")


def names(directory: Path) -> list[str]:
    """What is in a directory, but for lock files."""
    return [path.name for path in directory.iterdir() if not path.name.endswith(".lock")] if directory.exists() else []


def test_a_file_is_converted_once(challenge_file, cache_dir, blocks_read):
    path = challenge_file()
    assert load_or_convert(path, cache_dir) == load_or_convert(path, cache_dir)
    assert len(blocks_read) == 1


def test_a_changed_file_is_converted_again(challenge_file, cache_dir, blocks_read):
    path = challenge_file()
    before = load_or_convert(path, cache_dir)
    with h5py.File(path, "r+") as file:
        file["image"][7, 3, 2] = 12.5
    after = load_or_convert(path, cache_dir)
    assert after != before
    assert len(blocks_read) == 2
    batch = EventStore([after]).make_batch(torch.tensor([7]))
    assert batch.energy[batch.pixel == 3 * 16 + 2].tolist() == [12.5]


def test_other_bytes_of_the_same_size_and_time_are_other_events(challenge_file, cache_dir):
    path = challenge_file()
    stat, before = path.stat(), load_or_convert(path, cache_dir)
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (stat.st_size, stat.st_mtime_ns)
    assert cache.file_fingerprint(path) != before.name


def test_a_file_that_was_only_moved_is_not_converted_again(challenge_file, cache_dir, tmp_path, blocks_read):
    path = challenge_file()
    before = load_or_convert(path, cache_dir)
    (tmp_path / "elsewhere").mkdir()
    assert load_or_convert(path.rename(tmp_path / "elsewhere" / "other.h5"), cache_dir) == before
    assert len(blocks_read) == 1


def test_nothing_is_written_beside_the_users_file(challenge_file, tmp_path, cache_dir):
    directory = tmp_path / "mine"
    directory.mkdir()
    path = challenge_file().rename(directory / "events.h5")
    before = path.read_bytes(), path.stat().st_mtime_ns, directory.stat().st_mtime_ns
    path.chmod(0o400)
    directory.chmod(0o500)
    try:
        load_or_convert(path, cache_dir)
        assert (path.read_bytes(), path.stat().st_mtime_ns, directory.stat().st_mtime_ns) == before
        assert names(directory) == ["events.h5"]
    finally:
        directory.chmod(0o700)


def test_a_cache_that_may_not_be_written_is_read(challenge_file, cache_dir, monkeypatch):
    path = challenge_file()
    store = load_or_convert(path, cache_dir)
    monkeypatch.setattr("cdmtrain.data.cache.Lock", lambda *_: pytest.fail("a lock needs the right to write"))
    assert load_or_convert(path, cache_dir) == store


def test_a_store_says_where_it_comes_from(challenge_file, cache_dir):
    about = json.loads((load_or_convert(challenge_file("a.h5", num_events=9), cache_dir) / "store.json").read_text())
    assert (about["file"], about["num_events"], about["image_size"]) == ("a.h5", 9, 16)


def test_brackets_in_a_name_are_no_markup(challenge_file, cache_dir):
    assert is_whole(load_or_convert(challenge_file("[red]a[bold].h5"), cache_dir))


@pytest.mark.parametrize(
    "error", [RuntimeError("the process fell over"), KeyboardInterrupt(), OSError(28, "disk full")]
)
def test_an_interrupted_conversion_leaves_nothing(error, challenge_file, cache_dir, monkeypatch):
    path, blocks = challenge_file(), ChallengeFile.blocks

    def interrupted(file: ChallengeFile) -> Iterator:
        yield next(blocks(file))
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(hdf5_images, "BLOCK_BYTES", 4 * 16**2)
        patch.setattr(ChallengeFile, "blocks", interrupted)
        with pytest.raises(type(error)):
            load_or_convert(path, cache_dir)
    assert names(cache_dir) == []
    assert len(EventStore([load_or_convert(path, cache_dir)])) == 60


def test_a_file_that_changes_while_it_is_read_is_refused(challenge_file, cache_dir, monkeypatch):
    path, blocks = challenge_file(), ChallengeFile.blocks

    def changed(file: ChallengeFile) -> Iterator:
        yield from blocks(file)
        os.utime(path)

    monkeypatch.setattr(ChallengeFile, "blocks", changed)
    with pytest.raises(InputError, match=r"events\.h5 changed while it was read; start again"):
        load_or_convert(path, cache_dir)
    assert names(cache_dir) == []


def test_a_file_that_vanishes_after_it_was_opened_is_one_sentence(challenge_file, cache_dir, monkeypatch):
    path, check = challenge_file(), ChallengeFile._image

    def vanished(file: ChallengeFile) -> h5py.Dataset:
        image = check(file)
        path.unlink()
        return image

    monkeypatch.setattr(ChallengeFile, "_image", vanished)
    with pytest.raises(InputError, match=r"events\.h5 can no longer be read \(No such file"):
        load_or_convert(path, cache_dir)


def test_what_killed_processes_left_is_removed(challenge_file, cache_dir):
    path = challenge_file()
    store = load_or_convert(path, cache_dir)
    whole = {file.name: file.read_bytes() for file in store.iterdir()}
    store.rename(cache_dir / f".{store.name}.4711.tmp")
    (cache_dir / f".{store.name}.12.tmp").mkdir()
    load_or_convert(path, cache_dir)
    assert names(cache_dir) == [store.name]
    assert {file.name: file.read_bytes() for file in store.iterdir()} == whole


def test_of_two_processes_one_converts_and_the_other_waits_and_says_so(challenge_file, cache_dir, conversion):
    path = challenge_file()
    first = conversion(path)
    wait_for(first, "converting")
    second = conversion(path)
    wait_for(second, f"waiting for the conversion of {path} by process {first.pid} of ")
    stores = []
    for process in (first, second):
        rest, _ = process.communicate("go on\n", timeout=60)
        assert process.returncode == 0
        assert "converting" not in rest
        stores.append(rest.split()[-1])
    assert stores[0] == stores[1]
    assert names(cache_dir) == [Path(stores[0]).name]


def test_after_a_kill_in_mid_conversion_the_next_one_makes_the_whole(challenge_file, cache_dir, conversion):
    path = challenge_file()
    process = conversion(path)
    wait_for(process, "converting")
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert [name[-4:] for name in names(cache_dir)] == [".tmp"]
    store = load_or_convert(path, cache_dir)
    assert names(cache_dir) == [store.name]
    assert len(EventStore([store])) == 60


def test_memory_of_a_conversion_does_not_grow_with_the_file(write_images, cache_dir, monkeypatch):
    monkeypatch.setattr(hdf5_images, "BLOCK_BYTES", 2**18)

    def peak_bytes(num_events: int) -> int:
        images = np.zeros((num_events, 64, 64), np.float32)
        images[:, 5:15, 7] = 1
        path = write_images(images, f"{num_events}.h5")
        del images
        tracemalloc.start()
        load_or_convert(path, cache_dir)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak

    peak_bytes(100)  # what is allocated once
    small, large = (
        min(peak_bytes(number + extra) for extra in range(3)) for number in (200, 2000)
    )  # of blocks that wait
    assert large < 2 * 2**20  # the images are 32 MB
    assert large - small < 1800 * 150  # a few columns, of 8 bytes an event


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_ends_a_conversion_at_the_end_of_a_block(number):
    """An exception raised at once may land in h5py's clean-up, which drops it."""
    before, blocks = signal.getsignal(number), cache.interruptible(iter(range(3)))
    assert next(blocks) == 0
    os.kill(os.getpid(), number)
    with pytest.raises(KeyboardInterrupt):
        next(blocks)
    assert signal.getsignal(number) is before
