"""Train particle-image classifiers from one command.

    HDF5 images --data--> EventBatch --representation--> Image | Graph | Sequence --model--> logits
         ^                (sparse)      (on the device)                                        |
    simulation                                                    classifier (Lightning): loss, metrics
                                                                                               |
                                                          run directory --report--> page

    cdmtrain.load_run(run directory).predict(images)    the same network in Python

One word is one file is one yaml: `model=gnn` is `conf/model/gnn.yaml` and `cdmtrain/model/gnn.py`.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cdmtrain.runs.open import load_run as load_run

__version__ = "0.1.0"
__all__ = ["__version__", "load_run"]


def __getattr__(name: str) -> Any:
    """Import what needs torch when it is asked for, so that the command answers quickly."""
    if name != "load_run":
        raise AttributeError(f"module 'cdmtrain' has no attribute {name!r}")
    from cdmtrain.machine import prepare_machine

    prepare_machine()
    from cdmtrain.runs.open import load_run

    return load_run
