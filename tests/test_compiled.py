"""Compiled loops: kept in the user's cache, and only there; still compiled where nothing can be kept."""

import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cdmtrain.compiled import jit


def test_what_has_no_file_to_be_kept_for_is_compiled_all_the_same():
    names: dict = {}
    exec("def doubled(number):\n    return 2 * number", names)  # numba keeps nothing of a function that has no source
    assert jit(names["doubled"])(21) == 42


def test_machine_code_is_kept_in_the_users_cache(tmp_path):
    lines = ["import numpy as np", "from cdmtrain.data.hits import nonzero_pixels"]
    call = "; ".join([*lines, "nonzero_pixels(np.ones(2, np.uint32), np.empty(2, np.int32))"])
    environment = {name: value for name, value in os.environ.items() if name != "NUMBA_CACHE_DIR"}
    subprocess.run([sys.executable, "-c", call], check=True, env={**environment, "XDG_CACHE_HOME": str(tmp_path)})
    assert [path.name for path in tmp_path.iterdir()] == ["cdmtrain"]
    assert any(path.name.startswith("hits.nonzero_pixels") for path in tmp_path.rglob("*.nbc"))


def test_another_process_compiles_what_can_be_kept(tmp_path):
    source = "from cdmtrain.compiled import jit\n@jit\ndef doubled(x):\n    return 2 * x\n"
    (tmp_path / "program.py").write_text(source)
    code = "from program import doubled; print(doubled(21), doubled(2.5)); found = doubled.stats"
    shown = "; print(sum(found.cache_hits.values()), 'loaded', sum(found.cache_misses.values()), 'compiled')"
    environment = {name: value for name, value in os.environ.items() if name != "NUMBA_CACHE_DIR"}
    environment |= {"XDG_CACHE_HOME": str(tmp_path / "home"), "PYTHONPATH": str(tmp_path)}

    def run(before=""):
        command = [sys.executable, "-c", before + code + shown]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout

    assert run() == "42 5.0\n2 loaded 0 compiled\n"
    assert run() == "42 5.0\n2 loaded 0 compiled\n"
    environment["XDG_CACHE_HOME"] = str(tmp_path / "other")
    assert run("import sys; sys.executable = 'none'; ") == "42 5.0\n0 loaded 2 compiled\n"
    (tmp_path / "file").touch()
    environment["XDG_CACHE_HOME"] = str(tmp_path / "file")
    assert run() == "42 5.0\n0 loaded 2 compiled\n"


def test_ctrl_c_ends_what_is_being_compiled(tmp_path):
    code = """
import signal, subprocess, sys, threading
from cdmtrain import compiled
pipe = subprocess.PIPE
server = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(30)"], text=True, stdin=pipe, stdout=pipe)
compiled._start_server = lambda: server
signal.signal(signal.SIGINT, signal.default_int_handler)  # whatever it was inherited as
threading.Timer(0.5, signal.pthread_kill, [threading.main_thread().ident, signal.SIGINT]).start()
try:
    compiled._compile_apart(compiled.jit, ())
except KeyboardInterrupt:
    print("ended", server.poll())
"""
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    command = [sys.executable, "-c", code]
    found = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert found.stdout == "ended -9\n", found.stderr


def test_a_forked_process_asks_a_process_of_its_own(tmp_path):
    source = "from cdmtrain.compiled import jit\n@jit\ndef doubled(x):\n    return 2 * x\n"
    (tmp_path / "program.py").write_text(source)
    code = "import os; from program import doubled; doubled(1); child = os.fork(); x = doubled(0.5 if child else True)"
    code += "; os._exit(int(x) if child == 0 else 2 + os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))"
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / "home"), "PYTHONPATH": str(tmp_path)}
    assert subprocess.run([sys.executable, "-c", code], env=environment, timeout=60, check=False).returncode == 4


def test_an_index_that_another_process_removes_at_the_same_time_stops_nothing(tmp_path):
    environment = {name: value for name, value in os.environ.items() if name != "NUMBA_CACHE_DIR"}
    environment |= {"XDG_CACHE_HOME": str(tmp_path)}
    code = "from cdmtrain.simulation.block import simulate_block; print(simulate_block.stats.cache_path)"
    command = [sys.executable, "-c", code]  # imports the whole room, which removes old indexes
    for _ in range(2):
        folder = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.strip()
        (Path(folder) / "gone.nbi").unlink(missing_ok=True)
        (Path(folder) / "gone.nbi").symlink_to("nowhere")  # it is listed, and is not there when it is looked at


def link(folder):
    folder.rename(folder.with_name("elsewhere"))
    folder.symlink_to("elsewhere")


ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
PLANTS = {
    "a folder of another user": lambda folder: os.chown(folder, 1234, -1),
    "a file of another user": lambda folder: os.chown(next(folder.glob("*.nbi")), 1234, -1),
    "a folder open to all": lambda folder: folder.chmod(0o777),
    "a file open to all": lambda folder: (folder.chmod(0o755), next(folder.glob("*.nbi")).chmod(0o666)),
    "a link": link,
    "a link to a file": lambda folder: (folder / "x.nbi").symlink_to(next(folder.glob("*.nbi"))),
}


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    """A directory with program.py and, in home/, its machine code."""
    folder = tmp_path_factory.mktemp("program")
    lines = ["from cdmtrain.compiled import jit", "@jit", "def doubled(x):", "    return 2 * x", "print(doubled(21))"]
    (folder / "program.py").write_text("\n".join(lines))
    done = run_program(folder, folder / "home")
    assert (done.stdout, done.stderr) == ("42\n", "")
    return folder


def run_program(folder, home):
    environment = {name: value for name, value in os.environ.items() if name != "NUMBA_CACHE_DIR"}
    environment |= {"XDG_CACHE_HOME": str(home), "PYTHONPATH": str(folder)}
    command = [sys.executable, "-c", "import program"]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True)


@pytest.mark.parametrize("plant", [pytest.param(name, marks=ROOT if "user" in name else ()) for name in PLANTS])
def test_machine_code_that_another_user_can_have_written_is_not_loaded(program, tmp_path, plant):
    shutil.copytree(program / "home", tmp_path / "home")
    (index,) = (tmp_path / "home").rglob("*.nbi")
    index.write_bytes(pickle.dumps(Evil(tmp_path / "owned")))
    PLANTS[plant](index.parent)
    shown = run_program(program, tmp_path / "home")
    assert shown.stdout == "42\n"
    assert "is not used" in shown.stderr
    assert not (tmp_path / "owned").exists()


def test_what_is_planted_is_loaded_where_nobody_else_can_write(program, tmp_path):
    shutil.copytree(program / "home", tmp_path / "home")
    (index,) = (tmp_path / "home").rglob("*.nbi")
    index.write_bytes(pickle.dumps(Evil(tmp_path / "owned")))
    assert run_program(program, tmp_path / "home").stdout == "42\n"
    assert (tmp_path / "owned").exists()


class Evil:
    def __init__(self, path):
        self._path = path

    def __reduce__(self):
        return os.mkdir, (str(self._path),)
