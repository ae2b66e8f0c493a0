"""Where options are looked up: the packaged yaml files, directories of the user, and installed extensions.

A directory of the user holds `model/mynet.yaml` and `mynet.py`: its yaml files are options beside the packaged ones,
and its modules can be imported. An extension is an installed package that names its directory of yaml files under the
entry point group `cdmtrain`.
"""

import logging
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from importlib.metadata import entry_points
from importlib.resources import files
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import cdmtrain
from cdmtrain.config.outcomes import environment
from cdmtrain.errors import InputError


def _find_conf() -> Path:
    """The packaged yaml files; in the folder of a checkout, which Python imports before an installation, its conf/."""
    with suppress(ModuleNotFoundError):
        return Path(str(files("cdmtrain.conf")))
    conf = Path(cdmtrain.__file__).parents[1] / "conf"
    spec = spec_from_file_location("cdmtrain.conf", conf / "__init__.py")
    assert spec is not None
    sys.modules[spec.name] = module_from_spec(spec)
    return conf


CONF = _find_conf()
DIRS_ENV = "CDMTRAIN_CONFIG_DIRS"  # of this command, also for the processes that it starts
FLAGS = ("--config-dir", "-cd")
SEARCHPATH = "hydra.searchpath="

log = logging.getLogger(__name__)


def roots() -> list[Path]:
    """The directories in which options are looked up; the first one that has an option counts."""
    return [CONF, *user_dirs(), *extensions().values()]


def user_dirs() -> list[Path]:
    """The directories of the user that this command names."""
    return [Path(one) for one in os.environ.get(DIRS_ENV, "").split(os.pathsep) if one]


@cache
def extensions() -> dict[str, Path]:
    """The directories of yaml files of installed extensions, by the name of the package."""
    found = {}
    for one in entry_points(group="cdmtrain"):
        inside = one.value.replace(".", "/")
        path: Path | None = Path(str(one.dist.locate_file(inside))) if one.dist else None
        if path is None or not path.is_dir():  # an editable install is elsewhere; to find it imports the package
            path = _located(one.value)
        if path and path.is_dir():
            found[one.value.partition(".")[0]] = path
        else:
            log.warning("the package %s names %s as its options, which is no directory", one.name, one.value)
    return found


def user_modules() -> set[str]:
    """The modules and packages in the directories that this command names, and those of installed extensions."""
    files = (file for folder in user_dirs() for file in folder.glob("*.py"))
    packages = (file.parent for folder in user_dirs() for file in folder.glob("*/__init__.py"))
    return {*(file.stem for file in files), *(folder.name for folder in packages), *extensions()}


@contextmanager
def using(words: Sequence[str]) -> Iterator[None]:
    """While a command with these words runs, use the directories that it names. They stay importable afterwards.

    Raises:
        InputError: for a directory that does not exist, or a file with the name of a packaged option.
    """
    named = named_dirs(words)
    for folder in named:
        _check(folder)
    make_importable(named)
    with environment({DIRS_ENV: os.pathsep.join(map(str, named))} if named else {}):
        yield


def named_dirs(words: Sequence[str]) -> list[Path]:
    """The directories that follow `--config-dir`, or stand in `hydra.searchpath=[file://...]`, absolute."""
    found, rest = [], list(words)
    while rest:
        flag, equals, value = rest.pop(0).partition("=")
        if flag in FLAGS and (equals or rest):
            found.append(Path(value if equals else rest.pop(0)))
        elif flag == SEARCHPATH[:-1]:
            found += _searched(f"{flag}={value}")
    return [folder.absolute() for folder in found]


def without_dirs(words: Sequence[str]) -> list[str]:
    """The words without `--config-dir` and the directory that follows it."""
    kept, rest = [], list(words)
    while rest:
        flag, equals, _ = (word := rest.pop(0)).partition("=")
        if flag not in FLAGS:
            kept.append(word)
        elif not equals:
            rest[:1] = []
    return kept


def make_importable(folders: Sequence[Path]) -> None:
    """Let modules be imported from directories: after those of Python itself, before those that are installed."""
    for folder in map(str, folders):
        if folder not in sys.path:
            place = (number for number, entry in enumerate(sys.path) if entry.endswith("-packages"))
            sys.path.insert(next(place, len(sys.path)), folder)


def option_files(root: Path) -> list[Path]:
    """The yaml files of a directory that belong to a group of this program, or to a group inside one."""
    groups = (entry.name for entry in CONF.iterdir() if entry.is_dir())
    return sorted(file for group in groups for file in (root / group).rglob("*.yaml"))


def _check(folder: Path) -> None:
    if not folder.is_dir():
        raise InputError(f"--config-dir={folder}: there is no such directory")
    for file in option_files(folder):
        name = file.relative_to(folder)
        if (CONF / name).exists():
            raise InputError(
                f"{file} has the name of an option of cdmtrain, {name.parent.as_posix()}={file.stem}, which would be "
                "used instead; rename the file"
            )


def _searched(word: str) -> list[Path]:
    """The directories in a word `hydra.searchpath=[...]`; those of packages are found without importing them."""
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    try:
        value = OverridesParser.create().parse_override(word).value()
    except HydraException:  # it is raised again when the words are composed
        return []
    entries = map(str, value if isinstance(value, list) else [value])
    return [path for path in map(_directory, entries) if path]


def _directory(entry: str) -> Path | None:
    """The directory of an entry `file://directory` or `pkg://package.folder`."""
    scheme, _, name = entry.rpartition("://")
    return _located(name) if scheme == "pkg" else Path(name)


def _located(name: str) -> Path | None:
    """The directory of a package, or of one inside it, whose parents are imported; None where there is none."""
    try:
        return Path(str(files(name)))
    except (ImportError, TypeError, ValueError):
        return None
