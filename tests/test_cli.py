import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from omegaconf import DictConfig

import cdmtrain
from cdmtrain import cli
from cdmtrain.errors import InputError
from cdmtrain.machine import freeze_imports

HEAVY = {"torch", "lightning", "numpy", "torch_geometric", "h5py", "matplotlib"}


def task(cfg: DictConfig) -> float:
    """Stands in for training: seed 2 is a mistake of the user, 3 one of ours; 4 stops, 6 logs, nobody reads 7."""
    if cfg.seed == 2:
        raise InputError("seed 2 brings no luck")
    if cfg.seed == 3:
        raise RuntimeError("a bug")
    if cfg.seed == 4:
        raise KeyboardInterrupt
    if cfg.seed == 6:
        logging.getLogger("cdmtrain.tasks").info("what a task says")
        logging.getLogger("matplotlib.font_manager").info("generated new fontManager")
    if cfg.seed == 7:
        raise BrokenPipeError
    print(f"ran {cfg.model._target_} {cfg.seed} {cfg.sweep.dir}")
    return 0.5


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., int]:
    """Runs the command line in this process, the task of training replaced; returns the exit status."""
    module = ModuleType("cdmtrain.tasks.train")
    module.train = task  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr("cdmtrain.tasks.train", module, raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)

    def run(*words: str) -> int:
        monkeypatch.setattr(sys, "argv", ["cdmtrain", *words])
        return cli.main()

    return run


Capture = pytest.CaptureFixture[str]


def test_a_run_that_succeeds_exits_with_0(typed: Callable[..., int], capsys: Capture) -> None:
    assert typed("model=dnn", "seed=1") == 0
    assert "ran cdmtrain.model.dnn.DNN 1 outputs/sweeps/" in capsys.readouterr().out


def test_what_was_imported_is_frozen_before_the_first_task_and_never_again(
    typed: Callable[..., int], monkeypatch: pytest.MonkeyPatch
) -> None:
    freeze_imports.cache_clear()
    frozen: list[bool] = []
    monkeypatch.setattr("gc.freeze", lambda: frozen.append(True))
    assert typed("-m", "seed=1,5") == 0
    assert frozen == [True]


def test_that_matplotlib_lists_fonts_is_not_shown(typed: Callable[..., int], capsys: Capture) -> None:
    assert typed("seed=6") == 0
    shown = capsys.readouterr().out
    assert "what a task says" in shown
    assert "fontManager" not in shown


def test_a_users_mistake_is_one_line_and_exit_status_1(typed: Callable[..., int], capsys: Capture) -> None:
    assert typed("seed=2") == 1
    assert capsys.readouterr().err == "error: seed 2 brings no luck\n"


def test_a_typing_mistake_is_one_line_and_exit_status_1(typed: Callable[..., int], capsys: Capture) -> None:
    assert typed("modle=dnn") == 1
    assert capsys.readouterr().err == "error: modle does not exist; did you mean model?\n"


def test_a_value_of_the_wrong_type_is_refused_before_the_task(typed: Callable[..., int], capsys: Capture) -> None:
    assert typed("optimizer.lr=fast") == 1
    assert capsys.readouterr() == ("", "error: optimizer.lr=fast: a number is expected (default 0.001)\n")


def test_a_fault_of_the_program_shows_its_traceback(typed: Callable[..., int], capsys: Capture) -> None:
    assert typed("seed=3") == 1
    error = capsys.readouterr().err
    assert "Traceback" in error
    assert "RuntimeError: a bug" in error


