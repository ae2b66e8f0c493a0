"""A compiled network runs few graphs, and batches of other sizes do not compile it again."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cdmtrain.config.sources import groups

SCRIPT = Path(__file__).parent / "count_graphs.py"
MODELS = [option.name for option in groups()["model"] if option.name != "module"]  # which wraps any network
GRAPHS = {  # that a training step runs; every other model is one graph
    "vit": 3,  # the embedding of the patches, the encoder of a group of images, the last layer
    "sparse_resnet": 1,  # all but the search for sites, which it leaves out
    "rnn": 1,  # the last layer alone: the compiler takes no recurrent layers
    "transformer": 2,  # the encoder of a group of events, the last layer
    "self_attention": 2,  # the same
}


def results(backend: str, *models: str) -> dict[str, dict[str, Any]]:
    words = [sys.executable, str(SCRIPT), backend, *models]
    found = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    return {row.pop("model"): row for row in map(json.loads, found.splitlines())}


@pytest.fixture(scope="module")
def counted() -> dict[str, dict[str, Any]]:
    return results("eager", *MODELS)


@pytest.mark.parametrize("name", MODELS)
def test_a_step_runs_few_graphs(counted: dict[str, dict[str, Any]], name: str) -> None:
    assert counted[name]["run"] == GRAPHS.get(name, 1)


@pytest.mark.parametrize("name", MODELS)
def test_after_the_second_step_only_a_smaller_batch_compiles_and_once(
    counted: dict[str, dict[str, Any]], name: str
) -> None:
    first, second, *others, smaller, after, last = counted[name]["made"]
    assert first >= 1
    assert second <= 1
    assert smaller <= GRAPHS.get(name, 1)  # each graph once
    assert [*others, after, last] == [0, 0, 0, 0]


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("c++") is None, reason="the compiler of torch needs a C++ compiler")
@pytest.mark.parametrize("name", MODELS)
def test_a_compiled_network_gives_the_logits_and_gradients_of_one_that_is_not(name: str) -> None:
    assert results("inductor", name)[name]["apart"] < 1e-3  # of the largest; fused sums in float32
