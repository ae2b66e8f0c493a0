"""Where the sweep of this process writes."""

from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig

_begun: list[Path] = []


class SweepDirectory(Callback):
    """Remembers the directory of a sweep when Hydra begins it; Hydra tells it only to the jobs, which run elsewhere."""

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        _begun.append(Path(config.hydra.sweep.dir))


def swept() -> Path | None:
    """The directory of the sweep that this process began last; None where there was none."""
    return _begun.pop() if _begun else None
