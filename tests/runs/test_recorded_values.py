"""Any value in a recorded configuration opens the run or ends in one sentence."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from cdmtrain import load_run
from cdmtrain.errors import InputError

RUN = Path(__file__).parents[1] / "fixtures/run_0_1"
CONFIG = yaml.safe_load((RUN / "config.yaml").read_text())
OPENED = ("data", "representation", "model", "loss", "seed", "run_dir")
VALUES = (None, [1], "x", -5, {"_target_": "torch.nn.ReLU"}, {"a": {"b": 1}})


def keys(node: Any, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    inner = (
        [key for name, value in node.items() for key in keys(value, (*path, name))] if isinstance(node, dict) else []
    )
    return ([path] if path else []) + inner


@pytest.mark.parametrize("path", [path for path in keys(CONFIG) if path[0] in OPENED], ids=".".join)
def test_a_run_with_another_value_opens_or_is_refused(path: tuple[str, ...], tmp_path: Path) -> None:
    shutil.copytree(RUN, tmp_path / "run")
    for value in VALUES:
        config = yaml.safe_load((RUN / "config.yaml").read_text())
        node = config
        for name in path[:-1]:
            node = node[name]
        node[path[-1]] = value
        (tmp_path / "run/config.yaml").write_text(yaml.safe_dump(config))
        try:
            load_run(tmp_path / "run")
        except InputError as refused:
            assert "\n" not in str(refused)  # noqa: PT017
