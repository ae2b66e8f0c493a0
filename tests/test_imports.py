"""Who may import whom: the dependency rules of the package, read from its source without importing it."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

PACKAGE = Path(__file__).parents[1] / "cdmtrain"


class Rule(NamedTuple):
    """What a room may import besides the standard library, SHARED and itself, and what it never may.

    A package or module stands for all inside it. Imports inside functions count too, except in cli.
    """

    may: set[str]
    never: set[str]


ANYTHING = {""}
LOWEST = ("errors", "atomic", "existence_lock", "liveness", "lock", "machine", "terminal", "__version__")
SHARED = {f"cdmtrain.{name}" for name in LOWEST}
ARRAYS = {"numpy", "jaxtyping"}
TENSORS = ARRAYS | {"torch"}
PARTICLES, BATCH, COMPILED = {"cdmtrain.particles"}, {"cdmtrain.batch"}, {"cdmtrain.compiled"}
DATA, REPRESENTATION, MODEL = {"cdmtrain.data"}, {"cdmtrain.representation"}, {"cdmtrain.model"}
RUN_READERS = {
    f"cdmtrain.runs.{name}" for name in ("calibration", "files", "find", "read", "records", "predictions", "pretrained")
}
HANDED_IN = DATA | REPRESENTATION | MODEL
CONFIG, RUNS = {"cdmtrain.config"}, {"cdmtrain.runs"}
UPPER = HANDED_IN | {"cdmtrain.report", "cdmtrain.tasks", "cdmtrain.callbacks"}  # rooms above or beside

RULES = {
    "__init__": Rule(may={"cdmtrain.api"}, never=set()),
    "errors": Rule(may=set(), never={"cdmtrain"}),
    "atomic": Rule(may=set(), never=SHARED - {"cdmtrain.liveness"}),
    "terminal": Rule(may=set(), never={"cdmtrain"}),
    "liveness": Rule(may=set(), never={"cdmtrain"}),
    "existence_lock": Rule(may=set(), never={"cdmtrain.atomic", "cdmtrain.terminal"}),
    "lock": Rule(may=set(), never={"cdmtrain.atomic", "cdmtrain.terminal"}),
    "machine": Rule(may=set(), never={"cdmtrain"}),
    "compiled": Rule(may={"numba"}, never={"cdmtrain"}),
    "intervals": Rule(may=ARRAYS, never={"cdmtrain"}),
    "calibration": Rule(may=ARRAYS | {"cdmtrain.intervals"}, never={"torch", "lightning"}),
    "particles": Rule(may=ARRAYS | {"particle"}, never={"cdmtrain.atomic", "cdmtrain.terminal"}),
    "batch": Rule(may=TENSORS, never={"cdmtrain"}),
    "simulation": Rule(may=PARTICLES | ARRAYS | COMPILED, never={"torch", "lightning", "hydra"}),
    "data": Rule(
        may=PARTICLES | BATCH | TENSORS | COMPILED | {"h5py", "lightning", "rich"},
        never=REPRESENTATION | MODEL | {"cdmtrain.simulation"},
    ),
    "representation": Rule(may=BATCH | TENSORS | COMPILED, never=MODEL | {"h5py", "lightning"}),
    "augmentation": Rule(may=BATCH | TENSORS, never=MODEL | {"h5py", "lightning"}),
    "layers": Rule(
        may=BATCH | TENSORS | COMPILED | {"torch_geometric", "llvmlite", "numba"},
        never={"cdmtrain.model", "lightning", "hydra", "h5py"},
    ),
    "model": Rule(
        may=BATCH | TENSORS | {"cdmtrain.layers", "torch_geometric"}, never=MODEL | {"lightning", "hydra", "h5py"}
    ),
    "learner": Rule(may=BATCH | TENSORS | {"cdmtrain.metrics", "lightning"}, never=HANDED_IN),
    "classifier": Rule(may=PARTICLES | BATCH | TENSORS | {"cdmtrain.learner", "cdmtrain.metrics"}, never=HANDED_IN),
    "loss": Rule(may=PARTICLES | TENSORS, never={"lightning"} | HANDED_IN),
    "metrics": Rule(may=PARTICLES | TENSORS | {"cdmtrain.intervals", "torchmetrics"}, never=HANDED_IN | {"lightning"}),
    "report": Rule(
        may=PARTICLES | ARRAYS | RUN_READERS | {"cdmtrain.intervals", "matplotlib", "h5py", "pandas", "rich", "yaml"},
        never={"torch", "lightning"},
    ),
    "export": Rule(
        may=BATCH
        | TENSORS
        | REPRESENTATION
        | MODEL
        | {"cdmtrain.layers", "cdmtrain.devices", "cdmtrain.calibration", "onnx", "torch_geometric"},
        never=DATA | RUNS | CONFIG | {"cdmtrain.tasks", "lightning", "hydra", "h5py"},
    ),
    "callbacks": Rule(
        may=PARTICLES | BATCH | TENSORS | {"cdmtrain.runs.files", "h5py", "lightning", "rich"}, never=HANDED_IN
    ),
    "benchmark": Rule(may=BATCH | TENSORS | {"cdmtrain.classifier", "lightning"}, never=HANDED_IN),
    "probe": Rule(
        may=BATCH | TENSORS | {"cdmtrain.augmentation", "cdmtrain.classifier"},
        never=MODEL | {"lightning", "hydra", "h5py"},
    ),
    "pretraining": Rule(
        may=PARTICLES
        | BATCH
        | DATA
        | CONFIG
        | RUNS
        | TENSORS
        | {"cdmtrain.learner", "cdmtrain.metrics", "cdmtrain.callbacks", "lightning", "omegaconf"},
        never=MODEL | REPRESENTATION | {"cdmtrain.report", "cdmtrain.tasks", "cdmtrain.training", "h5py"},
    ),
    "config": Rule(may={"cdmtrain.conf", "hydra", "omegaconf", "yaml", "rich"}, never={"torch", "lightning", "h5py"}),
    "runs": Rule(
        may=PARTICLES
        | BATCH
        | DATA
        | ARRAYS
        | {"cdmtrain", "cdmtrain.config", "cdmtrain.augmentation", "cdmtrain.calibration"}
        | {"cdmtrain.classifier", "cdmtrain.learner", "cdmtrain.loss", "h5py", "hydra", "omegaconf", "yaml"},
        never=MODEL
        | {f"cdmtrain.{room}" for room in ("callbacks", "report", "tasks", "cluster", "devices", "training")},
    ),
    "evaluation": Rule(
        may=DATA | {f"cdmtrain.{room}" for room in ("runs", "classifier", "callbacks", "probe")} | {"lightning"},
        never=MODEL | {"cdmtrain.tasks", "cdmtrain.report", "cdmtrain.training"},
    ),
    "training": Rule(
        may=PARTICLES
        | DATA
        | {f"cdmtrain.{room}" for room in ("runs", "devices", "classifier", "callbacks", "config", "probe")}
        | {"cdmtrain.learner", "cdmtrain.evaluation", "cdmtrain.pretraining"}
        | {"torch", "lightning", "hydra", "omegaconf", "rich"},
        never=MODEL | {"cdmtrain.tasks", "cdmtrain.report", "cdmtrain.cluster", "cdmtrain.search"},
    ),
    "devices": Rule(
        may=CONFIG | RUNS | {"numpy", "torch", "lightning", "omegaconf", "rich"}, never=UPPER | {"hydra", "h5py"}
    ),
    "cluster": Rule(
        may=CONFIG | RUNS | {"cdmtrain", "lightning", "hydra", "omegaconf", "submitit"}, never=UPPER | {"torch", "h5py"}
    ),
    "shipped": Rule(may=set(), never=set()),
    "search": Rule(
        may=CONFIG | RUNS | {"cdmtrain.training", "numpy", "lightning", "hydra", "omegaconf", "optuna"},
        never=UPPER | {"torch", "h5py"},
    ),
    "api": Rule(may=ANYTHING, never=MODEL | {"cdmtrain.tasks"}),
    "tasks": Rule(may=ANYTHING, never=MODEL | {"cdmtrain.tasks"}),
    "__main__": Rule(may={"cdmtrain.cli"}, never={"torch", "lightning"}),
    "cli": Rule(may={"cdmtrain.config", "hydra", "omegaconf", "rich"}, never={"torch", "lightning"}),
}

# modules that open a run build its network
OPENERS = (
    "runs.open",
    "runs.network",
    "runs.trust",
    "runs.checkpoint",
    "runs.memory",
    "runs.weights",
    "runs.combined",
    "runs.evaluation",
)
MAY_MORE = {key: {"torch", "lightning"} for key in OPENERS}
MAY_MORE["data.conversion.larcv"] = {"uproot"}
MAY_MORE["augmentation.recombination"] = {f"cdmtrain.simulation.{name}" for name in ("argon", "block")}
MAY_MORE |= {f"report.dataset.{name}": COMPILED for name in ("features", "shape")}
MAY_MORE["report.dataset.two_samples"] = {"sklearn"}
MAY_MORE["callbacks.loggers"] = {"matplotlib", "mlflow", "wandb"}

PDG_CODES = {11, 13, 22, 2212}


def imported_names(tree: ast.AST, *, inside_functions: bool) -> Iterator[str]:
    """Dotted names: `from a import b` gives a.b, a relative import begins with a dot."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{'.' * node.level}{node.module or ''}.{alias.name}" for alias in node.names)
        elif inside_functions or not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from imported_names(node, inside_functions=inside_functions)


