"""Real file systems that are full, out of files or read-only: one sentence, nothing half, nothing lost."""

import ctypes
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import pytest

from cdmtrain.atomic import write_json
from cdmtrain.data.hdf5_writer import new_hdf5
from cdmtrain.lock import Lock
from tests.forked import Python

Mount = Callable[..., Path]
MAIN = "import sys; from cdmtrain.cli import main; sys.exit(main())"
SMALL = ["data.image_size=16", "model=dnn", "model.width=4", "trainer=debug", "trainer.accelerator=cpu"]
LIBC = ctypes.CDLL(None, use_errno=True)
READ_ONLY, REMOUNT = 1, 32  # flags of mount(2)


@pytest.fixture
def mount(tmp_path: Path) -> Iterator[Mount]:
    """Mounts a file system in memory: mount("size=300k"); `mount("", read_only=path)` makes one read-only."""
    mounted: list[Path] = []

    def make(options: str, read_only: Path | None = None) -> Path:
        path = read_only or tmp_path / f"disk{len(mounted)}"
        path.mkdir(exist_ok=True)
        flags = READ_ONLY | REMOUNT if read_only else 0
        if LIBC.mount(b"tmpfs", str(path).encode(), b"tmpfs", flags, options.encode()):
            pytest.skip(f"this user may not mount file systems ({os.strerror(ctypes.get_errno())})")
        if not read_only:
            mounted.append(path)
        return path

    yield make
    for path in mounted:
        LIBC.umount2(str(path).encode(), 2)


