"""Scripts in processes of their own, split off from one that has imported torch and Lightning, which takes 3 s."""

import json
import os
import select
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO
from uuid import uuid4

SECONDS = 300  # that a script may take
SERVER = """
import json, os, sys, traceback
import torch, lightning, h5py, matplotlib.figure
import cdmtrain.tasks.train, cdmtrain.tasks.predict

def run(job):
    os.chdir(job["folder"])
    os.environ.clear()
    os.environ.update(job["environment"])
    for number, name in enumerate((os.devnull, job["stdout"], job["stderr"])):
        os.dup2(os.open(name, (os.O_RDONLY, os.O_WRONLY | os.O_CREAT)[number > 0]), number)
    sys.argv = ["-c", *job["words"]]
    if not job["page"]:
        cdmtrain.tasks.train.write_report = lambda run: run
    try:
        exec(compile(job["script"], "<string>", "exec"), {"__name__": "__main__"})
        status = 0
    except SystemExit as end:
        status = end.code or 0
    except BaseException:
        traceback.print_exc()
        status = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)

for line in sys.stdin:
    child = os.fork()
    if child == 0:
        run(json.loads(line))
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


class Python:
    """Runs scripts as `python -c` does; what only the start of an interpreter does is not done again."""

    def __init__(self, folder: Path, stdin: IO[str], stdout: IO[str]) -> None:
        self._folder = folder
        self._stdin = stdin
        self._stdout = stdout

    def __call__(
        self,
        script: str,
        *words: object,
        folder: Path | None = None,
        environment: dict[str, str] | None = None,
        page: bool = False,
    ) -> subprocess.CompletedProcess[str]:
        """Run a script to its end, with `words` as its arguments, in a folder and an environment: those of the test.

        The page of a run, which takes longer to draw than the run to train, is drawn only where `page` is true.
        """
        outputs = [self._folder / f"{uuid4()}.{name}" for name in ("stdout", "stderr")]
        job = {
            "script": script,
            "words": [str(word) for word in words],
            "folder": str(folder or Path.cwd()),
            "environment": {**os.environ} if environment is None else environment,
            "page": page,
            **{path.suffix[1:]: str(path) for path in outputs},
        }
        print(json.dumps(job), file=self._stdin, flush=True)
        assert select.select([self._stdout], [], [], SECONDS)[0], f"the script takes more than {SECONDS} s"
        status = int(self._stdout.readline())
        return subprocess.CompletedProcess(script, status, *(path.read_text() for path in outputs))


@contextmanager
def forked(folder: Path) -> Iterator[Python]:
    """The process that the others are split off from; their outputs are kept in `folder`."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", SERVER], **pipes) as process:  # type: ignore[call-overload]
        try:
            yield Python(folder, process.stdin, process.stdout)
        finally:
            process.kill()
