"""Read config.yaml of a run directory as plain values, in bounded time and memory."""

import marshal
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from cdmtrain.config.sources import Loader
from cdmtrain.errors import InputError
from cdmtrain.runs import files
from cdmtrain.runs.check import check
from cdmtrain.runs.inside import read_text

MOST_BYTES = 2**20  # our own files have 4 kB, and more only for a long list of data files
MOST_SHARED = 2**16  # characters of a file whose sections are kept for the next file
DEEPEST = 50  # nested lists and mappings; our own files have 6
LONGEST_VALUE = 10_000  # characters of one value
# A line as we write it: a key or a dash, at most one value, no deep indent. A file of such lines has no alias and no
# more levels than DEEPEST; a parser would need as long to find that out as to read the file.
OUR_VALUE = r"\[\]|\{\}|'[^'\n]{0,9000}'|-?[\w./$~](?:[^\n\[\]{}&*!|>:]|:(?! |$)){0,9000}"
OUR_LINE = re.compile(rf" {{0,40}}(?:- ){{0,2}}(?:-|[\w./]+:|(?:- |[\w./]+: )(?:{OUR_VALUE}))")
SECTION_START = re.compile(r"\n(?=[^ \n-])")  # a key at the left margin; lists may begin there with a dash
PLAIN_TAGS = {f"tag:yaml.org,2002:{name}" for name in ("null", "bool", "int", "float", "str", "seq", "map")}


class PlainLoader(Loader):
    """Read YAML as text, numbers, true, false, null, lists and mappings, and nothing else."""


PlainLoader.yaml_constructors = {  # that of the tag None refuses all others
    tag: make for tag, make in Loader.yaml_constructors.items() if tag is None or tag in PLAIN_TAGS
}
PlainLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in patterns if tag in PLAIN_TAGS]
    for first, patterns in Loader.yaml_implicit_resolvers.items()
}


def read_config_file(run: Path) -> dict[str, Any] | None:
    """Read config.yaml as plain values; None where there is no file. It may still name any class.

    Raises:
        InputError: where it is no YAML of bounded size and depth, or has aliases or types of its own: we write neither.
    """
    text, path = read_text(run, files.CONFIG, most_bytes=MOST_BYTES), run / files.CONFIG
    if text is None:
        return None
    with _yaml_errors(path):
        if all(map(OUR_LINE.fullmatch, text.splitlines())):
            content = _by_sections(text)
        else:
            _check_bounded(text, path)
            content = yaml.load(text, PlainLoader)
    return check(content, dict[str, Any], str(path))


def _by_sections(text: str) -> Any:
    """Read YAML of such lines as we write, section by section: the runs of a sweep have most of them in common.

    Where a section is not one key, or a key comes twice, the file is read as a whole, for the line of its error.
    """
    sections: list[Any]
    try:
        kept = map(_section, SECTION_START.split(text)) if len(text) <= MOST_SHARED else ()
        sections = [marshal.loads(one) for one in kept] or [None]
    except (ValueError, TypeError, yaml.YAMLError):
        sections = [None]
    keys = {key for one in sections if isinstance(one, dict) and len(one) == 1 for key in one}
    if len(keys) < len(sections) or text.startswith(" "):
        return yaml.load(text, PlainLoader)
    return {key: value for one in sections for key, value in one.items()}


@lru_cache(maxsize=256)
def _section(text: str) -> bytes:
    """The plain values of a section; as bytes, of which every reader gets values of its own."""
    return marshal.dumps(yaml.load(text, PlainLoader))


def _check_bounded(text: str, path: Path) -> None:
    """Refuse YAML with aliases, deep nesting or long values, on which a loader spends time or memory without end."""
    depth = 0
    for event in yaml.parse(text, PlainLoader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST or isinstance(event, yaml.AliasEvent):
            raise InputError(f"{path} has aliases or is nested too deeply; restore the file or remove it")
        if len(getattr(event, "value", None) or "") > LONGEST_VALUE:
            raise InputError(f"{path} has a value of more than {LONGEST_VALUE:,} characters; restore the file")


@contextmanager
def _yaml_errors(path: Path) -> Iterator[None]:
    """Turn what a parser raises about the YAML file `path` into a sentence."""
    try:
        yield
    except InputError:
        raise
    except (ValueError, TypeError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{path} is not valid YAML ({reason}); restore the file or remove it") from error
