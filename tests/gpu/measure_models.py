"""Time training steps of several models on one device and print a line of JSON for each; check.py starts this process.

A step is a batch from the loader, its copy to the device, the forward and backward passes and the optimizer, as in a
run. Lightning and the callbacks are left out; the epochs that check.py runs include them.
"""

import argparse
import json
import statistics
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import lightning
import torch
from hydra import compose, initialize_config_module
from hydra.utils import instantiate
from torch.autograd import DeviceType

import cdmtrain.cli  # noqa: F401  registers the resolvers that the configuration uses
from cdmtrain.batch import EventBatch
from cdmtrain.runs.open import make_classifier

WARM_UP = 4  # steps: the first choose algorithms and fill the allocator
STEPS = 20
SECONDS = 1.0  # of one measurement; slow models make fewer steps


class Training:
    """A model beside its optimizer on a device, with the settings of a configuration, ready to make steps."""

    def __init__(self, words: list[str]) -> None:
        cfg = compose("config", overrides=words)
        lightning.seed_everything(cfg.seed, verbose=False)
        quiet = {"logger": False, "enable_checkpointing": False, "enable_model_summary": False}
        trainer = instantiate(cfg.trainer, callbacks=[], **quiet)  # sets precision and determinism
        self.device, self._precision = trainer.strategy.root_device, trainer.precision_plugin.forward_context
        data = instantiate(cfg.data)
        data.prepare_data()
        data.setup()
        data.trainer = trainer  # so that loaders give batches on its device, as in a training
        self._batches = endless(data.train_dataloader())
        self.classifier = make_classifier(cfg).to(self.device).train()
        if cfg.trainer.compile:
            self.classifier.model.compile()
        self._optimizer = instantiate(cfg.optimizer)(self.classifier.parameters())
        self.batch_size = cfg.data.batch_size

    def load(self) -> EventBatch:
        return next(self._batches)

    def compute(self, batch: EventBatch) -> None:
        with self._precision():
            loss = self.classifier.training_step(batch, 0)
        self._optimizer.zero_grad()
        loss.backward()
        self._optimizer.step()

    def step(self) -> None:
        self.compute(self.load())

    def synchronize(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize()

    def seconds(self, function: Callable[[], object]) -> float:
        """The median time of a call, the device's work included; calls follow each other without waiting between."""
        for _ in range(WARM_UP):
            function()
        self.synchronize()
        blocks, began = [], time.perf_counter()
        while len(blocks) < 4 and time.perf_counter() - began < SECONDS:
            start = time.perf_counter()
            for _ in range(STEPS // 4):
                function()
                if time.perf_counter() - began > SECONDS:
                    break
            self.synchronize()
            blocks.append((time.perf_counter() - start) / (_ + 1))
        return statistics.median(blocks)


def endless(loader: Any) -> Iterator[EventBatch]:
    while True:
        yield from loader


def largest_difference(words: list[str]) -> float:
    """Of a logit on the device to that on the CPU, as a fraction of the largest logit, before any training."""
    training = Training(words)
    classifier, batch = training.classifier.eval(), training.load()
    with torch.no_grad():
        there = classifier(batch).cpu()
        here = classifier.cpu()(batch.to("cpu"))
    return float((there - here).abs().max() / here.abs().max())


def on_the_gpu(training: Training) -> dict[str, Any]:
    """Kernels, the seconds that the GPU computes, and synchronizations of a step, with the lines that cause them."""
    batch = training.load()
    training.compute(batch)
    training.synchronize()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA], acc_events=True) as profile:
        training.step()
        training.synchronize()
    work = [one for one in profile.events() if one.device_type == DeviceType.CUDA and not one.is_user_annotation]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        training.step()
        torch.cuda.set_sync_debug_mode("default")
    lines = Counter(
        f"{Path(one.filename).parent.name}/{Path(one.filename).name}:{one.lineno}"
        for one in caught
        if "synchroniz" in str(one.message)
    )
    return {
        "kernels": len(work),
        "busy_seconds": sum(one.self_device_time_total for one in work) / 1e6,
        "synchronizations": sum(lines.values()),
        "synchronizing_lines": dict(lines.most_common(12)),
    }


def measure(model: str, words: list[str], *, batch_sizes: list[int], compiled: bool) -> dict[str, Any]:
    """Events per second by precision and batch size, and what a step does to the GPU; errors stand beside them."""
    found: dict[str, Any] = {"model": model, "events_per_second": {}, "errors": []}

    def attempt(name: str, function: Callable[[], object]) -> None:
        try:
            function()
        except Exception as error:  # one setting that fails leaves the others
            found["errors"].append(f"{name}: {type(error).__name__}: {' '.join(str(error).split())[:300]}")

    def steps(precision: str, batch_size: int) -> None:
        option = {"float32": "trainer=default", "bf16-mixed": "trainer=gpu"}[precision]
        training = Training([option, *words, f"model={model}", f"data.batch_size={batch_size}"])
        start = time.perf_counter()
        training.step()
        training.synchronize()
        first = time.perf_counter() - start
        taken = training.seconds(training.step)
        found["events_per_second"][f"{precision} {batch_size}"] = batch_size / taken
        if batch_size == batch_sizes[0]:
            loading = training.seconds(training.load)
            gpu = on_the_gpu(training) if training.device.type == "cuda" and not compiled else {}
            found[precision] = {"step_seconds": taken, "loading_seconds": loading, "first_seconds": first, **gpu}

    def logits() -> None:
        found["largest_difference"] = largest_difference(["trainer=default", *words, f"model={model}"])

    cuda = torch.cuda.is_available()
    if cuda:
        torch.cuda.reset_peak_memory_stats()
    if not compiled:
        attempt("logits", logits)
    for batch_size in batch_sizes:
        for precision in ("float32", "bf16-mixed"):
            attempt(f"{precision} {batch_size}", lambda p=precision, b=batch_size: steps(p, b))  # type: ignore[misc]
    if cuda:
        found["peak_memory_bytes"] = torch.cuda.max_memory_allocated()
    return found


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--models", required=True)
    parser.add_argument("--batch-sizes", required=True)
    parser.add_argument("--compiled", action="store_true")
    parser.add_argument("words", nargs="*")
    options = parser.parse_args()
    batch_sizes = [int(size) for size in options.batch_sizes.split(",")]
    words = options.words + (["trainer.compile=true"] if options.compiled else [])
    with suppress(AssertionError, RuntimeError):
        torch.cuda.init()
    with initialize_config_module("cdmtrain.conf", version_base=None):
        for model in options.models.split(","):
            found = measure(model, words, batch_sizes=batch_sizes, compiled=options.compiled)
            print("ROW " + json.dumps(found), flush=True)
            if torch.cuda.is_initialized():
                torch.cuda.synchronize()  # after a fault of the device nothing else runs: ends here, and begins anew
                torch.cuda.empty_cache()


if __name__ == "__main__":
    main()
