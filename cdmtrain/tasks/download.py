"""cdmtrain task=download: the public challenge's files, resumable, checked, whole or absent."""

import os
import shutil
from pathlib import Path

from omegaconf import DictConfig
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from cdmtrain.data.hdf5 import ChallengeFile
from cdmtrain.errors import InputError

GO_ON = "type the same command again to go on where it stopped"


def download(cfg: DictConfig) -> None:
    """Get each file of `files` into `dir`, unless it is there."""
    folder, console = Path(cfg.dir), Console()
    unknown = [name for name in cfg.files if name not in cfg.known]
    if unknown:
        raise InputError(f"files={list(cfg.files)}: {unknown[0]} is none of {', '.join(cfg.known)}")
    for name in cfg.files:
        known = cfg.known[name]
        path = folder / known.file
        if path.exists():
            console.print(f"{path} is there already", soft_wrap=True)
            continue
        get(path, f"{cfg.host}{known.id}", least_bytes=known.least_bytes)
        with ChallengeFile(path) as file:
            console.print(f"{path}: {file.num_events:,} events", soft_wrap=True)


def get(path: Path, url: str, *, least_bytes: int) -> None:
    """Download a file of the challenge; `path` appears when it is whole and of the format.

    Raises:
        InputError: where the host does not give it, gives less than `least_bytes` or another format, or the disk has no
            room. What was received of an interrupted download is kept beside `path`, and gone on with.
    """
    try:
        import gdown
        import requests
    except ModuleNotFoundError as error:
        raise InputError("task=download needs gdown: pip install 'cdmtrain[download]'") from error
    path.parent.mkdir(parents=True, exist_ok=True)
    received = path.with_name(f".{path.name}.download")
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    console = Console()
    with Progress(*columns, TimeRemainingColumn(), console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task(path.name, total=None)

        def shown(so_far: int, total: int | None) -> None:
            progress.update(task, completed=so_far, total=total)
            if total is not None:
                check_announced(path, so_far, total, least_bytes)

        try:
            gdown.download(url, str(received), quiet=True, use_cookies=False, resume=True, progress=shown, timeout=60)
        except (gdown.exceptions.DownloadError, requests.exceptions.RequestException) as error:
            raise InputError(f"{path} could not be downloaded ({' '.join(str(error).split())}); {GO_ON}") from error
    try:
        check_received(received, least_bytes)
        os.replace(received, path)
    finally:
        received.unlink(missing_ok=True)


def check_announced(path: Path, so_far: int, total: int, least_bytes: int) -> None:
    """Refuse a file of the wrong size, or one that does not fit, before all of it is received."""
    free = shutil.disk_usage(path.parent).free
    if total < least_bytes:
        raise InputError(f"{path}: the host has {total:,} bytes of it, {least_bytes:,} or more are expected")
    if total - so_far > free:
        raise InputError(f"{path}: {total - so_far:,} bytes are missing and the disk has room for {free:,}; make room")


def check_received(received: Path, least_bytes: int) -> None:
    """Refuse what is not a whole file in the challenge's format, such as a page that says something else."""
    size = received.stat().st_size
    if size < least_bytes:
        raise InputError(f"{received}: {size:,} bytes were received, {least_bytes:,} or more are expected")
    with ChallengeFile(received):
        pass
