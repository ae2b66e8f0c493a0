"""cdmtrain task=report: write the leaderboard of any set of runs, finished or not."""

import os
from pathlib import Path

from omegaconf import DictConfig, ListConfig
from rich.console import Console

from cdmtrain.errors import InputError
from cdmtrain.report.leaderboard.page import write_leaderboard
from cdmtrain.report.leaderboard.ranking import make_leaderboard
from cdmtrain.report.leaderboard.tables import PLUS_MINUS, leaderboard_tables
from cdmtrain.runs import files
from cdmtrain.runs.names import new_name
from cdmtrain.terminal import say


def report(cfg: DictConfig) -> None:
    """Rank the runs, print the leaderboard, write it beside them, or under outputs/report/ for several directories."""
    paths = [str(one) for one in cfg.runs] if isinstance(cfg.runs, ListConfig) else [str(cfg.runs)]
    folder = Path(cfg.output) if cfg.output else folder_of(paths)
    if folder.is_dir() and not os.access(folder, os.W_OK):
        raise InputError(f"{folder} is a directory in which you may not write; add output= and another directory")
    show(paths, folder, rank=cfg.rank)


def show(paths: list[str], folder: Path, *, rank: str = "cross_entropy") -> None:
    """Print the leaderboard of the runs in `paths` and write it to `folder`."""
    if (folder / "leaderboard").is_symlink():
        raise InputError(f"{folder / 'leaderboard'} is a link, and figures would be written where it leads; remove it")
    board = make_leaderboard(paths, rank=rank)
    page = write_leaderboard(board, folder)
    console = Console()
    plus_minus = PLUS_MINUS if console.encoding.startswith("utf") else "+-"
    console.print(leaderboard_tables(board, plus_minus=plus_minus))
    say(f"page: {page}")


def folder_of(paths: list[str]) -> Path:
    """Choose where the leaderboard is written: the one directory that holds the runs, else a new one."""
    if not paths:
        raise InputError("runs=[]: give run directories, or one that holds them")
    only = Path(paths[0])
    holds_runs = len(paths) == 1 and only.is_dir() and not (only / files.CONFIG).exists()
    return only if holds_runs else Path("outputs/report") / new_name()
