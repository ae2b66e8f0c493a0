"""A process that has imported everything once; the processes that are killed are split off from it."""

import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO

import pytest

PROGRAM = """
import os, sys
import torch, lightning, matplotlib.pyplot
import cdmtrain.tasks.train
from cdmtrain import cli
torch.set_num_threads(1)
for line in sys.stdin:
    child = os.fork()
    if child == 0:
        log = os.open("log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(log, 1), os.dup2(log, 2)
        sys.argv = ["cdmtrain", *line.split()]
        status = cli.main()
        sys.stdout.flush(), sys.stderr.flush()
        os._exit(status)
    print(child, flush=True)
    print(os.waitpid(child, 0)[1], flush=True)
"""


class Server:
    """Runs one command after another, each in a process of its own, in the directory `folder`."""

    def __init__(self, folder: Path, stdin: IO[str], stdout: IO[str]) -> None:
        self.folder = folder
        self._stdin = stdin
        self._stdout = stdout
        self._process = 0

    def start(self, words: str) -> None:
        print(words, file=self._stdin, flush=True)
        self._process = int(self._stdout.readline())

    def has_ended(self, seconds: float) -> bool:
        """Whether the command has ended by itself within so many seconds."""
        return bool(select.select([self._stdout], [], [], seconds)[0])

    def kill(self) -> None:
        with suppress(ProcessLookupError):
            os.kill(self._process, signal.SIGKILL)

    def status(self) -> int:
        """How the command ended, when it has."""
        status = int(self._stdout.readline())
        assert status in (0, signal.SIGKILL), (self.folder / "log").read_text()[-3000:]
        return status


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "cwd": tmp_path}
    with subprocess.Popen([sys.executable, "-c", PROGRAM], **pipes) as process:  # type: ignore[call-overload]
        yield Server(tmp_path, process.stdin, process.stdout)
        process.stdin.close()
