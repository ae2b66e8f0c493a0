"""python tests/benchmarks/measure_onnx.py events.h5 THREADS cnn best ...: onnxruntime against the run's own inference.

Blocks of 100 events alternate between the two; printed are the medians. Networks are untrained, which costs the same;
a name is that of a model, or `best`; cnn is computed densely.
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
    for repeat in range(REPEATS + 1):
        for side, times in zip(sides, taken, strict=True):
            for batch in events[: 1 if repeat == 0 else None]:
                start = time.process_time() if threads == 1 else time.perf_counter()
                side(batch)
                now = time.process_time() if threads == 1 else time.perf_counter()
                times += [now - start] * (repeat > 0)  # the first block prepares
    of_run, of_file = (1000 * float(np.median(times)) for times in taken)
    return of_run, of_file, seconds, len(content) / 1e6


def main() -> None:
    path, threads, *names = sys.argv[1:]
    events = batches(Path(path))
    for name in names:
        of_run, of_file, seconds, size = compare(name, events, int(threads))
        ratio = of_run / of_file
        row = f"| {name} | {size:.2f} MB | {seconds:.1f} s | {of_run:.1f} ms | {of_file:.1f} ms | {ratio:.2f} |"
        print(row, flush=True)


if __name__ == "__main__":
    main()
