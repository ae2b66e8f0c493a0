"""Whatever is wrong with a file ends in one sentence that names it, and nothing stays."""

import fcntl

import h5py
import numpy as np
import pytest

from cdmtrain.data.cache import load_or_convert
from cdmtrain.data.store import EventStore
from cdmtrain.errors import InputError
from tests.data.bad_files import CASES, IMAGES, NUM_EVENTS, SIZE, write


@pytest.mark.parametrize(("make", "words"), CASES.values(), ids=CASES)
def test_a_bad_file_is_one_sentence_and_leaves_nothing(make, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path, cache_dir = tmp_path / "bad.h5", tmp_path / "cache"
    make(path)
    before = set(tmp_path.iterdir())
    with pytest.raises(InputError) as raised:
        load_or_convert(path, cache_dir)
    sentence = str(raised.value)
    for word in ["bad.h5", *words]:
        assert word in sentence
    assert "\n" not in sentence
    assert ". " not in sentence
    assert not sentence.endswith(".")
    assert len(sentence.replace(str(tmp_path), "")) < 320
    assert set(tmp_path.iterdir()) == before


def test_the_good_file_of_these_cases_is_good(tmp_path):
    write(tmp_path / "good.h5")
    assert len(EventStore([load_or_convert(tmp_path / "good.h5", tmp_path / "cache")])) == NUM_EVENTS


@pytest.mark.parametrize("name", ["a" * 300 + ".h5", "a\0.h5", "good.h5/events.h5"])
def test_an_impossible_name_is_one_sentence(name, tmp_path):
    write(tmp_path / "good.h5")
    with pytest.raises(InputError, match=r"cannot be opened|does not exist"):
        load_or_convert(tmp_path / name, tmp_path / "cache")


def test_a_file_that_may_not_be_read_is_one_sentence(tmp_path, monkeypatch):
    write(tmp_path / "bad.h5")

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(h5py, "File", refuse)
    with pytest.raises(InputError, match=r"bad\.h5 may not be read by this user; check its permissions"):
        load_or_convert(tmp_path / "bad.h5", tmp_path / "cache")


def test_a_file_that_another_program_writes_is_one_sentence(tmp_path):
    write(tmp_path / "bad.h5")
    with (tmp_path / "bad.h5").open("rb") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)  # as the HDF5 library does when it writes
        with pytest.raises(InputError, match=r"bad\.h5 is open for writing in another program"):
            load_or_convert(tmp_path / "bad.h5", tmp_path / "cache")


@pytest.mark.parametrize("layout", ["contiguous", "gzip", "lzf"])
def test_random_damage_ends_in_a_whole_store_or_in_one_sentence(layout, tmp_path):
    good, bad, cache_dir = tmp_path / "good.h5", tmp_path / "bad.h5", tmp_path / "cache"
    write(good, image=None, kinetic_energy_mev=np.ones(NUM_EVENTS, np.float32))
    options = {
        "contiguous": {},
        "gzip": {"compression": "gzip", "chunks": (4, SIZE, SIZE)},
        "lzf": {"compression": "lzf", "chunks": (3, 8, 8), "shuffle": True, "fletcher32": True},
    }
    with h5py.File(good, "r+") as file:
        file.create_dataset("image", data=IMAGES, **options[layout])
    content, rng = good.read_bytes(), np.random.default_rng(len(layout))
    num_whole = 0
    for turn in range(100):
        damaged = bytearray(content)
        if turn % 4 == 0:
            del damaged[rng.integers(len(content)) :]
        else:  # anywhere, or in the first bytes, where the description of the file is
            places = rng.integers(len(content) if turn % 4 == 1 else 2600, size=rng.integers(1, 6))
            for place in places:
                damaged[place] = rng.integers(256)
        bad.write_bytes(damaged)
        try:
            store = EventStore([load_or_convert(bad, cache_dir)])
        except InputError as error:
            assert "\n" not in str(error)  # noqa: PT017
            assert "bad.h5" in str(error)  # noqa: PT017
        else:
            assert len(store) == len(store.offset) - 1 == len(store.index)
            num_whole += 1
    assert 10 < num_whole < 90
    assert len([left for left in cache_dir.iterdir() if left.suffix != ".lock"]) <= num_whole