def covers(packages: set[str], name: str) -> bool:
    return any(package in ("", name) or name.startswith(f"{package}.") for package in packages)


def forbidden_imports(module: str, source: str) -> list[str]:
    """What `module` (such as "model.gnn") imports against the rule of its room."""
    room = module.partition(".")[0]
    rule = RULES[room]
    may = rule.may | SHARED | sys.stdlib_module_names | {f"cdmtrain.{room}"} | MAY_MORE.get(module, set())
    names = imported_names(ast.parse(source), inside_functions=room != "cli")
    return [name for name in names if covers(rule.never, name) or not (covers(may, name) or name == "cdmtrain")]


def lines_with_pdg_codes(source: str) -> list[int]:
    """Lines with the number 2212, or with a list, tuple, set or dict that has two PDG codes among its items or keys."""
    lines = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.List | ast.Tuple | ast.Set | ast.Dict):
            items = node.keys if isinstance(node, ast.Dict) else node.elts
            numbers = {item.value for item in items if isinstance(item, ast.Constant) and type(item.value) is int}
            lines += [node.lineno] * (len(numbers & PDG_CODES) > 1)
        elif isinstance(node, ast.Constant) and node.value == 2212:
            lines.append(node.lineno)
    return lines


def modules() -> dict[str, str]:
    """Source of every module, by its name inside the package."""
    files = sorted(PACKAGE.rglob("*.py"))
    return {".".join(file.relative_to(PACKAGE).with_suffix("").parts): file.read_text("utf-8") for file in files}


