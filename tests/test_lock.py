"""A lock has one owner, on file systems with and without locks of their own, and an owner that died loses it."""

import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from cdmtrain import existence_lock, lock
from cdmtrain.errors import InputError, Locked
from cdmtrain.liveness import identity
from cdmtrain.lock import Lock

HOLD = "import sys, time; from pathlib import Path; from cdmtrain.lock import Lock; Lock(Path(sys.argv[1])).acquire()"
HOLD += "; print('held', flush=True); time.sleep(60)"


@pytest.fixture
def no_flock(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Lets flock fail from now on, as on a file system without locks, and renewals be fast."""

    def patch(number: int) -> None:
        def flock(*_: object) -> None:
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr("fcntl.flock", flock)
        monkeypatch.setattr(existence_lock, "RENEWED_EVERY_SECONDS", 0.05)
        monkeypatch.setattr(existence_lock, "ABANDONED_AFTER_SECONDS", 0.6)
        monkeypatch.setattr(lock, "PAUSE_SECONDS", 0.02)
        lock._warned.clear()

    return patch


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_process_that_is_killed_loses_its_lock_and_is_named_while_it_lives(tmp_path: Path) -> None:
    path = tmp_path / ".lock"
    with subprocess.Popen([sys.executable, "-c", HOLD, path], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(Locked, match=f"process {other.pid} of .* on "):
            Lock(path).acquire(patience_seconds=0)
        assert not Lock(path).try_acquire()
        other.kill()
    assert Lock(path).try_acquire()


def test_the_owner_is_told_once_to_a_process_that_waits(tmp_path: Path) -> None:
    owner, heard = Lock(tmp_path / ".lock"), list[str]()
    owner.acquire()

    def waiting(who: str) -> None:
        heard.append(who)
        owner.release()

    Lock(tmp_path / ".lock").acquire(waiting=waiting)
    assert [f"process {os.getpid()}" in who for who in heard] == [True]


def test_a_file_that_its_owner_removed_is_no_lock(tmp_path: Path) -> None:
    owner, other = Lock(tmp_path / ".lock"), Lock(tmp_path / ".lock")
    owner.acquire()
    heard = list[str]()

    def waiting(who: str) -> None:
        heard.append(who)
        owner.path.unlink()
        owner.release()

    other.acquire(waiting=waiting)
    assert heard
    assert not Lock(tmp_path / ".lock").try_acquire()  # the file of `other`, not one that nobody sees


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_where_there_are_no_locks_a_file_takes_their_place_and_one_warning_says_so(
    tmp_path: Path, no_flock: Callable[[int], None], number: int, caplog: pytest.LogCaptureFixture
) -> None:
    no_flock(number)
    owner, other = Lock(tmp_path / ".lock"), Lock(tmp_path / ".lock")
    assert owner.try_acquire()
    time.sleep(0.8)  # longer than a lock is believed that is not renewed
    assert not other.try_acquire()
    with pytest.raises(Locked, match=f"process {os.getpid()}"):
        other.acquire(patience_seconds=0)
    owner.release()
    assert other.try_acquire()
    other.release()
    assert names(tmp_path) == [".lock"]
    assert caplog.text.count("is on a file system without locks") == 1


@pytest.mark.parametrize("shift_s", [-1000, 0, 1000], ids=["long dead", "just died", "clock jumped back"])
def test_the_lock_of_a_dead_node_is_taken_over(tmp_path: Path, no_flock: Callable[[int], None], shift_s: int) -> None:
    no_flock(errno.ENOSYS)
    mark = tmp_path / ".lock.held"
    mark.write_text("of a process that is gone")
    os.utime(mark, (time.time() + shift_s,) * 2)
    began = time.monotonic()
    Lock(tmp_path / ".lock").acquire(patience_seconds=0)
    assert (time.monotonic() - began < 0.5) == (shift_s < 0)


def test_an_owner_that_stood_still_for_long_ends_when_it_finds_another(tmp_path: Path) -> None:
    script = "import os, sys; from cdmtrain import existence_lock; existence_lock.RENEWED_EVERY_SECONDS = 0.05\n"
    script += "def flock(*_):\n    raise OSError(38, 'none')\nimport fcntl; fcntl.flock = flock\n"
    done = subprocess.Popen(
        [sys.executable, "-c", script + HOLD, tmp_path / ".lock"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert done.stdout is not None
    assert done.stdout.readline() == "held\n"
    (tmp_path / ".lock").write_text("process 7 of bob on node02\n")
    (tmp_path / ".lock.held").write_text("of another process")
    _, error = done.communicate(timeout=30)
    assert done.returncode == 1
    assert f"process 7 of bob on node02 took over {tmp_path}" in error
    assert (tmp_path / ".lock.held").read_text() == "of another process"


def test_a_stopped_owner_on_this_machine_keeps_its_lock_and_a_killed_one_loses_it_at_once(
    tmp_path: Path, no_flock: Callable[[int], None]
) -> None:
    no_flock(errno.ENOLCK)
    with subprocess.Popen(["sleep", "60"]) as process:
        mark = tmp_path / ".lock.held"
        mark.write_text(f"0123 {identity(process.pid)}")
        process.send_signal(signal.SIGSTOP)
        os.utime(mark, (time.time() - 1000,) * 2)
        began = time.monotonic()
        with pytest.raises(Locked):
            Lock(tmp_path / ".lock").acquire(patience_seconds=0)
        assert time.monotonic() - began < 0.5
        process.kill()
        process.wait()
        os.utime(mark)
        assert Lock(tmp_path / ".lock").try_acquire()


@pytest.mark.parametrize("kind", ["link", "pipe", "directory", "link to nothing"])
@pytest.mark.parametrize("name", [".lock", ".lock.held"])
def test_a_lock_follows_no_link_and_waits_for_no_pipe(
    tmp_path: Path, no_flock: Callable[[int], None], kind: str, name: str
) -> None:
    no_flock(errno.ENOLCK)
    victim, planted = tmp_path / "victim", tmp_path / name
    victim.write_text("precious")
    {
        "link": lambda: planted.symlink_to(victim),
        "pipe": lambda: os.mkfifo(planted),
        "directory": planted.mkdir,
        "link to nothing": lambda: planted.symlink_to(tmp_path / "nothing"),
    }[kind]()
    with pytest.raises(InputError, match=f"{name} is a link, a pipe or a directory"):
        Lock(tmp_path / ".lock").acquire(patience_seconds=0)
    assert victim.read_text() == "precious"
    assert not (tmp_path / "nothing").exists()


def test_a_file_of_something_else_is_not_written_over(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / ".lock").hardlink_to(victim)
    assert Lock(tmp_path / ".lock").try_acquire()
    assert victim.read_text() == "precious"
