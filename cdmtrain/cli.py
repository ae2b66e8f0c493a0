"""The console script: it answers `--help`, hands the command line to Hydra, and prints one sentence for each error.

Nothing heavy is imported here, so that help, completion and typing mistakes are answered before torch is loaded.
"""

import io
import logging
import os
import secrets
import signal
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from omegaconf import DictConfig, OmegaConf

import cdmtrain
from cdmtrain.config import outcomes, roots
from cdmtrain.errors import InputError
from cdmtrain.machine import freeze_imports, prepare_machine
from cdmtrain.terminal import make_printable, printable, say

FLAGS_WITH_VALUE = (
    *("--cfg", "-c", "--package", "-p", "--config-path", "-cp", "--config-name", "-cn", "--config-dir", "-cd"),
    *("--experimental-rerun", "--info", "-i"),
)
FLAGS = ("--run", "-r", "--multirun", "-m", "--resolve", "--hydra-help", "--shell-completion", "-sc")


def columns(name: str, *, _root_: DictConfig) -> int:
    """Count the columns of the representation's features together: `${columns:features}`; 0 where it has none.

    Features of whole events are appended to those of hits, so `${columns:features}` counts both.
    """
    from hydra.utils import get_class

    names = [name, "event_features"] if name == "features" else [name]
    chosen = [OmegaConf.select(_root_, f"representation.{one}") or {} for one in names]
    features = [feature for one in chosen for feature in one.values()]
    return sum(get_class(feature._target_).num_columns for feature in features)  # type: ignore[attr-defined]


def better(metric: str) -> str:
    """Whether a smaller or a larger value of a logged metric is better: `${better:val_loss}` is min."""
    return "min" if any(word in metric for word in ("loss", "entropy", "error")) else "max"


# at import, so that a process that unpickles a job, perhaps on another machine, has them and the user's modules too
OmegaConf.register_new_resolver("random", lambda: secrets.token_hex(4), use_cache=True, replace=True)
OmegaConf.register_new_resolver("columns", columns, replace=True)
OmegaConf.register_new_resolver("better", better, replace=True)
roots.make_importable(roots.user_dirs())


def job(cfg: DictConfig) -> object:
    """Check one composed configuration and run its task.

    Where the command collects outcomes, a failure is recorded and not raised (see `cdmtrain.config.outcomes`).
    """
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode
    from hydra.utils import get_method

    from cdmtrain.config.check import check
    from cdmtrain.config.explain import explain
    from cdmtrain.config.own_code import own_targets
    from cdmtrain.report.kit.formats import drawn_as

    prepare_machine()
    for handler in logging.getLogger().handlers:
        handler.addFilter(make_printable)
    hydra = HydraConfig.get()
    own_targets.clear()
    if hydra.mode == RunMode.MULTIRUN:
        outcomes.record_sweep(hydra.sweep.dir)
    try:
        check(cfg)
        # processes that the task starts see the HYDRA_FULL_ERROR of the user, and record nothing
        with outcomes.environment(dict.fromkeys(outcomes.VARIABLES) if outcomes.are_recorded() else {}):
            task = get_method(cfg.task._target_)
            freeze_imports()
            with drawn_as(cfg.report.format, cfg.report.style):
                return task(cfg)
    except BrokenPipeError:
        leave()
    except Exception as error:
        sentence = explain(error)
        if outcomes.are_recorded():
            outcomes.record_failure(hydra.overrides.task, sentence, error)
            return None
        if sentence is None or isinstance(error, InputError):
            raise
        raise InputError(sentence) from error


def run_command() -> None:
    """Run the job or jobs of the command line: a single one here, whatever has flags or settings of Hydra by Hydra."""
    import hydra

    from cdmtrain.cluster.launcher import register
    from cdmtrain.config import search_path
    from cdmtrain.config.deletions import with_deletable_nulls
    from cdmtrain.config.sweep import compose_jobs_once
    from cdmtrain.config.words import with_keys_of_classes, with_paths_as_words

    search_path.register()
    words = with_deletable_nulls(with_keys_of_classes(with_paths_as_words(flags_first(sys.argv[1:]))))
    if not any(word.startswith(("-", "hydra", "+hydra", "~hydra")) for word in words):
        run_one(words)
        return
    sys.argv[1:] = words
    register()
    compose_jobs_once()
    hydra.main(config_path="pkg://cdmtrain.conf", config_name="config", version_base="1.3")(job)()