def test_ctrl_c_exits_with_130_and_without_a_traceback(typed: Callable[..., int], capsys: Capture) -> None:
    assert typed("seed=4") == 130
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("words", [["seed=7"], ["-m", "seed=7,1"]], ids=["run", "sweep"])
def test_a_command_whose_reader_leaves_ends_at_once_and_without_a_word(
    typed: Callable[..., int], capfd: pytest.CaptureFixture[str], words: list[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        typed(*words)
    assert ended.value.code == 128 + signal.SIGPIPE
    shown = capfd.readouterr()
    assert shown.err == ""
    assert "ran " not in shown.out


def test_full_error_shows_every_traceback(
    typed: Callable[..., int], capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    with pytest.raises(InputError):
        typed("seed=2")


def test_a_failed_job_does_not_stop_the_others_of_a_sweep(typed: Callable[..., int], capsys: Capture) -> None:
    assert typed("-m", "seed=2,1,x", "model=dnn") == 1
    shown = capsys.readouterr()
    assert shown.out.count("ran ") == 1
    assert shown.err.splitlines() == [
        "error: seed=2 model=dnn: seed 2 brings no luck",
        "error: seed=x model=dnn: seed=x: a whole number is expected (default 1)",
    ]


def test_every_job_of_a_sweep_sees_one_random_part(typed: Callable[..., int], capsys: Capture) -> None:
    assert typed("-m", "seed=1", "model=dnn,gnn") == 0
    directories = {line.split()[-1] for line in capsys.readouterr().out.splitlines() if line.startswith("ran ")}
    assert len(directories) == 1


def test_a_wrong_option_anywhere_in_a_sweep_is_refused_before_the_first_job(
    typed: Callable[..., int], capsys: Capture
) -> None:
    assert typed("-m", "model=dnn,cnnn") == 1
    shown = capsys.readouterr()
    assert "ran " not in shown.out
    assert "model=cnnn does not exist; did you mean model=cnn?" in shown.err


def test_a_directory_may_be_named_by_digits(typed: Callable[..., int], capsys: Capture) -> None:
    assert typed("-m", "seed=1", "sweep.dir=2026_11_27") == 0
    assert "ran cdmtrain.model.cnn.CNN 1 2026_11_27" in capsys.readouterr().out


def test_windows_is_refused_in_one_sentence(
    typed: Callable[..., int], capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    assert typed("seed=1") == 1
    assert capsys.readouterr().err.startswith("error: cdmtrain runs on Linux and macOS; ")


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_a_terminal_of_any_encoding_is_written_to(encoding: str) -> None:
    show = "lambda words: print('\u2022 \u03b3') or 0"
    main = f"import sys; from cdmtrain import cli; cli.run = {show}; sys.exit(cli.main())"
    done = subprocess.run(
        [sys.executable, "-c", main, "seed=1"], env={**os.environ, "PYTHONIOENCODING": encoding}, stdout=subprocess.PIPE
    )
    assert done.returncode == 0
    assert done.stdout.decode(encoding) == ("\u2022 \u03b3\n" if encoding == "utf-8" else "? ?\n")


def test_flags_may_stand_between_overrides(typed: Callable[..., int], capsys: Capture) -> None:
    assert typed("model=dnn", "-m", "seed=1,5") == 0
    assert capsys.readouterr().out.count("ran cdmtrain.model.dnn.DNN") == 2


def test_an_unknown_flag_is_one_line_and_exit_status_1(typed: Callable[..., int], capsys: Capture) -> None:
    assert typed("--multirn", "seed=1,2") == 1
    assert capsys.readouterr().err == (
        "error: --multirn: no such flag, or its value is missing; cdmtrain --help shows what can be typed\n"
    )


def test_the_composed_configuration_is_shown_without_running(typed: Callable[..., int], capsys: Capture) -> None:
    assert typed("--cfg", "job", "data=hdf5") == 0
    shown = capsys.readouterr().out
    assert "files: ???" in shown
    assert "ran " not in shown


@pytest.mark.parametrize("words", [["--help"], ["-h"], ["help"], ["model", "--help"], ["model=?"]])
def test_help_is_answered_in_every_way_it_is_asked_for(
    typed: Callable[..., int], capsys: Capture, words: list[str]
) -> None:
    assert typed(*words) == 0
    assert "perceptron" in capsys.readouterr().out


def test_the_package_runs_as_a_module() -> None:
    done = subprocess.run([sys.executable, "-m", "cdmtrain", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"cdmtrain {cdmtrain.__version__}\n"


def test_version_is_ours_and_not_hydras(typed: Callable[..., int], capsys: Capture) -> None:
    assert typed("--version") == 0
    assert capsys.readouterr().out == f"cdmtrain {cdmtrain.__version__}\n"


def process(*words: str, program: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    """The command line in a process of its own; the program is Python that ends in its exit status."""
    code = program or "import sys; from cdmtrain.cli import main; sys.exit(main())"
    arguments = [sys.executable, "-c", code, *words]
    return subprocess.run(arguments, capture_output=True, text=True, env=os.environ | environment, timeout=60)


def test_help_and_mistakes_import_nothing_heavy() -> None:
    program = (
        "import sys; from cdmtrain.cli import main\n"
        "for words in (['--help'], ['modle=x'], ['optimizer.lr=fast'], ['--cfg', 'job']):\n"
        "    sys.argv[1:] = words\n"
        "    main()\n"
        f"print('heavy:', sorted({HEAVY!r} & set(sys.modules)))"
    )
    assert process(program=program).stdout.splitlines()[-1] == "heavy: []"


def test_help_answers_in_under_a_second() -> None:
    def seconds() -> float:
        start = time.perf_counter()
        assert process("--help").returncode == 0
        return time.perf_counter() - start

    assert sorted(seconds() for _ in range(5))[2] < 1


def test_output_cut_off_by_its_reader_is_no_error() -> None:
    program = "import sys; from cdmtrain.cli import main; sys.argv[1:] = ['--cfg', 'job']; sys.exit(main())"
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        running.stdout.close()
        assert running.stderr.read() == ""


@pytest.mark.parametrize(
    ("line", "answers"),
    [
        ("cdmtrain model=d", "model=densenet model=dnn"),
        ("cdmtrain hydra/launcher=slurm_node", "hydra/launcher=slurm_node hydra/launcher=slurm_nodes"),
    ],
)
def test_the_tab_key_completes_options_ours_and_those_of_hydra(line: str, answers: str) -> None:
    done = process("-sc", "query=bash", COMP_LINE=line, COMP_POINT=str(len(line)))
    assert done.stdout.split() == answers.split()
    assert done.stderr == ""


def test_completion_can_be_installed_in_bash(typed: Callable[..., int], capsys: Capture) -> None:
    assert typed("-sc", "install=bash") == 0
    script = capsys.readouterr().out
    assert "complete -o nospace" in script
    assert "cdmtrain" in script
