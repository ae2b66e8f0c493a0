"""What the tab key offers for the last word of a command line: groups, options, keys, values and files.

Hydra's own completion stops at `model`, which may become `model=` or `model.`, and offers no file after `run=`.
"""

import os
import re
from collections.abc import Iterator, Mapping
from typing import Any

from cdmtrain.config.roots import using
from cdmtrain.config.sources import Composition, groups, select
from cdmtrain.config.words import PATH
from cdmtrain.errors import InputError

FOLDER = re.compile(r"(.*[._])?(dir|runs?)")  # keys whose value is a directory


def complete(line: str) -> list[str]:
    """Every word that the last word of a command line can become.

    Args:
        line: as typed, with the name of the program. After a blank the last word is empty.
    """
    _, *words, word = ["", *line.split(" ")]
    try:
        with using(words):
            return _completed(words, word)
    except InputError:  # a directory whose name is not complete
        return []


def _completed(words: list[str], word: str) -> list[str]:
    sign = word[:1] if word[:1] in ("+", "~") else ""
    key, equals, value = word.removeprefix(sign).partition("=")
    options = {group: [option.name for option in found] for group, found in groups().items()}
    typed = (one.partition("=") for one in words)
    chosen = {group: option.partition(",")[0] for group, _, option in typed if option and group in options}
    values = Composition(chosen).values()
    if not equals:
        found = _keys(key, values, options)
    else:
        before, last = re.fullmatch(r"(.*[\[,])?(.*)", value).groups("")  # type: ignore[union-attr]
        offered = options[key] if key in options else _values(key, last, select(values, key))
        found = (f"{key}={before}{one}" for one in offered if one.startswith(last))
    return sorted(f"{sign}{one}" for one in found)


def _keys(word: str, values: Mapping[str, Any], options: Mapping[str, list[str]]) -> Iterator[str]:
    """The groups and keys that begin with a word; those inside another one only when its separator is typed."""
    parent, dot, _ = word.rpartition(".")
    for group in options:
        if group.startswith(word) and group.count("/") <= word.count("/"):
            yield f"{group}="
    node = select(values, parent)
    for name, content in node.items() if isinstance(node, Mapping) else ():
        key = f"{parent}{dot}{name}"
        if key.startswith(word) and key not in options and not name.startswith("_"):
            yield f"{key}." if isinstance(content, Mapping) else f"{key}="


def _values(key: str, typed: str, value: Any) -> Iterator[str]:
    """What can be typed for a key: a path, true or false, or the value that it has."""
    key = key.lstrip("-").replace("-", "_")  # --config-dir
    if PATH.fullmatch(key):
        yield from _paths(typed, only_folders=FOLDER.fullmatch(key) is not None)
    elif isinstance(value, bool):
        yield from ("false", "true")
    elif isinstance(value, int | float | str) and value != "???":
        yield str(value)


def _paths(typed: str, *, only_folders: bool) -> Iterator[str]:
    """The files and directories that a path can become; hidden ones only after a dot, none with a blank in its name."""
    folder, name = os.path.split(typed)
    try:
        entries = list(os.scandir(folder or "."))
    except OSError:
        return
    for entry in entries:
        is_folder, hidden = entry.is_dir(), entry.name.startswith(".") and not name.startswith(".")
        if not hidden and " " not in entry.name and (is_folder or not only_folders):
            yield os.path.join(folder, entry.name) + "/" * is_folder
