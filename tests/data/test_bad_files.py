"""Whatever is wrong with a file ends in one sentence that names it, and nothing stays."""

import fcntl
import json
import os
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
from hydra import compose, initialize_config_module
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from cdmtrain import cli
from cdmtrain.config import check
from cdmtrain.data import cache, hdf5_datasets
from cdmtrain.data.cache import load_or_convert
from cdmtrain.data.store import EventStore
from cdmtrain.errors import InputError
from cdmtrain.runs import provenance

NUM_EVENTS, SIZE = 10, 16
IMAGES = np.random.default_rng(1).gamma(2, size=(NUM_EVENTS, SIZE, SIZE)).astype(np.float32)
IMAGES[IMAGES < 4] = 0
PDG = np.array([11, 13, 22, 2212, 11, 13, 22, 2212, 11, 13], np.int32)


Make = Callable[[Path], object]  # writes a file


def write(path: Path, **datasets: object) -> None:
    """A good file but for these datasets; None leaves one out."""
    with h5py.File(path, "w") as file:
        for name, values in {"image": IMAGES, "pdg": PDG, "index": np.arange(NUM_EVENTS), **datasets}.items():
            if values is not None:
                file[name] = values


def with_dataset(name: str, values: object) -> Make:
    return lambda path: write(path, **{name: values})


def with_created(name: str, shape: tuple[int, ...] | None, dtype: object = None, **layout: object) -> Make:
    """A good file but for this dataset, made as `create_dataset` of h5py makes it."""

    def make(path: Path) -> None:
        write(path, **{name: None})
        with h5py.File(path, "r+") as file:
            file.create_dataset(name, shape, dtype, **layout)

    return make


def with_image(shape: tuple[int, ...], dtype: object = np.float32, **layout: object) -> Make:
    return with_created("image", shape, dtype, **layout)


def with_value(value: float, entry: int, row: int = 3, column: int = 4, **layout: object) -> Make:
    return with_created("image", None, data=changed_at(IMAGES, (entry, row, column), value), **layout)


def changed_at(values: np.ndarray, where: object, value: object) -> np.ndarray:
    values = values.copy()
    values[where] = value
    return values


def with_group(name: str) -> Make:
    def make(path: Path) -> None:
        write(path, **{name: None})
        with h5py.File(path, "r+") as file:
            file.create_group(name)

    return make


def with_group_inside(path: Path) -> None:
    write(path, image=None)
    with h5py.File(path, "r+") as file:
        file["event/image"] = IMAGES


def virtual(path: Path) -> None:
    write(path.with_name("source.h5"))
    write(path, image=None)
    layout = h5py.VirtualLayout(IMAGES.shape, np.float32)
    layout[:] = h5py.VirtualSource(path.with_name("source.h5"), "image", IMAGES.shape)
    with h5py.File(path, "r+") as file:
        file.create_virtual_dataset("image", layout)


def linked(path: Path) -> None:
    write(path.with_name("source.h5"))
    write(path, pdg=None)
    with h5py.File(path, "r+") as file:
        file["pdg"] = h5py.ExternalLink("source.h5", "pdg")


def with_link(link: object) -> Make:
    def make(path: Path) -> None:
        write(path, image=None)
        with h5py.File(path, "r+") as file:
            file["image"] = link

    return make


