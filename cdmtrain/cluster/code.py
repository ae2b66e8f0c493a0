"""The copy of the program that queued jobs import, so that later edits do not reach them."""

import os
import shlex
import shutil
import stat
from hashlib import blake2b
from pathlib import Path

import cdmtrain
from cdmtrain.atomic import whole_directory
from cdmtrain.config.sources import CONF
from cdmtrain.errors import InputError


def copy_code(folder: Path) -> Path:
    """Copy the program into `folder`, in a directory named by the digest of its content, unless it is there.

    Raises:
        InputError: where the directory of that name is not this program, or belongs to another user.
    """
    package = Path(cdmtrain.__file__).parent
    sources = {"cdmtrain": package, "cdmtrain/conf": CONF, "hydra_plugins/cdmtrain": package / "cluster/hydra_plugin"}
    files = {
        f"{name}/{file.relative_to(source)}": file
        for name, source in sources.items()
        for file in sorted(source.rglob("*"))
        if file.is_file() and "__pycache__" not in file.parts
    }
    copy = folder.absolute() / _digest(files)
    if os.path.lexists(copy):
        _verify(copy, set(files))
        return copy
    with whole_directory(copy) as temporary:
        for name, file in files.items():
            (temporary / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, temporary / name)
    return copy


def import_lines(code: Path) -> list[str]:
    """Return lines of shell that let Python import the program from `code`, whatever the working directory holds.

    Nothing is written into the copy, so that it can be verified when it is used again.
    """
    path = f"export PYTHONPATH={shlex.quote(str(code))}${{PYTHONPATH:+:$PYTHONPATH}}"
    return ["export PYTHONSAFEPATH=1 PYTHONDONTWRITEBYTECODE=1", path]


def _digest(files: dict[str, Path]) -> str:
    digest = blake2b(digest_size=32)
    for name, file in sorted(files.items()):
        content = file.read_bytes()
        digest.update(f"{name}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()


def _verify(copy: Path, names: set[str]) -> None:
    """Refuse a copy that another user can have written, or that differs from its name by a file more, less or other."""
    found = {copy, *copy.rglob("*")}
    for path in found:
        status = path.lstat()
        kind = stat.S_ISREG if str(path.relative_to(copy)) in names else stat.S_ISDIR
        if status.st_uid != os.getuid() or status.st_mode & stat.S_IWOTH or not kind(status.st_mode):
            raise _wrong(copy, path)
    files = {str(path.relative_to(copy)): path for path in found if path.is_file()}
    other = [path for path in found if path.name == "__pycache__"] + [copy / name for name in files.keys() ^ names]
    if other or _digest(files) != copy.name:
        raise _wrong(copy, min(other, default=copy))


def _wrong(copy: Path, path: Path) -> InputError:
    return InputError(
        f"{path} is not what the program wrote, and jobs would import it from {copy}; remove that directory, or choose "
        "another with launch.code_dir="
    )
