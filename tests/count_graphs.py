"""Make training steps with compiled models and print a line of JSON for each; test_compile.py starts this process.

    python tests/count_graphs.py eager cnn gnn

In the process of the tests the shapes of arguments are checked, and the compiler would see the checks. `eager` runs the
graphs as they are; `inductor` makes machine code, for which it needs a C++ compiler.
"""

import json
import sys
import time
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import numpy as np
import torch
from hydra import compose, initialize_config_module
from hydra.utils import instantiate
from torch import Tensor, nn

import cdmtrain.cli  # noqa: F401  registers the resolvers that the configuration uses
from cdmtrain.batch import EventBatch

SMALL = {
    "alexnet": ["model.hidden=8"],
    "resnet": ["model.width=4", "model.blocks=[1,1]"],
    "densenet": ["model.width=8", "model.blocks=[1,1]"],
    "sparse_resnet": ["model.channels=[4,6]", "model.blocks=[1,1]"],
    "transformer": ["model.width=16", "model.depth=1"],
    "vit": ["model.width=16", "model.depth=1"],
}
SIZES = (24, 24, 24, 24, 16, 24, 24)  # events of each batch; the fifth is an epoch's last
IMAGE_SIZE = 67


class Graphs:
    """A backend of the compiler that runs graphs as they are, and notes which were made and which run."""

    def __init__(self) -> None:
        self.made = 0
        self.run: set[int] = set()

    def __call__(self, graph: torch.fx.GraphModule, inputs: list[Tensor]) -> Callable[..., Any]:
        self.made += 1
        number = self.made

        def run(*arguments: Any) -> Any:
            self.run.add(number)
            return graph(*arguments)

        return run


def parts(name: str) -> tuple[nn.Module, nn.Module]:
    """The representation and the model of a configuration."""
    data = ["data=hdf5", "data.files=[x]", f"data.image_size={IMAGE_SIZE}"]
    with initialize_config_module("cdmtrain.conf", version_base="1.3"):
        cfg = compose("config", overrides=[f"model={name}", *SMALL.get(name, []), *data])
    torch.manual_seed(1)
    return instantiate(cfg.representation), instantiate(cfg.model)


def random_batch(num_events: int, seed: int) -> EventBatch:
    """Events of up to 30 hits; the second has none."""
    rng = np.random.default_rng(seed)
    num_hits = rng.integers(3, 30, num_events)
    num_hits[1] = 0
    pixels = [np.sort(rng.choice(IMAGE_SIZE**2, number, replace=False)) for number in num_hits]
    return EventBatch(
        pixel=torch.from_numpy(np.concatenate(pixels)),
        energy=torch.from_numpy(rng.uniform(0.5, 2, num_hits.sum()).astype(np.float32)),
        offset=torch.from_numpy(np.concatenate([[0], num_hits.cumsum()])),
        class_index=torch.arange(num_events) % 4,
        dataset_index=torch.arange(num_events),
        image_size=IMAGE_SIZE,
    )


def count(name: str) -> dict[str, Any]:
    """How many graphs each step made, and how many different ones the last step ran."""
    representation, model = parts(name)
    graphs, made = Graphs(), []
    model.compile(backend=graphs)
    for seed, size in enumerate(SIZES):
        before, graphs.run = graphs.made, set()
        model(representation(random_batch(size, seed))).sum().backward()
        made.append(graphs.made - before)
    return {"made": made, "run": len(graphs.run)}


def compare(name: str) -> dict[str, Any]:
    """The largest differences of logits and gradients from those of the network that is not compiled."""
    representation, plain = parts(name)
    plain.eval()  # without dropout
    compiled = deepcopy(plain)
    compiled.compile()
    start, apart = time.perf_counter(), []
    for seed, size in enumerate(SIZES):
        batch, found = random_batch(size, seed), []
        for network in (plain, compiled):
            network.zero_grad()
            logits = network(representation(batch))
            nn.functional.cross_entropy(logits, batch.class_index).backward()
            found.append([logits, *(weight.grad for weight in network.parameters() if weight.grad is not None)])
        apart.append(
            max(float((a - b).abs().max() / a.abs().max().clamp(min=1e-6)) for a, b in zip(*found, strict=True))
        )
    return {"apart": max(apart), "seconds": time.perf_counter() - start}


if __name__ == "__main__":
    measure = {"eager": count, "inductor": compare}[sys.argv[1]]
    for model_name in sys.argv[2:]:
        torch.compiler.reset()
        print(json.dumps({"model": model_name, **measure(model_name)}), flush=True)