def damaged_chunk(chunk: int, **layout: object) -> Make:
    def make(path: Path) -> None:
        write(path, image=None)
        with h5py.File(path, "r+") as file:
            file.create_dataset("image", data=IMAGES, chunks=(2, SIZE, SIZE), **layout)
            stored = file["image"].id.get_chunk_info(chunk)
        with path.open("r+b") as stream:
            stream.seek(stored.byte_offset + stored.size // 2)
            stream.write(b"\xab" * 8)  # to Fletcher's checksum 0xffff is 0

    return make


def short_chunk(path: Path) -> None:
    """A chunk shorter than its checksum, of which the HDF5 library reads memory that is not there."""
    write(path, image=None)
    with h5py.File(path, "r+") as file:
        image = file.create_dataset("image", data=IMAGES, chunks=(2, SIZE, SIZE), compression="lzf", fletcher32=True)
        image.id.write_direct_chunk((4, 0, 0), b"ab")


def damaged_labels(path: Path) -> None:
    write(path, pdg=None)
    with h5py.File(path, "r+") as file:
        file.create_dataset("pdg", data=PDG, chunks=(10,), compression="gzip")
        stored = file["pdg"].id.get_chunk_info(0)
    with path.open("r+b") as stream:
        stream.seek(stored.byte_offset)
        stream.write(b"\xff" * stored.size)


def cut(to: int) -> Make:
    def make(path: Path) -> None:
        write(path)
        os.truncate(path, to if to >= 0 else path.stat().st_size + to)

    return make


def compressed_a_thousandfold(path: Path) -> None:
    """82 MB of dark images in 80 kB; their last pixel is not a number."""
    chunk = np.zeros((1000, 64, 64), np.float32)
    layout = {"chunks": chunk.shape, "compression": "gzip"}
    with h5py.File(path, "w") as file:
        image = file.create_dataset("image", (5000, 64, 64), np.float32, **layout)
        for first in range(0, 5000, 1000):
            chunk[-1, -1, -1] = np.nan if first == 4000 else 0
            image.id.write_direct_chunk((first, 0, 0), zlib.compress(chunk, 9))


def bytes_of(content: bytes) -> Make:
    return lambda path: path.write_bytes(content) and None


NOT_HDF5 = ["is not an HDF5 file"]
CASES: dict[str, tuple[Make, list[str]]] = {
    "missing": (lambda path: None, ["does not exist", "data.files"]),
    "directory": (lambda path: path.mkdir(), ["is not a file"]),
    "pipe": (lambda path: os.mkfifo(path), ["is not a file"]),
    "link_to_nothing": (lambda path: path.symlink_to("nothing"), ["does not exist"]),
    "link_to_itself": (lambda path: path.symlink_to(path), ["cannot be opened"]),
    "zero_length": (bytes_of(b""), NOT_HDF5),
    "text": (bytes_of(b"image,pdg\n" * 100), NOT_HDF5),
    "a_picture": (bytes_of(b"\x89PNG\r\n\x1a\n" + b"\0" * 500), NOT_HDF5),
    "zeros": (bytes_of(b"\0" * 5000), NOT_HDF5),
    "signature_alone": (bytes_of(b"\x89HDF\r\n\x1a\n"), ["cannot be opened"]),
    "signature_and_noise": (bytes_of(b"\x89HDF\r\n\x1a\n" + bytes(range(256)) * 9), ["cannot be opened"]),
    "no_dataset": (lambda path: write(path, image=None, pdg=None, index=None), ["'image'", "nothing"]),
    "no_image": (lambda path: write(path, image=None), ["no dataset 'image'", "'index', 'pdg'"]),
    "image_in_a_group": (with_group_inside, ["no dataset 'image'", "'event'"]),
    "image_a_group": (with_group("image"), ["'image'", "is a group"]),
    "image_a_link_to_nothing": (with_link(h5py.SoftLink("/nothing")), ["'image'", "cannot be read"]),
    "image_in_a_missing_file": (with_link(h5py.ExternalLink("no.h5", "image")), ["'image'", "cannot be read"]),
    "image_virtual": (virtual, ["'image'", "another file"]),
    "image_external": (with_image(IMAGES.shape, external="pixels.raw"), ["'image'", "another file"]),
    "image_scalar": (with_dataset("image", np.float32(1)), ["'image'", "shape ()", "(N, S, S)"]),
    "image_null": (with_dataset("image", h5py.Empty("f4")), ["'image'", "shape ()"]),
    **{
        f"image_of_shape_{shape}": (with_image(shape), ["'image'", str(shape), word])
        for word, shapes in {
            "(N, S, S)": [(100,), (10, 256), (10, 16, 16, 1), (10, 16, 15)],
            "no event": [(0, 16, 16), (10, 0, 0)],
        }.items()
        for shape in shapes
    },
    "image_enormous": (with_image((1, 8193, 8193)), ["'image'", "(1, 8193, 8193)", "8192 x 8192"]),
    "image_declared_huge": (with_image((2**40, 16, 16)), ["'image'", "declares", "holds 0 bytes"]),
    "image_declared_huge_in_chunks": (with_image((2**50, 16, 16), chunks=(1, 16, 16)), ["'image'", "declares"]),
    "image_declared_beyond_64_bits": (with_image((2**62, 16, 16), chunks=(1, 16, 16)), ["'image'", "declares"]),
    "image_declared_huge_compressed": (
        with_image((2**36, 16, 16), chunks=(2**16, 16, 16), compression="gzip"),
        ["'image'", "declares"],
    ),
    "compressed_a_thousandfold": (compressed_a_thousandfold, ["'image' entry 4999", "nan at row 63, column 63"]),
    "pdg_declared_huge": (
        with_created("pdg", (2**40,), np.int32, chunks=(2**20,), compression="gzip"),
        ["'pdg'", "(1099511627776,)", "10 events"],
    ),
    **{
        f"image_{name}": (with_image(IMAGES.shape, dtype), ["'image'", word, "float32 of shape"])
        for name, dtype, word in [
            *((np.dtype(dtype).name, dtype, np.dtype(dtype).name) for dtype in ("f8", "f2", "i4", "u1", "?", "c8")),
            ("strings", h5py.string_dtype(), "object"),
            ("bytes", "S4", "S4"),
            ("references", h5py.ref_dtype, "object"),
            ("ragged", h5py.vlen_dtype(np.float32), "object"),
            ("compound", [("a", "f4"), ("b", "i4")], "'<f4'"),
            ("opaque", "V4", "V4"),
            ("dates", h5py.opaque_dtype("M8[s]"), "datetime64"),
        ]
    },
    "pixel_nan": (with_value(np.nan, 0), ["'image' entry 0", "nan at row 3, column 4"]),
    "pixel_nan_in_the_last_image": (with_value(np.nan, 9, 15, 15), ["'image' entry 9", "nan at row 15, column 15"]),
    "pixel_infinite": (with_value(np.inf, 4), ["'image' entry 4", "inf at row 3"]),
    "pixel_minus_infinite": (with_value(-np.inf, 4, 0, 0), ["'image' entry 4", "-inf at row 0, column 0"]),
    "pixel_negative": (with_value(-0.5, 7), ["'image' entry 7", "-0.5 at row 3, column 4", "not negative"]),
    "pixel_negative_subnormal": (with_value(-1e-45, 7), ["'image' entry 7", "-1.4012984"]),
    "pixel_negative_compressed": (with_value(-1, 2, compression="gzip"), ["'image' entry 2", "-1.0"]),
    "pixel_nan_big_endian": (with_value(np.nan, 2, dtype=">f4"), ["'image' entry 2", "nan"]),
    "gzip_damaged": (damaged_chunk(0, compression="gzip"), ["'image' entries 0 to 9", "cannot be read"]),
    "gzip_damaged_at_the_end": (damaged_chunk(4, compression="gzip"), ["'image' entries", "damaged"]),
    "checksum_wrong": (damaged_chunk(3, fletcher32=True), ["'image' entries", "damaged"]),
    "checksum_without_room": (short_chunk, ["'image'", "a chunk of 2 bytes has no room for its checksum"]),
    "pdg_damaged": (damaged_labels, ["'pdg'", "cannot be read"]),
    "pdg_too_short": (with_dataset("pdg", PDG[:9]), ["'pdg'", "(9,)", "10 events", "(10,)"]),
    "pdg_too_long": (with_dataset("pdg", np.append(PDG, 11)), ["'pdg'", "(11,)", "10 events"]),
    "pdg_empty": (with_dataset("pdg", PDG[:0]), ["'pdg'", "(0,)"]),
    "pdg_scalar": (with_dataset("pdg", np.int32(11)), ["'pdg'", "shape ()"]),
    "pdg_null": (with_dataset("pdg", h5py.Empty("i4")), ["'pdg'", "shape None"]),
    "pdg_a_column": (with_dataset("pdg", PDG[:, None]), ["'pdg'", "(10, 1)"]),
    "pdg_float": (with_dataset("pdg", PDG.astype(np.float32)), ["'pdg'", "float32", "integers"]),
    "pdg_words": (with_dataset("pdg", ["electron"] * 10), ["'pdg'", "object", "integers"]),
    "pdg_bool": (with_dataset("pdg", PDG == 11), ["'pdg'", "bool"]),
    "pdg_a_group": (with_group("pdg"), ["'pdg'", "is a group"]),
    "pdg_in_another_file": (linked, ["'pdg'", "another file"]),
    "pdg_unknown": (with_dataset("pdg", changed_at(PDG, 6, 211)), ["pdg code 211 at entry 6", "11, 13, 22, 2212"]),
    "pdg_of_antiparticle": (with_dataset("pdg", changed_at(PDG, 0, -11)), ["pdg code -11 at entry 0"]),
    "pdg_class_index": (with_dataset("pdg", PDG * 0), ["pdg code 0 at entry 0"]),
    "pdg_large": (with_dataset("pdg", np.full(10, 2**64 - 1, np.uint64)), ["pdg code", "at entry 0"]),
    "index_too_short": (with_dataset("index", np.arange(3)), ["'index'", "(3,)", "10 events"]),
    "index_float": (with_dataset("index", np.arange(10.0)), ["'index'", "float64", "integers"]),
    "energy_too_short": (with_dataset("kinetic_energy_mev", np.ones(3)), ["'kinetic_energy_mev'", "(3,)"]),
    "energy_words": (with_dataset("kinetic_energy_mev", ["1"] * 10), ["'kinetic_energy_mev'", "numbers"]),
    "energy_nan": (
        with_dataset("kinetic_energy_mev", changed_at(np.ones(10), 8, np.nan)),
        ["'kinetic_energy_mev' entry 8", "nan"],
    ),
    "energy_beyond_float32": (
        with_dataset("kinetic_energy_mev", changed_at(np.ones(10), 5, 1e300)),
        ["'kinetic_energy_mev' entry 5", "inf"],
    ),
    "vertex_of_three": (with_dataset("vertex_px", np.ones((10, 3))), ["'vertex_px'", "(10, 3)", "(10, 2)"]),
    "vertex_infinite": (
        with_dataset("vertex_px", changed_at(np.ones((10, 2)), (4, 1), np.inf)),
        ["'vertex_px' entry 4", "inf"],
    ),
    "direction_of_two": (with_dataset("direction", np.ones((10, 2))), ["'direction'", "(10, 2)", "(10, 3)"]),
    **{
        f"cut_at_{to}": (cut(to), ["HDF5 file" if 0 <= to < 8 else "cannot be opened"])
        for to in (1, 7, 8, 9, 47, 48, 95, 96, 300, 511, 512, 800, 1500, 2047, 2048, 2049, 5000, 9000, -512, -8, -1)
    },
}


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


TASKS = {
    "train": "run_dir=run model.channels=[2] data.image_size=16 trainer=cpu print_config=false "
    "data=hdf5 data.files=[bad.h5]",
    "evaluate": "run={run} trainer=cpu data=hdf5 data.files=[bad.h5]",
    "predict": "run={run} trainer=cpu input=bad.h5",
    "inspect": "data=hdf5 data.files=[bad.h5]",
}
Refused = Callable[[str], str]


@pytest.fixture(scope="module")
def composed(trained: SimpleNamespace) -> Iterator[dict[str, tuple[DictConfig, DictConfig]]]:
    """The configuration of each task, Hydra's own and the job's, composed and checked once."""
    made = {}
    with initialize_config_module("cdmtrain.conf", version_base="1.3"):
        for task, words in TASKS.items():
            typed = [f"task={task}", *words.format(run=trained.path).split()]
            whole = compose("config", overrides=typed, return_hydra_config=True)
            made[task] = whole, OmegaConf.masked_copy(whole, [key for key in whole if key != "hydra"])
            HydraConfig.instance().set_config(whole)
            check.check(made[task][1])
        yield made


@pytest.fixture
def refused(
    composed: dict[str, tuple[DictConfig, DictConfig]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Refused:
    """Runs a task's command on bad.h5 in this process, sees that it leaves what it may; the sentence it ends in."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(check, "check", lambda cfg: None)
    monkeypatch.setattr(provenance, "git_state", lambda source: {})

    def command(task: str) -> str:
        whole, cfg = composed[task]
        HydraConfig.instance().set_config(whole)
        monkeypatch.setattr(cli, "run_command", lambda: cli.job(cfg.copy()))
        monkeypatch.setattr(sys, "argv", ["cdmtrain", f"task={task}"])
        before = set(tmp_path.rglob("*"))
        assert cli.main() == 1
        error = capsys.readouterr().err
        assert error.startswith("error: ")
        assert error.count("\n") == 1
        sentence = error.removeprefix("error: ").rstrip("\n")
        left = {path for path in set(tmp_path.rglob("*")) - before if not path.is_relative_to(tmp_path / "run")}
        assert left - {tmp_path / "run"} == set()
        assert (tmp_path / "run").exists() == (task == "train")
        if task == "train":
            assert {path.name for path in (tmp_path / "run").iterdir()} <= {
                *("config.yaml", "provenance.json", "status.json", ".lock"),
            }
            status = json.loads((tmp_path / "run/status.json").read_text())
            assert (status["state"], status["error"]) == ("failed", sentence)
        return sentence

    return command


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("case", CASES)
def test_a_command_on_a_bad_file_is_one_sentence_and_leaves_no_more_than_a_run_that_says_so(
    case: str, task: str, tmp_path: Path, refused: Refused
) -> None:
    make, words = CASES[case]
    make(tmp_path / "bad.h5")
    if task == "predict" and not (tmp_path / "bad.h5").is_file():
        words = ["input=", "is not a file"]
    if (task, case) == ("predict", "compressed_a_thousandfold"):  # known before any pixel is read
        words = ["images of 64 x 64 pixels"]
    sentence = refused(task)
    for word in ["bad.h5", *words]:
        assert word in sentence


@pytest.mark.parametrize("task", TASKS)
def test_a_command_on_a_file_that_may_not_be_read_is_one_sentence(
    task: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: Refused
) -> None:
    write(tmp_path / "bad.h5")
    (tmp_path / "bad.h5").chmod(0)
    opened = h5py.File

    def as_nobody(path: Path, *args: object, **options: object) -> h5py.File:
        user = os.geteuid()
        if user == 0:  # who may read everything
            os.seteuid(65534)
        try:
            return opened(path, *args, **options)
        finally:
            os.seteuid(user)

    monkeypatch.setattr(hdf5_datasets.h5py, "File", as_nobody)
    assert "bad.h5 may not be read by this user" in refused(task)


@pytest.mark.parametrize(
    ("task", "place", "words"),
    [(task, (hdf5_datasets, "_open"), "bad.h5 does not exist") for task in TASKS]
    + [(task, (cache, "file_fingerprint"), "bad.h5 can no longer be read") for task in TASKS if task != "predict"],
)
def test_a_command_on_a_file_that_vanishes_between_start_and_read_is_one_sentence(
    task: str,
    place: tuple[object, str],
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    refused: Refused,
) -> None:
    write(tmp_path / "bad.h5")
    read = getattr(*place)

    def vanished(path: Path) -> object:
        path.unlink()
        return read(path)

    monkeypatch.setattr(*place, vanished)
    assert words in refused(task)


def test_the_command_itself_on_a_bad_file(tmp_path: Path) -> None:
    make, words = CASES["pixel_nan"]
    make(tmp_path / "bad.h5")
    main = "import sys; from cdmtrain import cli; sys.exit(cli.main())"
    command = [sys.executable, "-c", main, *TASKS["train"].split()]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert all(word in done.stderr for word in ["bad.h5", *words])
    assert {path.name for path in tmp_path.iterdir()} == {"bad.h5", "run"}


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
