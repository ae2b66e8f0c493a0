"""The page that `--help` shows: the groups and options of the packaged yaml files, keys, examples."""

import os
import re
import shutil
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import cdmtrain
from cdmtrain.config.sources import GLOBAL, Option, default_options, groups, read_yaml

TEXTS = read_yaml(Path(__file__).with_name("help.yaml"))
USAGE, KEYS, EXAMPLES = TEXTS["usage"], TEXTS["keys"], TEXTS["examples"]


def _bold(text: str) -> str:
    """Make the text bold on a terminal."""
    return f"\033[1m{text}\033[0m" if sys.stdout.isatty() and "NO_COLOR" not in os.environ else text


def _rows(rows: dict[str, str]) -> Iterator[str]:
    """Format two columns; the second one wraps at the width of the terminal."""
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


def option_page(group: str, option: Option) -> Iterator[str]:
    """One option, with a command that uses it and its keys, their values and comments as its file has them."""
    yield from _commands({f"cdmtrain {option.command}": _bold(f"{group}={option.name}: {option.phrase}")})
    is_global = GLOBAL in read_yaml(option.file)
    yield "\nKeys" if is_global else f"\nKeys, as {group.replace('/', '.')}.<key>"
    yield from (f"  {line}" for lines in _key_lines(group, option.file).values() for line in lines)


def _key_lines(group: str, file: Path) -> dict[str, list[str]]:
    """The lines of an option's file that set each key, and those of the options that it includes."""
    files = {option.name: option.file for option in groups()[group]}
    found: dict[str, list[str]] = {}
    for included in read_yaml(file).get("defaults", []):
        if isinstance(included, str) and included != "_self_":
            found |= _key_lines(group, files[included.partition("@")[0]])
    key = "#"
    for line in file.read_text(encoding="utf-8-sig").splitlines():
        if line and line[0] not in " -":
            key = line.partition(":")[0]
            found[key] = []
        if line and not line.lstrip().startswith("_"):
            found.setdefault(key, []).append(line)
    return {key: lines for key, lines in found.items() if key[0] not in "#_" and key != "defaults"}


def show(words: list[str]) -> None:
    """Print the help page, or those of the groups and options named in the words."""
    found, defaults = groups(), default_options()
    parts: list[str] = []
    for group, _, name in (word.partition("=") for word in words):
        option = next((option for option in found.get(group, ()) if option.name == name), None)
        if option is not None:
            parts += option_page(group, option)
        elif group in found:
            parts += group_page(group, found[group], defaults.get(group))
    print("\n".join(parts or page(found, defaults)), flush=True)