def test_every_module_is_in_a_room_that_has_a_rule():
    assert {module.partition(".")[0] for module in modules()} <= set(RULES)


@pytest.mark.parametrize(("module", "source"), modules().items(), ids=modules())
def test_module_imports_only_what_its_room_may(module, source):
    assert forbidden_imports(module, source) == []


@pytest.mark.parametrize(("module", "source"), modules().items(), ids=modules())
def test_pdg_codes_are_written_in_particles_only(module, source):
    assert module == "particles" or lines_with_pdg_codes(source) == []


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("errors", "from cdmtrain.atomic import write_text"),
        ("particles", "from cdmtrain.batch import EventBatch"),
        ("batch", "import h5py"),
        ("simulation.tracks", "def step():\n    import torch"),
        ("data.datamodule", "from cdmtrain import simulation"),
        ("representation.graph", "from cdmtrain.model.gnn import GNN"),
        ("layers.pair_linear", "from cdmtrain.model.gnn import GNN"),
        ("model.gnn", "from cdmtrain.model.cnn import CNN"),
        ("model.gnn", "from .cnn import CNN"),
        ("model.gnn", "from lightning.pytorch import LightningModule"),
        ("classifier", "if True:\n    import cdmtrain.data.store"),
        ("report.run.page", "class Page:\n    def draw(self):\n        from torch import Tensor"),
        ("tasks.train", "from cdmtrain.model import cnn"),
        ("cli", "import torch.nn"),
        ("cli", "from cdmtrain.tasks.train import train"),
        ("config.check", "import torch"),
        ("runs.read", "import torch"),
        ("runs.open", "from cdmtrain.callbacks.progress import EpochProgress"),
        ("training", "from cdmtrain.report.run.page import write_report"),
        ("api", "from cdmtrain.tasks.train import train"),
        ("tasks.search", "from cdmtrain.tasks.train import train"),
    ],
)
def test_checker_finds_a_forbidden_import(module, source):
    assert len(forbidden_imports(module, source)) == 1


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("data.hdf5", "import os.path, h5py\nfrom cdmtrain.data.store import EventStore\nimport cdmtrain.errors"),
        ("model.gnn", "from torch_geometric.nn import GCNConv\nfrom cdmtrain.batch import Graph"),
        ("tasks.train", "import lightning\nfrom cdmtrain.report import page"),
        ("cli", "def job(cfg):\n    import torch"),
    ],
)
def test_checker_lets_an_allowed_import_pass(module, source):
    assert forbidden_imports(module, source) == []


@pytest.mark.parametrize("source", ["x = 2_212", "x = [11, 13]", "x = {22: 'photon', 11: ''}", "f(pdg == 2212)"])
def test_checker_finds_pdg_codes(source):
    assert lines_with_pdg_codes(source) == [1]


@pytest.mark.parametrize("source", ["x = 11", "x = (11.0, 13.0)", "x = [11, 12]", "'''Phys. Rev. C 35 (1987) 2212'''"])
def test_checker_lets_other_numbers_pass(source):
    assert lines_with_pdg_codes(source) == []


def test_a_system_without_unix_modules_imports_every_task() -> None:
    """Windows gets a sentence; a module that fails when it is imported would give a traceback instead."""
    script = """
import importlib, pkgutil, signal, sys
for name in ("resource", "fcntl", "pwd", "grp", "termios"):
    sys.modules[name] = None
for name in ("SIGUSR1", "SIGUSR2", "SIGKILL", "SIGHUP"):
    delattr(signal, name)
import cdmtrain.tasks
for module in pkgutil.iter_modules(cdmtrain.tasks.__path__):
    importlib.import_module(f"cdmtrain.tasks.{module.name}")
"""
    subprocess.run([sys.executable, "-W", "ignore", "-c", script], check=True)
