"""Write metrics.csv: one row for each epoch, kept when the run is resumed."""

import csv
import io
from argparse import Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities import rank_zero_only

from cdmtrain.atomic import write_text
from cdmtrain.runs import files

FIRST = ("epoch", "train_loss", "val_loss", "val_accuracy")  # the columns that people look for


class MetricsCsv(Logger):
    """Write one row for each epoch into metrics.csv; an epoch that is trained again replaces its row.

    Args:
        run: the run directory.
        rows: of the epochs that earlier processes trained.
    """

    def __init__(self, run: Path, rows: Sequence[Mapping[str, Any]]) -> None:
        super().__init__()
        self._path = run / files.METRICS
        self._rows = {int(row["epoch"]): dict(row) for row in rows}

    @property
    def name(self) -> str:
        return "metrics"

    @property
    def version(self) -> str:
        return ""

    @rank_zero_only
    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any) -> None:
        """Do nothing: the settings are in the configuration of the run."""

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        epoch = int(metrics["epoch"]) + 1  # people count epochs from one
        row = self._rows.setdefault(epoch, {"epoch": epoch})
        row.update({name: f"{value:.7g}" for name, value in metrics.items() if name != "epoch"})
        self._rows = {number: self._rows[number] for number in sorted(self._rows) if number <= epoch}
        known = dict.fromkeys(name for row in self._rows.values() for name in row)
        first = [name for name in FIRST if name in known or "val_loss" not in known]  # no accuracy without labels
        names = dict.fromkeys([*first, *known])
        text = io.StringIO()
        writer = csv.DictWriter(text, list(names), lineterminator="\n")
        writer.writeheader()
        writer.writerows(self._rows.values())
        write_text(self._path, text.getvalue())
