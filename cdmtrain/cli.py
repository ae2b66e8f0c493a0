"""The console script: help before Hydra, one job a configuration, one sentence an error.

Nothing heavy is imported here: `--help`, completion and typing mistakes are answered before torch is loaded.
"""

import os
import secrets
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NoReturn

from omegaconf import DictConfig, OmegaConf

import cdmtrain
from cdmtrain.errors import InputError


def columns(name: str, *, _root_: DictConfig) -> int:
    """How many columns the representation's features have together: `${columns:features}` and the like, 0 without any.

    Those of events are appended to those of hits, so `${columns:features}` counts both.
    """
    from hydra.utils import get_class

    names = [name, "event_features"] if name == "features" else [name]
    chosen = [OmegaConf.select(_root_, f"representation.{one}") or {} for one in names]
    features = [feature for one in chosen for feature in one.values()]
    return sum(get_class(feature._target_).num_columns for feature in features)  # type: ignore[attr-defined]


# at import, so that a process that unpickles the job on another machine has them too
OmegaConf.register_new_resolver("random", lambda: secrets.token_hex(4), use_cache=True, replace=True)
OmegaConf.register_new_resolver("columns", columns, replace=True)


def job(cfg: DictConfig) -> object:
    """Run the task of one composed configuration, once its values are known to be of the right type.

    What can be said in a sentence is raised as one: a launcher may send it to another process, and causes stay behind.
    """
    from hydra.utils import get_method

    from cdmtrain.config.check import check
    from cdmtrain.config.explain import explain_job

    check(cfg)
    try:
        return get_method(cfg.task._target_)(cfg)
    except Exception as error:
        sentence = None if isinstance(error, InputError) else explain_job(error)
        if sentence is None:
            raise
        raise InputError(sentence) from error


@contextmanager
def replaced(owner: object, name: str, value: object) -> Iterator[None]:
    """An attribute has another value for a while."""
    before = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)


@contextmanager
def failed_jobs() -> Iterator[dict[str, Exception]]:
    """Collect the exception of each job that failed, under what was typed for it.

    Hydra prints its own traceback, and looks at no job of a sweep after the first that failed. Neither has a
    setting, so the two places are replaced while it runs; what launchers do and store stays as it is.
    """
    from hydra._internal import utils
    from hydra.core.utils import JobReturn, JobStatus

    failed: dict[str, Exception] = {}

    def outcome(ended: JobReturn) -> object:
        if ended.status is JobStatus.FAILED:
            failed[" ".join(ended.overrides or [])] = ended._return_value
        return ended._return_value

    stored = vars(JobReturn)["return_value"]
    with (
        replaced(utils, "run_and_report", lambda function: function()),
        replaced(JobReturn, "return_value", stored.getter(outcome)),
    ):
        yield failed


def hydra_main() -> None:
    """Hand the command line to Hydra."""
    import hydra

    from cdmtrain.cluster.launcher import register

    sys.argv[1:] = in_order(sys.argv[1:])
    register()
    hydra.main(config_path="pkg://cdmtrain.conf", config_name="config", version_base="1.3")(job)()


def run(words: Sequence[str]) -> int:
    """Compose and run what was typed; the exit status. Every failed job of a sweep has its sentence at the end."""
    from cdmtrain.config.explain import explain_composition, explain_job

    with failed_jobs() as failed:
        try:
            hydra_main()
            show_leaderboard(all_ended_well=not failed)
        except BrokenPipeError:
            raise
        except Exception as error:
            complain(explain_composition(error, words), error)
            return 1
    for overrides, failure in failed.items():
        complain(explain_job(failure), failure, overrides if {"-m", "--multirun"} & set(words) else "")
    return 1 if failed else 0


def show_leaderboard(*, all_ended_well: bool) -> None:
    """After a sweep, rank its runs by their files, whatever process wrote them."""
    from cdmtrain.config.sweep import swept

    folder = swept()
    if folder is None:
        return
    from cdmtrain.report.leaderboard.ranking import find_runs

    if not folder.is_dir() or not find_runs([folder]):
        return
    from cdmtrain.tasks.report import show

    show([str(folder)], folder)
    if not all_ended_well:
        print(f"to redo what failed: the same command with sweep.dir={folder}")


def complain(sentence: str | None, error: Exception, overrides: str = "") -> None:
    """Write the sentence to standard error; where there is none, the traceback."""
    if sentence is None:
        traceback.print_exception(error)
        sentence = "this is a fault of the program, not of what was typed"
    colour = sys.stderr.isatty() and "NO_COLOR" not in os.environ
    prefix = "\033[1;31merror:\033[0m" if colour else "error:"
    print(prefix, f"{overrides}: {sentence}" if overrides else sentence, file=sys.stderr)


def in_order(words: list[str]) -> list[str]:
    """The words, flags before overrides: of `model=cnn -m seed=1,2` Hydra's parser would refuse the end."""
    from hydra._internal.utils import get_args_parser

    parser = get_args_parser()
    with replaced(parser, "error", refuse):
        overrides = parser.parse_intermixed_args(words).overrides
    return [word for word in words if word not in overrides] + overrides


def refuse(message: str) -> NoReturn:
    """What the parser of flags does with a wrong one."""
    raise InputError(f"{message}; cdmtrain --help shows what can be typed")


def main() -> int:
    """Answer the command line; the exit status."""
    words = sys.argv[1:]
    if "--version" in words:
        print(f"cdmtrain {cdmtrain.__version__}")
        return 0
    try:
        if any(word in ("--help", "-h", "help") or word.endswith("=?") for word in words):
            from cdmtrain.config.help import show

            show(words)
            return 0
        if os.environ.get("HYDRA_FULL_ERROR") != "1":
            return run(words)
        hydra_main()
        show_leaderboard(all_ended_well=True)
        return 0
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # the reader of our output, such as head, has gone; Python would complain at its exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
