"""What can be typed: the groups and options found in the packaged yaml files, and the page `--help` shows.

Read from the files before Hydra starts; a new yaml file appears here by being there.
"""

import os
import re
import shutil
import sys
import textwrap
from collections.abc import Iterator

import cdmtrain
from cdmtrain.config.sources import Option, default_options, groups

USAGE = {
    "cdmtrain [group=option ...] [key=value ...]": "one run: choose options, set values",
    "cdmtrain -m [group=option,option ...] [key=value,value ...]": "a sweep: a run for every combination",
    "cdmtrain [group=option ...] [key=value ...] --cfg job": "every key with its value, without running",
    "cdmtrain --help [group ...]": "this page, or what each option of a group is",
}

KEYS = {
    "seed": "everything random in the training; a sweep over it measures the spread",
    "data.files": "your HDF5 files, with data=hdf5",
    "data.train_events": "train on at most so many events",
    "data.split.train": "the part to train on, as fractions: [0,.5]; also val and test",
    "data.batch_size": "events of a step, shared out over devices",
    "data.cache_dir": "where each file is kept once converted",
    "optimizer.lr": "the learning rate",
    "trainer.max_epochs": "how many times through the training events",
    "trainer.accelerator": "auto, cpu, gpu or mps",
    "trainer.devices": "how many of them",
    "run": "a run directory: go on with that run, in place",
    "run_dir": "where a new run writes, if not under outputs/",
    "sweep.dir": "where the runs of a sweep are written",
    "launch.wait": "on a cluster; false: submit the runs and come back",
}

EXAMPLES = {
    "cdmtrain": "train the default model on a sample simulated on first use",
    "cdmtrain experiment=lecture_cnn data=hdf5 data.files=[a.h5,b.h5]": "a named result on your own files",
    "cdmtrain model=gnn trainer.accelerator=gpu optimizer.lr=0.01": "any model, any accelerator, any setting",
    "cdmtrain -m model=dnn,cnn,gnn seed=1,2,3": "a sweep: every combination, one after the other",
    "cdmtrain run=outputs/train/cnn/DATE_TIME_ID": "go on with a run that was stopped",
    "cdmtrain task=simulate events=40000 output=train.h5 seed=7": "write simulated events to a file",
}


def _bold(text: str) -> str:
    """The text in bold, on a terminal."""
    return f"\033[1m{text}\033[0m" if sys.stdout.isatty() and "NO_COLOR" not in os.environ else text


def _rows(rows: dict[str, str]) -> Iterator[str]:
    """Two columns; the second wraps at the width of the terminal."""
    width = min(shutil.get_terminal_size().columns, 120)
    column = max(map(len, rows), default=0)
    for left, right in rows.items():
        first, others = f"  {left:<{column}}  ", " " * (column + 4)
        yield textwrap.fill(right, width, initial_indent=first, subsequent_indent=others, break_on_hyphens=False)


def _commands(commands: dict[str, str]) -> Iterator[str]:
    """Commands, each under its phrase as a shell's comment."""
    for command, phrase in commands.items():
        yield f"  # {phrase}\n  {command}"


def page(found: dict[str, list[Option]], defaults: dict[str, str]) -> Iterator[str]:
    """The whole help, part by part."""
    lines = {
        group: "  ".join(option.name + "*" * (option.name == defaults.get(group)) for option in options)
        for group, options in found.items()
    }
    yield f"{_bold('cdmtrain')} {cdmtrain.__version__}: train particle-image classifiers of any architecture."
    yield _bold("\nUsage")
    yield from _commands(USAGE)
    yield _bold("\nGroups") + " (* is the default)"
    yield from (re.sub(r"\w+\*", lambda name: _bold(name[0]), row) for row in _rows(lines))
    yield _bold("\nKeys everyone relies on")
    yield from _rows(KEYS)
    yield _bold("\nExamples")
    yield from _commands(EXAMPLES)
    yield "\nIn zsh, brackets need quotes: 'data.files=[a.h5,b.h5]'."
    yield 'Completion with the tab key, in bash: eval "$(cdmtrain -sc install=bash)"'


def group_page(group: str, options: list[Option], default: str | None) -> Iterator[str]:
    """The options of one group, each with its phrase and a command that uses it."""
    yield _bold(group)
    for option in options:
        mark = " (the default)" if option.name == default else ""
        phrase = f": {option.phrase}" if option.phrase else ""
        yield from _commands({f"cdmtrain {option.command}": f"{_bold(option.name)}{mark}{phrase}"})


def show(words: list[str]) -> None:
    """Print the help page, or those of the groups named in the words."""
    found, defaults = groups(), default_options()
    named = [name for name in (word.split("=")[0] for word in words) if name in found]
    parts = [part for name in named for part in group_page(name, found[name], defaults.get(name))]
    print("\n".join(parts or page(found, defaults)), flush=True)
