"""cdmtrain task=download: get the files of the public challenge; an interrupted download can be resumed."""

import os
import shutil
from pathlib import Path

from omegaconf import DictConfig
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from cdmtrain.data.hdf5 import ChallengeFile
from cdmtrain.errors import InputError
from cdmtrain.terminal import say


def download(cfg: DictConfig) -> None:
    """Get each file of `files` into `dir`, unless it is there."""
    folder = Path(cfg.dir)
    unknown = [name for name in cfg.files if name not in cfg.known]
    if unknown:
        raise InputError(f"files={list(cfg.files)}: {unknown[0]} is not one of {', '.join(cfg.known)}")
    for name in cfg.files:
        known = cfg.known[name]
        path = folder / known.file
        if path.exists():
            say(f"{path} exists already")
            continue
        get(path, f"{cfg.host}{known.id}", least_bytes=known.least_bytes)
        with ChallengeFile(path) as file:
            say(f"{path}: {file.num_events:,} events")


def get(path: Path, url: str, *, least_bytes: int) -> None:
    """Download a file of the challenge; `path` appears when the file is complete and has the right format.

    Raises:
        InputError: where the host refuses, sends less than `least_bytes` or another format, or the disk is full. An
            interrupted download is kept beside `path` and resumed.
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

        def update(so_far: int, total: int | None) -> None:
            progress.update(task, completed=so_far, total=total)
            if total is not None:
                check_announced(path, so_far, total, least_bytes)

        try:
            gdown.download(url, str(received), quiet=True, use_cookies=False, resume=True, progress=update, timeout=60)
        except (gdown.exceptions.DownloadError, requests.exceptions.RequestException) as error:
            reason = f"({' '.join(str(error).split())}); type the same command again to resume"
            raise InputError(f"{path} could not be downloaded {reason}") from error
    try:
        size = received.stat().st_size
        if size < least_bytes:
            raise InputError(f"{received}: {size:,} bytes were received; at least {least_bytes:,} are expected")
        with ChallengeFile(received):  # refuses another format, such as a web page with an error
            pass
        os.replace(received, path)
    finally:
        received.unlink(missing_ok=True)


def check_announced(path: Path, so_far: int, total: int, least_bytes: int) -> None:
    """Refuse a file of the wrong size, or one larger than the free space, before it is complete."""
    free = shutil.disk_usage(path.parent).free
    if total < least_bytes:
        raise InputError(f"{path}: the host offers {total:,} bytes; at least {least_bytes:,} are expected")
    if total - so_far > free:
        raise InputError(f"{path}: {total - so_far:,} more bytes are needed and the disk has {free:,} free; make room")