def run_one(words: list[str]) -> None:
    """Compose one configuration and run its job; `hydra.main` would compose it twice, to find out that it is one."""
    from hydra.core.hydra_config import HydraConfig
    from hydra.core.utils import configure_log

    from cdmtrain.config.compose import composed

    with composed(words) as cfg:
        configure_log(OmegaConf.create(HydraConfig.get().job_logging), HydraConfig.get().verbose)
        job(cfg)


def run(words: Sequence[str]) -> int:
    """Compose and run a command; the exit status. Every failed job of a sweep has its sentence at the end."""
    from cdmtrain.config.explain import explain
    from cdmtrain.config.suggestions import explain_composition

    with outcomes.collected() as recorded:
        try:
            run_command()
            failures = outcomes.failures(recorded)
            show_leaderboard(outcomes.sweep_dir(recorded), resume=bool(failures))
        except BrokenPipeError:
            raise
        except Exception as error:
            complain(explain_composition(error, words) or explain(error), "".join(traceback.format_exception(error)))
            return 1
    swept = {"-m", "--multirun"} & set(words)
    for failure in failures:
        print(printable(failure.own_lines), end="", file=sys.stderr)
        complain(failure.sentence, failure.traceback, failure.overrides if swept else "")
    return 1 if failures else 0


def show_leaderboard(folder: Path | None, *, resume: bool) -> None:
    """After a sweep, rank its runs by their files, whatever process wrote them."""
    if folder is None or not folder.is_dir():
        return
    from cdmtrain.runs.find import find_runs

    if not find_runs([folder]):
        return
    from cdmtrain.tasks.report import show

    show([str(folder)], folder)
    if resume:
        say(f"to go on with what failed: the same command with sweep.dir={folder}")


def complain(sentence: str | None, trace: str, overrides: str = "") -> None:
    """Write the sentence to standard error; where there is none, the traceback."""
    if sentence is None:
        print(printable(trace), end="", file=sys.stderr)
        sentence = "this is a fault of the program, not of the command"
    colour = sys.stderr.isatty() and "NO_COLOR" not in os.environ
    prefix = "\033[1;31merror:\033[0m" if colour else "error:"
    print(prefix, printable(f"{overrides}: {sentence}" if overrides else sentence), file=sys.stderr)


def flags_first(words: Sequence[str]) -> list[str]:
    """Put flags before overrides: Hydra refuses `model=cnn -m seed=1,2`.

    Raises:
        InputError: for a flag that does not exist, or that lacks its value.
    """
    flags, overrides, rest = [], [], list(words)
    while rest:
        word = rest.pop(0)
        name = word.partition("=")[0]
        if not word.startswith("-"):
            overrides.append(word)
        elif name in FLAGS or (name in FLAGS_WITH_VALUE and "=" in word):
            flags.append(word)
        elif name in FLAGS_WITH_VALUE and rest:
            flags += [word, rest.pop(0)]
        else:
            raise InputError(f"{word}: no such flag, or its value is missing; cdmtrain --help shows what can be typed")
    return flags + overrides


def answer(words: list[str]) -> int:
    """Show the help, or run the command; the exit status."""
    if any(word in ("--help", "-h", "help") or word.endswith("=?") for word in words):
        from cdmtrain.config.help import show

        show(words)
        return 0
    if os.environ.get(outcomes.TRACEBACK_ENV) != "1":
        return run(words)
    run_command()
    return 0


def leave() -> NoReturn:
    """End without a word, with the status of SIGPIPE: the reader of our output, such as `head`, has gone."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python would complain at its exit
    raise SystemExit(128 + signal.SIGPIPE)


def main() -> int:
    """Answer the command line; the exit status."""
    words = sys.argv[1:]
    if sys.platform == "win32":
        complain("cdmtrain runs on Linux and macOS; on Windows install it in the Windows Subsystem for Linux (WSL)", "")
        return 1
    for stream in (sys.stdout, sys.stderr):  # a terminal that lacks a character shows ? and stops nothing
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    if "--version" in words:
        print(f"cdmtrain {cdmtrain.__version__}")
        return 0
    line = os.environ.get("COMP_LINE", "")  # what the shell asks to complete
    try:
        if any(word.startswith("query=") for word in words) and not line.split(" ")[-1].startswith("hydra"):
            from cdmtrain.config.completion import complete

            print("\n".join(complete(line)))
            return 0
        with roots.using(words):
            return answer(words)
    except InputError as error:
        if os.environ.get(outcomes.TRACEBACK_ENV) == "1":
            raise
        complain(str(error), "")
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        leave()
