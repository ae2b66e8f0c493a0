"""Peak memory of `cdmtrain` on 400 000 events, beyond that of a process which has imported the framework."""

import subprocess
import sys
from pathlib import Path

from sample import MANY
from timing import Row

PEAK = """
import pathlib, resource, sys
status = pathlib.Path("/proc/self/status")  # what Linux gives otherwise may be the peak of the parent process
found = [line.split()[1] for line in status.read_text().splitlines() if "VmHWM" in line] if status.exists() else []
unit = 1 if sys.platform == "darwin" else 1024
print("peak", int(found[0] if found else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss) * unit)
"""
FRAMEWORK = "import h5py, hydra, lightning, matplotlib.pyplot, torch, torch_geometric.nn, torchmetrics"
TRAIN = "import sys; from cdmtrain import cli; assert cli.main() == 0"


def row(cache_dir: Path) -> Row:
    """One epoch of the dense network: training, validation, test, page."""
    words = ["experiment=lecture_dnn", f"data.events={MANY}", f"data.cache_dir={cache_dir}", "trainer=cpu"]
    framework = peak_megabytes(FRAMEWORK, cache_dir)
    training = peak_megabytes(TRAIN, cache_dir, *words, "trainer.max_epochs=1", "print_config=false")
    return Row(
        f"memory to train on {MANY:,} events",
        training - framework,
        "MB",
        1000,
        f"{training:.0f} MB",
        f"{framework:.0f} MB, the framework imported",
        at_least=False,
    )


def peak_megabytes(code: str, folder: Path, *words: str) -> float:
    """Largest resident size that a process of its own reached, the mapped files' pages included."""
    command = [sys.executable, "-c", f"{code}\n{PEAK}", *words]
    said = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout
    return int(said.rpartition("peak ")[2]) / 1e6
