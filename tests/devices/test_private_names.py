"""No module uses a private name of a library, except the one module of each library that gives its reasons."""

import ast
import importlib
import pkgutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import cdmtrain

PACKAGE = Path(cdmtrain.__file__).parent
ALLOWED = {"devices.torch_private", "compiled"}  # of torch; of numba
PUBLIC = {"_target_", "_partial_", "_replace", "_asdict", "_fields", "_make", "_exit"}  # Hydra's keys, namedtuples, os
BY_NAME = {"getattr", "hasattr", "setattr", "delattr"}


def is_private(name: str) -> bool:
    parts = [part for part in name.split(".") if part not in PUBLIC and not part.startswith("__")]
    return any(part.startswith("_") or part == "experimental" for part in parts)


def private_uses(source: str) -> Iterator[str]:
    """Private names that a module imports, or looks up in objects other than its own."""
    tree = ast.parse(source)
    own = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute) and is_own(node.value)}
    own |= {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if is_private(alias.name))
        elif isinstance(node, ast.ImportFrom):
            yield from (name for alias in node.names if is_private(name := f"{node.module}.{alias.name}"))
        elif isinstance(node, ast.Attribute) and is_private(node.attr) and not is_own(node.value):
            if node.attr not in own:
                yield ast.unparse(node)
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in BY_NAME and len(node.args) > 1:
            name = node.args[1]
            if isinstance(name, ast.Constant) and is_private(str(name.value)) and not is_own(node.args[0]):
                yield f"{ast.unparse(node.args[0])}.{name.value}"


def is_own(node: ast.expr) -> bool:
    return ast.unparse(node) in ("self", "cls", "super()")


def modules() -> dict[str, str]:
    files = sorted(PACKAGE.rglob("*.py"))
    return {".".join(file.relative_to(PACKAGE).with_suffix("").parts): file.read_text("utf-8") for file in files}


@pytest.mark.parametrize(("module", "source"), modules().items(), ids=modules())
def test_a_module_uses_no_private_name_of_a_library(module: str, source: str) -> None:
    assert module in ALLOWED or list(private_uses(source)) == []


def test_no_class_overrides_a_private_method_of_a_library() -> None:
    for module in pkgutil.walk_packages(cdmtrain.__path__, "cdmtrain."):
        if not module.name.startswith("cdmtrain.conf"):
            importlib.import_module(module.name)
    ours = [name for name in sys.modules if name.partition(".")[0] == "cdmtrain"]
    classes = [found for name in ours for found in vars(sys.modules[name]).values() if isinstance(found, type)]
    overridden = {
        f"{one.__qualname__}.{name}"
        for one in classes
        if one.__module__.startswith("cdmtrain.")
        for name, value in vars(one).items()
        if is_private(name) and callable(value) and not isinstance(value, type)
        for base in one.__mro__[1:]
        if not base.__module__.startswith("cdmtrain.") and callable(vars(base).get(name))
    }
    assert overridden == set()


@pytest.mark.parametrize(
    "source",
    [
        "from lightning.pytorch.strategies.launchers.subprocess_script import _SubprocessScriptLauncher",
        "import hydra._internal.utils",
        "from hydra.experimental.callback import Callback",
        "strategy._launcher = None",
        "torch._foreach_lerp_([], [], 0)",
        "getattr(torch._C, 'name')",
        "getattr(trial, '_trial_id')",
    ],
)
def test_the_check_finds_a_private_name(source: str) -> None:
    assert len(list(private_uses(source))) == 1


@pytest.mark.parametrize(
    "source", ["self._name = 1", "cfg._target_", "parts._replace(a=1)", "os._exit(1)", "a.__dict__"]
)
def test_the_check_lets_other_names_pass(source: str) -> None:
    assert list(private_uses(source)) == []
