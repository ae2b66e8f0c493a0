"""python tests/benchmarks/measure_onnx.py events.h5 THREADS cnn best ...: onnxruntime against the run's own inference.

Blocks of 100 events alternate between the two; printed are the medians in milliseconds, as rows of the table of
docs/deploy.md. Networks are untrained, which costs the same; a name is that of a model, or `best`; cnn is computed
densely. Without names all are measured.
"""

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from hydra import compose, initialize_config_module
from omegaconf import OmegaConf

import cdmtrain.cli  # noqa: F401  registers the resolvers that the configuration uses
from cdmtrain.batch import EventBatch
from cdmtrain.data.hdf5 import ChallengeFile
from cdmtrain.data.stream import stream_batches
from cdmtrain.export.network import feeds, onnx_model
from cdmtrain.particles import DEFAULT
from cdmtrain.runs.open import make_classifier

NUM_EVENTS, REPEATS = 100, 7
LARGE = ("resnet", "densenet", "alexnet")  # one block of each side
SMALL = ("best", "vit", "edgeconv", "rnn", "graph_network", "self_attention", "cnn", "message_passing", "gnn")
NAMES = (*SMALL, "transformer", "dnn", "perceptron", *LARGE)
ABOUT = {"classes": ["electron", "muon", "photon", "proton"]}


def network(name: str) -> Any:
    """An untrained network in evaluation mode."""
    own = {"best": ["experiment=best"], "cnn": ["model=cnn", "model.dense=true"]}
    with initialize_config_module("cdmtrain.conf", version_base="1.3"):
        config = compose("config", [*own.get(name, [f"model={name}"]), "data=hdf5", "data.files=[a.h5]", "trainer=cpu"])
    OmegaConf.resolve(config)
    return make_classifier(config).eval()


def batches(path: Path) -> list[EventBatch]:
    with ChallengeFile(path) as file:
        stream = stream_batches(file, DEFAULT, batch_size=NUM_EVENTS)
        return [batch for batch, _ in zip(stream, range(4), strict=False)]


def compare(name: str, events: list[EventBatch], threads: int) -> tuple[float, float, float, float]:
    """Milliseconds for 100 events of the run and of the file, seconds of writing, megabytes."""
    torch.set_num_threads(threads)
    run = network(name)
    start = time.perf_counter()
    content = onnx_model([run], image_size=192, takes="hits", symmetries=False, about=ABOUT).SerializeToString()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = threads, 4
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    seconds = time.perf_counter() - start

    def native(batch: EventBatch) -> None:
        with torch.inference_mode():
            run(batch).softmax(1)

    arrays = {id(batch): feeds(batch) for batch in events}
    sides: list[Callable[[EventBatch], object]] = [native, lambda batch: session.run(None, arrays[id(batch)])]
    taken: list[list[float]] = [[], []]
    for repeat in range((1 if name in LARGE else REPEATS) + 1):
        for side, times in zip(sides, taken, strict=True):
            for batch in events[: 1 if repeat == 0 else None]:
                start = time.process_time() if threads == 1 else time.perf_counter()
                side(batch)
                now = time.process_time() if threads == 1 else time.perf_counter()
                times += [now - start] * (repeat > 0)  # the first block prepares
    of_run, of_file = (1000 * float(np.median(times)) for times in taken)
    return of_run, of_file, seconds, len(content) / 1e6


def digits(milliseconds: float) -> str:
    return f"{milliseconds:.1f}" if milliseconds < 10 else f"{milliseconds:.0f}"


def main() -> None:
    path, threads, *names = sys.argv[1:]
    events, longest = batches(Path(path)), 0.0
    for name in names or NAMES:
        of_run, of_file, seconds, size = compare(name, events, int(threads))
        longest = max(longest, seconds)
        row = f"| {name} | {size:.2f} MB | {digits(of_run)} | {digits(of_file)} | {of_run / of_file:.2f} |"
        print(row, flush=True)
    print(f"written in at most {longest:.1f} s")


if __name__ == "__main__":
    main()