@pytest.fixture
def cdmtrain(tmp_path: Path, python: Python) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Types words in a process of its own, with variables of the environment; it may never end in a traceback."""

    def run(*words: str, page: bool = False, **variables: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "NO_COLOR": "1", **variables}
        typed = [*words, "print_config=false"]
        if variables:  # the home of the user is looked at when a module is imported
            command = [sys.executable, "-c", MAIN, *typed]
            done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path, env=environment)
        else:
            done = python(MAIN, *typed, folder=tmp_path, environment=environment, page=page)
        assert "Traceback" not in done.stderr + done.stdout, done.stderr
        assert done.returncode in (0, 1), done.stderr
        return done

    return run


def everything(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*"))


def test_a_file_that_does_not_fit_keeps_the_one_before_it_and_is_named(mount: Mount) -> None:
    disk = mount("size=64k")
    write_json(disk / "a.json", {"a": 1})
    with pytest.raises(OSError, match="No space left on device") as caught:
        write_json(disk / "a.json", {"a": "b" * 200_000})
    assert caught.value.filename == str(disk / "a.json")
    assert everything(disk) == ["a.json"]
    assert json.loads((disk / "a.json").read_text()) == {"a": 1}


def test_a_disk_without_room_for_another_name_keeps_what_it_has(mount: Mount) -> None:
    disk = mount("nr_inodes=3")
    write_json(disk / "a.json", {"a": 1})
    (disk / "b").touch()
    with pytest.raises(OSError, match="No space left on device"):
        write_json(disk / "a.json", {"a": 2})
    assert json.loads((disk / "a.json").read_text()) == {"a": 1}


def write_noise(path: Path, begun: list[int]) -> None:
    """Write 100 blocks that hardly compress; note each in `begun`."""
    with new_hdf5(path) as (file, target):
        images = file.create_dataset("image", (800, 64, 64), "f4", chunks=(8, 64, 64), compression="gzip")
        for first in range(0, 800, 8):
            begun.append(first)
            images[first : first + 8] = np.random.default_rng(first).random((8, 64, 64))
            target.check()


@pytest.mark.parametrize("size", ["4k", "100k", "1m"])
def test_an_hdf5_file_that_does_not_fit_ends_in_an_exception_before_its_end(mount: Mount, size: str) -> None:
    begun: list[int] = []
    with pytest.raises(OSError, match="No space left on device"):
        write_noise(mount(f"size={size}") / "a.h5", begun)
    assert len(begun) < 90  # HDF5 keeps the first 8 MB in its cache


def test_an_hdf5_file_that_fits_has_what_was_written(tmp_path: Path) -> None:
    written = np.random.default_rng(1).random((50, 8, 8)).astype("f4")
    with new_hdf5(tmp_path / "a.h5") as (file, _):
        file.attrs["classes"] = ["electron", "muon"]
        file.create_dataset("image", written.shape, "f4", chunks=(8, 8, 8), compression="gzip")[:] = written
    with h5py.File(tmp_path / "a.h5") as file:
        assert (file["image"][:] == written).all()
        assert list(file.attrs["classes"]) == ["electron", "muon"]


@pytest.mark.parametrize("name", ["p.h5", "p.csv"])
def test_predictions_that_do_not_fit_leave_nothing(
    mount: Mount, cdmtrain: Callable[..., subprocess.CompletedProcess[str]], trained: SimpleNamespace, name: str
) -> None:
    disk = mount("size=4k")
    done = cdmtrain("task=predict", f"run={trained.path}", f"input={trained.file}", f"output={disk / name}")
    assert done.returncode == 1
    assert f"error: {disk / name}: No space left on device" in done.stderr
    assert everything(disk) == []


@pytest.mark.parametrize("options", ["size=16k", "size=40k", "nr_inodes=6"])
def test_a_full_disk_of_the_run_is_named_and_the_same_command_goes_on_when_there_is_room(
    mount: Mount,
    cdmtrain: Callable[..., subprocess.CompletedProcess[str]],
    challenge_file: Callable[..., Path],
    options: str,
) -> None:
    disk = mount(options)
    words = ["data=hdf5", f"data.files=[{challenge_file()}]", *SMALL, f"run_dir={disk / 'run'}"]
    done = cdmtrain(*words)
    assert done.returncode == 1
    assert str(disk) in done.stderr
    assert "No space left on device" in done.stderr
    assert not [name for name in everything(disk) if name.endswith(".tmp")]
    if LIBC.mount(b"tmpfs", str(disk).encode(), b"tmpfs", REMOUNT, b"size=100m,nr_inodes=1000"):
        pytest.skip("the file system cannot be enlarged")
    assert cdmtrain(*words).returncode == 0
    assert json.loads((disk / "run/status.json").read_text())["state"] == "finished"


COMPILING = """
import numpy as np
from cdmtrain.report.dataset.shape import bend, kinks
kinks(np.arange(4.0), np.ones(4)), bend(np.arange(4.0), np.ones(4))
"""


@pytest.mark.parametrize("kind", ["full", "read-only", "absent"])
def test_a_home_that_takes_nothing_costs_one_warning_for_all_that_is_compiled(
    mount: Mount, tmp_path: Path, kind: str
) -> None:
    home = mount("size=16k" if kind == "full" else "size=1m")
    if kind == "read-only":
        mount("", read_only=home)
    environment = {**os.environ, "HOME": "/proc/none" if kind == "absent" else str(home), "XDG_CACHE_HOME": ""}
    command = [sys.executable, "-c", COMPILING]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path, env=environment)
    assert done.stderr.count("functions are compiled anew in every process") == done.stderr.count("\n") == 1
    assert not (tmp_path / "~").exists()


def test_a_training_needs_no_room_in_the_home(
    mount: Mount,
    cdmtrain: Callable[..., subprocess.CompletedProcess[str]],
    challenge_file: Callable[..., Path],
    tmp_path: Path,
) -> None:
    where = {"HOME": str(mount("size=16k")), "XDG_CACHE_HOME": "", "MPLCONFIGDIR": str(tmp_path)}
    done = cdmtrain("data=hdf5", f"data.files=[{challenge_file()}]", *SMALL, "run_dir=run", **where)
    assert done.returncode == 0
    assert (done.stdout + done.stderr).count("functions are compiled anew in every process") == 1
    assert not (tmp_path / "~").exists()


def test_a_cache_on_a_full_disk_is_named_and_leaves_no_half_store(
    mount: Mount, cdmtrain: Callable[..., subprocess.CompletedProcess[str]], challenge_file: Callable[..., Path]
) -> None:
    disk = mount("size=8k")
    done = cdmtrain("data=hdf5", f"data.files=[{challenge_file()}]", *SMALL, f"data.cache_dir={disk / 'cache'}")
    assert done.returncode == 1
    assert "No space left on device" in done.stderr
    assert not [name for name in everything(disk) if name.endswith(".tmp") or ("." not in name and name != "cache")]


def test_a_read_only_cache_is_replaced_by_another(
    mount: Mount, cdmtrain: Callable[..., subprocess.CompletedProcess[str]], challenge_file: Callable[..., Path]
) -> None:
    disk = mount("size=1m")
    mount("", read_only=disk)
    done = cdmtrain("data=hdf5", f"data.files=[{challenge_file()}]", *SMALL, f"data.cache_dir={disk}", "run_dir=run")
    assert done.returncode == 0
    assert "Read-only file system; outputs/cache is used instead" in done.stdout + done.stderr


def test_a_lock_on_a_read_only_disk_is_one_error(mount: Mount) -> None:
    disk = mount("size=1m")
    mount("", read_only=disk)
    with pytest.raises(OSError, match="Read-only file system"):
        Lock(disk / ".lock").try_acquire()


def test_a_diverged_training_has_its_page_and_says_so(
    cdmtrain: Callable[..., subprocess.CompletedProcess[str]], challenge_file: Callable[..., Path], tmp_path: Path
) -> None:
    words = [*SMALL, "optimizer.lr=1e30", "trainer=cpu", "trainer.max_epochs=9", "run_dir=run"]
    done = cdmtrain("data=hdf5", f"data.files=[{challenge_file()}]", *words, page=True)
    assert done.returncode == 0
    assert "val_loss is no number any more; try a smaller optimizer.lr" in done.stdout + done.stderr
    assert "epoch 9" not in done.stdout
    status, results = (json.loads((tmp_path / "run" / name).read_text()) for name in ("status.json", "results.json"))
    assert (status["state"], status["metric"], results["diverged"]) == ("diverged", None, True)
    assert (tmp_path / "run/report/index.html").exists()


def test_a_journal_that_ends_in_half_a_line_opens_again(
    cdmtrain: Callable[..., subprocess.CompletedProcess[str]], challenge_file: Callable[..., Path], tmp_path: Path
) -> None:
    pytest.importorskip("optuna")
    words = ["task=search", "search=dnn", "data=hdf5", f"data.files=[{challenge_file()}]", *SMALL[:1], "study=s"]
    words += ["trainer=debug", "trainer.accelerator=cpu"]
    assert cdmtrain(*words, "trials=1").returncode == 0
    with (tmp_path / "s/journal.log").open("a") as journal:
        journal.write('{"op_code": 8, "worker_id": "abc')
    done = cdmtrain(*words, "trials=2")
    assert done.returncode == 0
    assert "ends in half a line, which is dropped" in done.stdout + done.stderr
    assert (tmp_path / "s/journal.log.damaged-1").exists()
    shutil.rmtree(tmp_path / "s")
