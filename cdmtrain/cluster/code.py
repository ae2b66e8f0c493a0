"""The copy of the program, and of the user's directories, that queued jobs import: later edits do not reach them."""

import os
import shlex
import shutil
import stat
from hashlib import blake2b
from pathlib import Path

import cdmtrain
from cdmtrain.atomic import whole_directory
from cdmtrain.config.roots import CONF, DIRS_ENV, option_files, user_dirs
from cdmtrain.errors import InputError


def copy_code(folder: Path) -> Path:
    """Copy the program into `folder`, in a directory named by the digest of its content, unless it is there.

    Of each directory of the user it copies the modules, the packages and the options, into `config_dirs`.

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
    } | _users_files()
    copy = folder.absolute() / _digest(files)
    if os.path.lexists(copy):
        _verify(copy, set(files))
        return copy
    with whole_directory(copy) as temporary:
        for name, file in files.items():
            (temporary / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, temporary / name)
    return copy


def _users_files() -> dict[str, Path]:
    """The code and the options in the directories of the user, by their names in the copy."""
    found = {}
    for number, root in enumerate(user_dirs()):
        packages = (file.parent for file in root.glob("*/__init__.py"))
        inside = [file for package in packages for file in package.rglob("*") if "__pycache__" not in file.parts]
        for file in [*root.glob("*.py"), *option_files(root), *inside]:
            if file.is_file():
                found[f"config_dirs/{number}/{file.relative_to(root)}"] = file
    return found


def import_lines(code: Path) -> list[str]:
    """Return lines of shell that let Python import the program from `code`, whatever the working directory holds.

    Nothing is written into the copy, so that it can be verified when it is used again.
    """
    path = f"export PYTHONPATH={shlex.quote(str(code))}${{PYTHONPATH:+:$PYTHONPATH}}"
    lines = ["export PYTHONSAFEPATH=1 PYTHONDONTWRITEBYTECODE=1", path]
    if folders := [str(code / "config_dirs" / str(number)) for number in range(len(user_dirs()))]:
        lines.append(f"export {DIRS_ENV}={shlex.quote(os.pathsep.join(folders))}")
    return lines


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
