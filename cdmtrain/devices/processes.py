"""Start, watch and end the other processes of a run on several devices.

Each of them is `cdmtrain run=<the directory of this run>`, also inside a sweep. Lightning would repeat the whole
command, the sweep included, and would kill this process and its sweep when one of the others fails. So the processes
are started here, before Lightning trains, which learns of them from environment variables as it does from torchrun.
"""

import ctypes
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO

import lightning
import torch
from omegaconf import OmegaConf

from cdmtrain.devices.process_state import restored_process
from cdmtrain.errors import InputError
from cdmtrain.runs.directory import RUN_DIR_ENV, RunDirectory
from cdmtrain.terminal import printable

READY = "CDMTRAIN_READY"  # file descriptor on which a process reports that it is about to train
PATH_ENV = "CDMTRAIN_PATH"  # sys.path of the first process, which may hold directories of the user
PROGRAM = (
    f"import json, os, sys; sys.path[:] = json.loads(os.environ['{PATH_ENV}']); "
    "from cdmtrain.cli import main; sys.exit(main())"
)
INTERRUPTED = (130, -signal.SIGINT, -signal.SIGTERM)  # exit statuses that are not failures
SECONDS_TO_EXPLAIN = 10  # a failing process disconnects first and then writes its error message
SECONDS_TO_END = 60
SECONDS_STUCK = 20  # after a process has gone, a collective operation on a GPU may never return


class PeerFailed(BaseException):
    """Interrupts the work of this process when another process of the run has failed."""


class Processes:
    """The other processes of a run; this process is the first.

    Args:
        run: the directory and the configuration of the run. The other processes build what this one has checked.
    """

    def __init__(self, run: RunDirectory) -> None:
        self.started: list[subprocess.Popen[bytes]] = []
        self._run = run
        self._ready: list[int] = []
        self._outputs: list[IO[bytes]] = []
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._interrupted = False
        self._thread = threading.get_ident()  # the one that trains

    def join(self, trainer: lightning.Trainer) -> None:
        """Bring all processes of the run to the start of training.

        The first process starts the others and waits for them: once in Lightning's rendezvous it could not leave if one
        of them fails on its way. The others report that they are ready. Without other processes nothing happens.

        Raises:
            InputError: with the error message of a process that failed before training.
        """
        if READY in os.environ:
            with os.fdopen(int(os.environ.pop(READY)), "wb") as ready:
                ready.write(b"!")
            return
        environment = getattr(trainer.strategy, "cluster_environment", None)
        if environment is None or environment.creates_processes_externally:
            return
        os.environ |= {  # with LOCAL_RANK set, Lightning starts no processes of its own
            "MASTER_ADDR": environment.main_address,
            "MASTER_PORT": str(environment.main_port),
            "NODE_RANK": str(environment.node_rank()),
            "LOCAL_RANK": "0",
            "WORLD_SIZE": str(trainer.num_devices * trainer.num_nodes),
        }
        for rank in range(1, trainer.num_devices):
            self._start(rank)
        self._wait_until_ready()
        threading.Thread(target=self._watch, daemon=True).start()

    def _start(self, rank: int) -> None:
        output = tempfile.TemporaryFile()  # noqa: SIM115  (open as long as the process)
        command = [sys.executable, "-P", "-c", PROGRAM, f"run={self._run.path}"]
        ready, child_end = os.pipe()
        environment = os.environ | {"LOCAL_RANK": str(rank), READY: str(child_end), PATH_ENV: json.dumps(sys.path)}
        with tempfile.TemporaryFile() as config:
            config.write(OmegaConf.to_yaml(self._run.cfg).encode())
            config.seek(0)
            process = subprocess.Popen(command, env=environment, stdin=config, stderr=output, pass_fds=[child_end])
        self.started.append(process)
        os.close(child_end)
        self._ready.append(ready)
        self._outputs.append(output)

    def _wait_until_ready(self) -> None:
        for ready in self._ready:
            is_ready = os.read(ready, 1)
            os.close(ready)
            if not is_ready:
                raise InputError(
                    self.failure(wait_seconds=SECONDS_TO_EXPLAIN) or "another process of the run ended before training"
                )

    def _watch(self) -> None:
        """Interrupt the thread that trains when another process fails; end this process if it does not react."""
        while not self._over.wait(0.2):
            if self._failed() is not None:
                with self._lock:
                    if self._over.is_set():
                        return
                    self._interrupted = True
                    training = ctypes.c_ulong(self._thread)
                    ctypes.pythonapi.PyThreadState_SetAsyncExc(training, ctypes.py_object(PeerFailed))
                if not self._over.wait(SECONDS_STUCK):
                    print(printable(f"error: {self.failure()}"), file=sys.stderr, flush=True)
                    self.kill()
                    os._exit(1)
                return

    def stop_watching(self) -> None:
        """Stop watching; swallow an interruption that is already on its way."""
        with suppress(PeerFailed):
            with self._lock:
                self._over.set()
            if self._interrupted:
                time.sleep(0.1)

    def _failed(self) -> int | None:
        """Index of a process that failed."""
        codes = [process.poll() for process in self.started]
        return next((index for index, code in enumerate(codes) if code and code not in INTERRUPTED), None)

    def failure(self, *, wait_seconds: float = 0) -> str | None:
        """Error message of the process that has failed, or fails within `wait_seconds`; None if none does."""
        until = time.monotonic() + wait_seconds
        while self._failed() is None and time.monotonic() < until and None in (p.poll() for p in self.started):
            time.sleep(0.05)
        index = self._failed()
        if index is None:
            return None
        code = self.started[index].returncode
        self._outputs[index].seek(0)
        lines = self._outputs[index].read().decode(errors="replace").splitlines()
        errors = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
        if errors and "Traceback (most recent call last):" not in lines:
            return errors[-1]
        why = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with status {code}"
        return "\n".join([f"process {index + 2} of the run {why}", *lines])

    def kill(self) -> None:
        """Kill every other process at once."""
        for process in self.started:
            process.kill()

    def end(self) -> None:
        """Wait until all have ended; kill those that take longer than SECONDS_TO_END."""
        until = time.monotonic() + SECONDS_TO_END
        for process in self.started:
            try:
                process.wait(max(0.1, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for output in self._outputs:
            output.close()


@contextmanager
def several_processes(run: RunDirectory) -> Iterator[Processes]:
    """Around the training of a run: if one process fails all end, and afterwards this process is as it was before.

    Raises:
        InputError: with the error message of another process that failed.
    """
    if "LOCAL_RANK" in os.environ and RUN_DIR_ENV in os.environ:
        _end_with(os.getppid())
    processes = Processes(run)
    with restored_process():
        try:
            yield processes
        except BaseException as error:
            processes.stop_watching()
            is_own = isinstance(error, InputError | KeyboardInterrupt | SystemExit)
            message = None if is_own else processes.failure(wait_seconds=SECONDS_TO_EXPLAIN)
            processes.kill()
            if message is None:
                raise
            raise InputError(message) from error
        finally:
            if torch.distributed.is_available() and torch.distributed.is_initialized():
                torch.distributed.destroy_process_group()
            processes.stop_watching()
            processes.end()


def _end_with(parent: int) -> None:
    """End this process when the process that started it has gone."""

    def wait() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()
