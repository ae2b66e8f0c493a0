"""Training steps of this checkout in turn with those of an earlier commit, each in a process of its own."""

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO

import numpy as np
from paced import BLOCK
from timing import Row, quartiles

HERE = Path(__file__).parents[2]
MODELS = ("gnn", "rnn", "transformer", "edgeconv", "message_passing", "graph_network")
TRAININGS = ("experiment=lecture_cnn", "experiment=zoo_cnn", "experiment=best", *(f"model={name}" for name in MODELS))
SETTINGS = ("data=simulated", "data.events=4000", "trainer=cpu", "trainer.max_epochs=1000", "print_config=false")
ROUNDS = 15  # of a block of each side, after WARM_UP
WARM_UP = 2


class Training:
    """A training in a directory of its own that makes a block of steps when asked to."""

    def __init__(self, stack: ExitStack, checkout: Path, words: Sequence[str]) -> None:
        folder = stack.enter_context(TemporaryDirectory())
        command = [sys.executable, str(Path(__file__).with_name("paced.py")), str(checkout), *words]
        self._log = stack.enter_context((Path(folder) / "errors").open("w+"))
        self._process = subprocess.Popen(
            command, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log, text=True
        )
        stack.callback(self._process.wait)
        stack.callback(self._process.kill)
        self._next_block()  # has the start of the program in it

    def block(self) -> float:
        """Seconds of the next block of steps."""
        stdin: IO[str] = self._process.stdin  # type: ignore[assignment]
        stdin.write("\n")
        stdin.flush()
        return self._next_block()

    def _next_block(self) -> float:
        for line in self._process.stdout or ():
            if line.startswith("block "):
                return float(line.split()[1])
        self._log.seek(0)
        raise RuntimeError(f"the training has ended: {self._log.read()}")


def rows(revision: str, trainings: Sequence[str]) -> Iterator[Row]:
    """A row for each training, a command's words separated by blanks."""
    with worktree(revision) as earlier:
        for words in trainings:
            print(words, flush=True)
            yield row(revision, earlier, words)


def row(revision: str, earlier: Path, words: str) -> Row:
    with ExitStack() as stack:
        sides = [Training(stack, checkout, [*SETTINGS, *words.split()]) for checkout in (HERE, earlier)]
        seconds = np.array([[side.block() for side in sides] for _ in range(WARM_UP + ROUNDS)])[WARM_UP:]
    mine, other = np.median(seconds, axis=0) * 1000 / BLOCK
    ratio = seconds[:, 1] / seconds[:, 0]
    return Row(
        f"step of {words}, against {revision}",
        float(np.median(ratio)),
        "x",
        None,
        f"{mine:.2f} ms",
        f"{other:.2f} ms, {revision}",
        quartiles(ratio),
    )


@contextmanager
def worktree(revision: str) -> Iterator[Path]:
    """A checkout of the revision that is removed in the end, however it ends."""
    git = ["git", "-C", str(HERE), "worktree"]
    try:
        with TemporaryDirectory() as folder:
            path = Path(folder) / "earlier"
            subprocess.run([*git, "add", "--quiet", "--detach", str(path), revision], check=True)
            (path / "cdmtrain" / "conf").symlink_to(path / "conf")  # where an installed program has it
            yield path
    finally:
        subprocess.run([*git, "prune"], check=True)
