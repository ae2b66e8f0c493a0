"""Measure jobs on one device, one after another, and print a line of JSON for each; check.py starts this process.

A job is `steps MODEL`, `compiled MODEL` or `train NAME`. A step is a batch from the loader, the forward and backward
passes and the optimizer, without Lightning and callbacks; a training is the command with all of them.
"""

import argparse
import csv
import fcntl
import json
import statistics
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lightning
import torch
from hydra import compose, initialize_config_module
from hydra.utils import instantiate
from torch.autograd import DeviceType

from cdmtrain import cli
from cdmtrain.batch import EventBatch
from cdmtrain.runs.open import make_classifier

WARM_UP = 3  # steps: the first choose algorithms and fill the allocator
SECONDS = 0.5  # of one measurement
PRECISIONS = {"float32": "trainer=default", "bf16-mixed": "trainer=gpu"}


class Training:
    """A model beside its optimizer on a device, with the settings of a configuration, ready to make steps."""

    def __init__(self, words: list[str]) -> None:
        with initialize_config_module("cdmtrain.conf", version_base=None):
            cfg = compose("config", overrides=words)
        lightning.seed_everything(cfg.seed, verbose=False)
        quiet = {"logger": False, "enable_checkpointing": False}
        trainer = instantiate(cfg.trainer, callbacks=[], **quiet)  # sets precision and determinism
        self.device, self._precision = trainer.strategy.root_device, trainer.precision_plugin.forward_context
        data = instantiate(cfg.data)
        data.trainer = trainer  # on whose device the loader gives its batches
        data.prepare_data()
        data.setup()
        self._batches = endless(data.train_dataloader())
        self.classifier = make_classifier(cfg).to(self.device).train()
        if cfg.trainer.compile:
            self.classifier.model.compile()
        self._optimizer = instantiate(cfg.optimizer)(self.classifier.parameters())

    def load(self) -> EventBatch:
        return next(self._batches)

    def step(self) -> None:
        batch = self.load()
        with self._precision():
            loss = self.classifier.training_step(batch, 0)
        self._optimizer.zero_grad()
        loss.backward()
        self._optimizer.step()

    def synchronize(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize()

    def seconds(self, function: Callable[[], object]) -> float:
        """The median time of a call, the device's work included; four calls follow each other without waiting."""
        for _ in range(WARM_UP):
            function()
        self.synchronize()
        blocks, began = [], time.perf_counter()
        while len(blocks) < 5 and (not blocks or time.perf_counter() - began < SECONDS):
            start = time.perf_counter()
            for _ in range(4):
                function()
            self.synchronize()
            blocks.append((time.perf_counter() - start) / 4)
        return statistics.median(blocks)


def endless(loader: Any) -> Iterator[EventBatch]:
    while True:
        yield from loader


def largest_difference(training: Training) -> float:
    """Of a logit on the device to that on the CPU, as a fraction of the largest logit, before any training."""
    batch, classifier = training.load(), training.classifier.eval()
    with torch.no_grad():
        there = classifier(batch).cpu()
        here = classifier.cpu()(batch.to("cpu"))
    classifier.to(training.device).train()
    return float((there - here).abs().max() / here.abs().max())


def on_the_gpu(training: Training) -> dict[str, Any]:
    """Kernels, the seconds that the GPU computes, and synchronizations of a step, with the lines that cause them."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA], acc_events=True) as profile:
        training.step()
        training.synchronize()
    work = [one for one in profile.events() if one.device_type == DeviceType.CUDA and not one.is_user_annotation]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        training.step()
        torch.cuda.set_sync_debug_mode("default")
    waits = [one for one in caught if "synchroniz" in str(one.message)]
    lines = Counter(f"{Path(one.filename).parent.name}/{Path(one.filename).name}:{one.lineno}" for one in waits)
    busy = sum(one.self_device_time_total for one in work) / 1e6
    return {"kernels": len(work), "busy_seconds": busy, "synchronizations": len(waits), "lines": dict(lines)}


def steps(model: str, words: list[str], sizes: list[int]) -> dict[str, Any]:
    """Events per second in both precisions at the first batch size, and in bfloat16 at the second."""
    found: dict[str, Any] = {"errors": []}
    rows = [("float32", sizes[0]), *(("bf16-mixed", size) for size in sizes)]
    for precision, size in rows:
        try:
            training = Training([PRECISIONS[precision], *words, f"model={model}", f"data.batch_size={size}"])
            if precision == "float32":
                found["largest_difference"] = largest_difference(training)
            seconds = training.seconds(training.step)
            found[f"{precision} {size}"] = size / seconds
            if (precision, size) == ("bf16-mixed", sizes[0]):
                found["step_seconds"], found["loading_seconds"] = seconds, training.seconds(training.load)
                found |= on_the_gpu(training) if training.device.type == "cuda" else {}
        except Exception as error:  # one setting that fails leaves the others
            found["errors"].append(f"{precision} {size}: {type(error).__name__}: {' '.join(str(error).split())[:300]}")
    return found


def compiled(model: str, words: list[str], size: int) -> dict[str, Any]:
    """Events per second of a compiled network in bfloat16. Other networks may be compiled, but none timed meanwhile."""
    start = time.perf_counter()
    own = [f"model={model}", f"data.batch_size={size}", "trainer.compile=true"]
    training = Training([PRECISIONS["bf16-mixed"], *words, *own])
    for _ in range(WARM_UP):  # the second batch may be compiled once more
        training.step()
    training.synchronize()
    first = time.perf_counter() - start
    with Path("compiled.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return {"events_per_second": size / training.seconds(training.step), "first_seconds": first, "errors": []}


def train(name: str, words: list[str]) -> dict[str, Any]:
    """A training by its command: its results, and the speed of its fastest epoch."""
    run = Path(name)
    sys.argv = ["cdmtrain", *words, f"run_dir={run}"]
    with sys_stdout_to_stderr():
        status = cli.main()
    if status:
        return {"errors": [f"exit status {status}; see the log"]}
    with (run / "metrics.csv").open(newline="") as rows:
        fastest = max(float(row["events_per_second"]) for row in csv.DictReader(rows))
    found: dict[str, Any] = json.loads((run / "results.json").read_text())
    return found | {"fastest_epoch_events_per_second": fastest, "errors": []}


@contextmanager
def sys_stdout_to_stderr() -> Iterator[None]:
    """Keep what a command prints out of the lines for check.py."""
    before, sys.stdout = sys.stdout, sys.stderr
    try:
        yield
    finally:
        sys.stdout = before


def measure(job: dict[str, Any], sizes: list[int]) -> dict[str, Any]:
    kind, name = job["name"].split(" ", 1)
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(0)
    if kind == "train":
        return train(job["name"].replace(" ", "_"), job["words"])
    found = steps(name, job["words"], sizes) if kind == "steps" else compiled(name, job["words"], sizes[0])
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()  # after a fault of the device nothing else runs: ends here, and begins anew
        found["peak_memory_bytes"] = torch.cuda.max_memory_allocated()
    return found


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--sizes", required=True)
    parser.add_argument("jobs", help="a list of {name, words} as JSON")
    options = parser.parse_args()
    for job in json.loads(options.jobs):
        try:
            found = measure(job, [int(size) for size in options.sizes.split(",")])
        except Exception as error:
            found = {"errors": [f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"]}
        print("ROW " + json.dumps({"name": job["name"], **found}), flush=True)


if __name__ == "__main__":
    main()
