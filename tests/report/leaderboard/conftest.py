"""Runs of a sweep, as files."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

MakeRun = Callable[..., Path]

WIDTH = {"dnn": {"width": 64}, "cnn": {"channels": [2, 4]}, "gnn": {"width": 256}}


def source(fingerprint: str) -> dict[str, Any]:
    return {"fingerprint": fingerprint, "num_events": 1160, "num_hits": 116000}


@pytest.fixture
def add_run(make_run: MakeRun, tmp_path: Path) -> Callable[..., Path]:
    """Writes a run of a sweep: add_run("cnn", seed=2, typed={"optimizer.lr": 0.01}, accuracy=0.8)."""

    def add(
        model: str = "cnn",
        *,
        seed: int = 1,
        typed: dict[str, Any] | None = None,
        finished: bool = True,
        status: dict[str, Any] | None = None,
        **results: Any,
    ) -> Path:
        typed = typed or {}
        name = f"sweep/{model}_seed{seed}_{'_'.join(map(str, typed.values()))}".rstrip("_")
        config: dict[str, Any] = {
            "seed": seed,
            "run_dir": name,
            "model": {"_target_": f"cdmtrain.model.{model}.{model.upper()}", **WIDTH[model]},
            "optimizer": {"lr": 0.001},
            "data": {"train_events": None, "seed": seed, "split": {"folds": None, "fold": 0, "test": [0.92, 1.0]}},
            "logger": {"tensorboard": {"save_dir": name}},
        }
        for key, value in typed.items():
            *path, last = key.split(".")
            node = config
            for part in path:
                node = node[part]
            node[last] = value
        overrides = [f"model={model}", f"seed={seed}", *(f"{key}={value}" for key, value in typed.items())]
        train = typed.get("data.train_events") or 1000
        provenance = {
            "choices": {"model": model, "representation": {"gnn": "graph"}.get(model, "image"), "task": "train"},
            "overrides": overrides,
            "data": {"sources": [source("a")], "events": 1160, "train": train, "val": 80, "test": 80},
            "host": "node12",
            "accelerator": "x86_64 processor",
            "git": {"commit": "45019cc"},
        }
        run = make_run(name=name, num_events=30, finished=finished, config=config, provenance=provenance)
        if finished:
            content = json.loads((run / "results.json").read_text())
            (run / "results.json").write_text(json.dumps(content | results))
        if status is not None:
            (run / "status.json").write_text(json.dumps({"state": "running", **status}))
        return run

    return add
