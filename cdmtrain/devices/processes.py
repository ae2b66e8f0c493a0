"""A run on several devices: its other processes are started, watched and ended, and nothing of them is left behind.

Each is `cdmtrain run=<this run's directory>`, whatever was typed, alone or in a sweep. Lightning would run the whole
command again, a sweep too, and would kill this process with a whole sweep where one of them fails.
"""

import ctypes
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO, Any

import torch
from lightning.pytorch.strategies.launchers.subprocess_script import _SubprocessScriptLauncher

from cdmtrain.errors import InputError
from cdmtrain.runs.directory import CHILD

SET_BY_LIGHTNING = ("LOCAL_RANK", "NODE_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", "OMP_NUM_THREADS")
READY = "CDMTRAIN_READY"  # the file descriptor by which a process tells that it has come to the training
PROGRAM = "import sys; from cdmtrain.cli import main; sys.exit(main())"
INTERRUPTED = (130, -signal.SIGINT, -signal.SIGTERM)
LAST_WORDS_SECONDS = 10  # a process that fails tells its peers by leaving; then it has so long to say why
ENDING_SECONDS = 60
STUCK_SECONDS = 20  # a collective on a GPU may never return when a peer has gone


class PeerFailed(BaseException):
    """Interrupts the work of this process, where another one of the run has failed."""


class Processes:
    """The other processes of the run that this process trains."""

    def __init__(self) -> None:
        self.started: list[subprocess.Popen[bytes]] = []
        self._ready: list[int] = []
        self._said: list[IO[bytes]] = []
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._interrupts = False

    def start(self, run_dir: str, environment: dict[str, str]) -> None:
        """Start one more process of the run in `run_dir`; what it writes to standard error is kept."""
        said = tempfile.TemporaryFile()  # noqa: SIM115  (open as long as the process)
        command = [sys.executable, "-P", "-c", PROGRAM, f"run={run_dir}"]
        ready, tells = os.pipe()
        environment = environment | {READY: str(tells)}
        self.started.append(subprocess.Popen(command, env=environment, stderr=said, pass_fds=[tells]))
        os.close(tells)
        self._ready.append(ready)
        self._said.append(said)

    def wait_until_ready(self) -> None:
        """Wait for the others to come as far as this process: in a rendezvous with one that failed it could not leave.

        Raises:
            InputError: with the sentence of one that failed on its way.
        """
        for ready in self._ready:
            came = os.read(ready, 1)
            os.close(ready)
            if not came:
                raise InputError(self.failure(wait_seconds=LAST_WORDS_SECONDS) or "a process of the run ended early")

    def watch(self) -> None:
        """From now on, stop the work of this process when another one fails."""
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        while not self._over.wait(0.2):
            if self._failed() is not None:
                with self._lock:
                    if self._over.is_set():
                        return
                    self._interrupts = True
                    main = ctypes.c_ulong(threading.main_thread().ident or 0)
                    ctypes.pythonapi.PyThreadState_SetAsyncExc(main, ctypes.py_object(PeerFailed))
                if not self._over.wait(STUCK_SECONDS):
                    print(f"error: {self.failure()}", file=sys.stderr, flush=True)
                    self.kill()
                    os._exit(1)
                return

    def stop_watching(self) -> None:
        """From now on, stop nothing; what is on its way is waited for and ignored."""
        with suppress(PeerFailed):
            with self._lock:
                self._over.set()
            if self._interrupts:
                time.sleep(0.1)

    def _failed(self) -> int | None:
        codes = [process.poll() for process in self.started]
        return next((n for n, code in enumerate(codes) if code and code not in INTERRUPTED), None)

    def failure(self, *, wait_seconds: float = 0) -> str | None:
        """The sentence of the process that failed, where one did or does in the time given."""
        until = time.monotonic() + wait_seconds
        while self._failed() is None and time.monotonic() < until and None in (p.poll() for p in self.started):
            time.sleep(0.05)
        number = self._failed()
        if number is None:
            return None
        code = self.started[number].returncode
        self._said[number].seek(0)
        lines = self._said[number].read().decode(errors="replace").splitlines()
        said = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
        if said and "Traceback (most recent call last):" not in lines:
            return said[-1]
        why = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with status {code}"
        return "\n".join([f"process {number + 2} of the run {why}", *lines])

    def kill(self) -> None:
        for process in self.started:
            process.kill()

    def end(self) -> None:
        """Wait until all have ended, or end them."""
        until = time.monotonic() + ENDING_SECONDS
        for process in self.started:
            try:
                process.wait(max(0.1, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for said in self._said:
            said.close()


_current: Processes | None = None


def ready() -> None:
    """Called by every process of a run before its training: from here on they work together."""
    if READY in os.environ:
        descriptor = int(os.environ.pop(READY))
        os.write(descriptor, b"!")
        os.close(descriptor)


class Launcher(_SubprocessScriptLauncher):
    """Starts the other processes of the run that `several_processes` is around."""

    def _call_children_scripts(self) -> None:
        self._check_can_spawn_children()
        assert _current is not None
        place = self.cluster_environment
        os.environ |= {
            "MASTER_ADDR": place.main_address,
            "MASTER_PORT": str(place.main_port),
            "NODE_RANK": str(place.node_rank()),
            "LOCAL_RANK": str(place.local_rank()),
            "WORLD_SIZE": str(self.num_processes * self.num_nodes),
        }
        for rank in range(1, self.num_processes):
            _current.start(os.environ[CHILD], os.environ | {"LOCAL_RANK": str(rank)})
        _current.wait_until_ready()
        _current.watch()

    def launch(self, function: Any, *args: Any, trainer: Any = None, **kwargs: Any) -> Any:
        self.cluster_environment.validate_settings(num_devices=self.num_processes, num_nodes=self.num_nodes)
        if not self.cluster_environment.creates_processes_externally:
            self._call_children_scripts()
        return function(*args, **kwargs)


@contextmanager
def several_processes() -> Iterator[None]:
    """Around a run that may be on several devices: a failure of one process is that of all, and all end with it.

    Raises:
        InputError: with the sentence of another process that failed.
    """
    global _current
    before = {name: os.environ.get(name) for name in SET_BY_LIGHTNING}
    threads, on_ctrl_c = torch.get_num_threads(), signal.getsignal(signal.SIGINT)
    if "LOCAL_RANK" in os.environ and CHILD in os.environ:
        _leave_with(os.getppid())
    _current = Processes()
    try:
        yield
    except BaseException as error:
        _current.stop_watching()
        own = isinstance(error, InputError | KeyboardInterrupt | SystemExit)
        sentence = None if own else _current.failure(wait_seconds=LAST_WORDS_SECONDS)
        _current.kill()
        if sentence is None:
            raise
        raise InputError(sentence) from error
    finally:
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()
        _current.stop_watching()
        _current.end()
        _current = None
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        torch.set_num_threads(threads)
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, on_ctrl_c)  # Lightning ignores it once it was interrupted


def _leave_with(parent: int) -> None:
    """End this process as soon as the one that started it has gone."""

    def wait() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()
