"""A leaderboard whose process is killed at any file leaves whole files, and the same command ends it."""

import subprocess
import sys
from pathlib import Path
from shutil import copytree

OLD_RUN = Path(__file__).parents[1] / "fixtures/run_0_1"
KILLED = """
import os, signal, sys
from pathlib import Path
from cdmtrain import atomic, cli
import cdmtrain.tasks.report
replace, ends = atomic.replace, {".csv": b"\\n", ".md": b"\\n", ".html": b"</html>\\n", ".png": b"IEND\\xaeB`\\x82"}
for number in (0, 1, 2, 4, 1000):
    child = os.fork()
    if child == 0:
        count = [number]
        def dying(*arguments, **settings):
            if not count[0]:
                os.kill(os.getpid(), signal.SIGKILL)
            count[0] -= 1
            replace(*arguments, **settings)
        atomic.replace = dying
        sys.argv = ["cdmtrain", "task=report", "runs=runs"]
        os._exit(cli.main())
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), file=sys.stderr)
    for path in Path("runs").rglob("leaderboard*/**/*.*"):
        if path.suffix in ends and not path.name.startswith("."):
            assert path.read_bytes().endswith(ends[path.suffix]), path
"""


def test_a_killed_leaderboard_leaves_whole_files_and_the_same_command_ends_it(tmp_path: Path) -> None:
    for name in ("one", "two"):
        copytree(OLD_RUN, tmp_path / "runs" / name)
    done = subprocess.run(
        [sys.executable, "-c", KILLED], cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    assert done.stderr.split() == ["-9", "-9", "-9", "-9", "0"]
    assert done.returncode == 0
    assert (tmp_path / "runs/leaderboard.html").read_text().endswith("</html>\n")
    assert [*tmp_path.rglob("*.tmp")] == []
