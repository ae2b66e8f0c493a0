"""Train particle-image classifiers from one command.

    HDF5 images --data--> EventBatch --representation--> Image | Graph | Sequence --model--> logits
         ^                (sparse)      (on the device)                                        |
    simulation                                                    classifier (Lightning): loss, metrics
                                                                                               |
                                                          run directory --report--> page

    run = cdmtrain.train("model=gnn", "data.events=4000")      the same in Python
    run = cdmtrain.load_run(run directory)                     run.predict(images), run.results, run.figure("roc")

One word is one file is one yaml: `model=gnn` is `conf/model/gnn.yaml` and `cdmtrain/model/gnn.py`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cdmtrain.api import Run as Run
    from cdmtrain.api import leaderboard as leaderboard
    from cdmtrain.api import load_run as load_run
    from cdmtrain.api import load_runs as load_runs
    from cdmtrain.api import train as train
    from cdmtrain.api import write_events as write_events
    from cdmtrain.errors import InputError as InputError

__version__ = "0.2.0"
__all__ = ["InputError", "Run", "__version__", "leaderboard", "load_run", "load_runs", "train", "write_events"]


def __getattr__(name: str) -> Any:
    """Import what needs torch when it is asked for, so that the command answers quickly."""
    if name not in __all__:
        raise AttributeError(f"module 'cdmtrain' has no attribute {name!r}")
    if name == "InputError":
        from cdmtrain.errors import InputError

        return InputError
    from cdmtrain.machine import prepare_machine

    prepare_machine()
    return getattr(import_module("cdmtrain.api"), name)


def __dir__() -> list[str]:
    return __all__
