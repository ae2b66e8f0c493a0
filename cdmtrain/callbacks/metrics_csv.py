"""metrics.csv: one row an epoch, kept across resumes."""

import csv
import io
from argparse import Namespace
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities import rank_zero_only

from cdmtrain.atomic import write_text

FIRST = ("epoch", "train_loss", "val_loss", "val_accuracy")  # the columns one looks for


class MetricsCsv(Logger):
    """Collects what is logged in an epoch into that epoch's row of `path`; an epoch trained again replaces its row."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path
        self._rows: dict[int, dict[str, Any]] = {}
        if path.exists():
            with path.open(newline="") as stream:
                self._rows = {int(row["epoch"]): dict(row) for row in csv.DictReader(stream)}

    @property
    def name(self) -> str:
        return "metrics"

    @property
    def version(self) -> str:
        return ""

    @rank_zero_only
    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any) -> None:
        """Settings are in config.yaml."""

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        epoch = int(metrics["epoch"]) + 1  # people count epochs from one
        row = self._rows.setdefault(epoch, {"epoch": epoch})
        row.update({name: f"{value:.7g}" for name, value in metrics.items() if name != "epoch"})
        self._rows = {number: self._rows[number] for number in sorted(self._rows) if number <= epoch}
        self._write()

    def _write(self) -> None:
        names = dict.fromkeys([*FIRST, *(name for row in self._rows.values() for name in row)])
        text = io.StringIO()
        writer = csv.DictWriter(text, list(names), lineterminator="\n")
        writer.writeheader()
        writer.writerows(self._rows.values())
        write_text(self._path, text.getvalue())
