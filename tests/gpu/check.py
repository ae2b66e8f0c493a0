"""Check cdmtrain on a real GPU: python tests/gpu/check.py --minutes 8. One table; what was not measured is listed.

Rows are printed as they come, and kept with the logs in --output. A row that fails, crashes or takes too long does not
stop the others. The exit status is 2 if something could not be measured. Without a GPU, `--device cpu --quick` tries
everything that does not need one.
"""

import argparse
import csv
import json
import os
import platform
import queue
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

MODELS = sorted(path.stem for path in Path(__file__).parents[2].glob("conf/model/*.yaml"))
COMPILED = ("cnn", "transformer", "sparse_resnet")
CDMTRAIN = [sys.executable, "-P", "-c", "import sys; from cdmtrain.cli import main; sys.exit(main())"]
LEAST_SECONDS = 12  # nothing is begun with less time left


class NotMeasuredError(Exception):
    """Why a row has no figure."""


class Check:
    """The table of one check: its rows, its time, its folder."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.quick, self.device = options.quick, options.device
        self.only, self.models = options.only.split(","), options.models.split(",")
        self.output, self.work = Path(options.output).resolve(), Path(tempfile.mkdtemp())
        self.output.mkdir(parents=True, exist_ok=True)
        self.data = [*options.data.split(), f"data.cache_dir={options.cache or self.work / 'cache'}"]
        self.rows: dict[str, Any] = {}
        self.missing: list[str] = []
        self._end = time.monotonic() + 60 * options.minutes

    @property
    def words(self) -> list[str]:
        return [*self.data, f"trainer.accelerator={self.device}", "print_config=false"]

    def left(self) -> float:
        return self._end - time.monotonic()

    def row(self, name: str, measure: Callable[[], tuple[str, Any]]) -> None:
        """Print and keep what `measure` returns, a sentence and its figures; or why there is none."""
        if not any(word in name for word in self.only):
            return
        start = time.monotonic()
        try:
            if self.left() < LEAST_SECONDS:
                raise NotMeasuredError("no time left")
            text, self.rows[name] = measure()
        except Exception as error:  # a row that fails leaves the others
            text = f"NOT MEASURED: {error if isinstance(error, NotMeasuredError) else repr(error)}"
            self.missing.append(f"{name}: {text.removeprefix('NOT MEASURED: ')}")
        self.say(f"{name:<40} {time.monotonic() - start:5.0f} s  {text}")

    def say(self, line: str) -> None:
        print(line, flush=True)
        with (self.output / "table.txt").open("a") as table:
            table.write(line + "\n")
        figures = {"rows": self.rows, "not_measured": self.missing}
        (self.output / "figures.json").write_text(json.dumps(figures, indent=1))

    def run(self, name: str, command: list[str], *, limit: float) -> str:
        """Run a command in the check's own folder; its output, or NotMeasuredError with its last error."""
        log = self.output / f"{name.replace(' ', '_')}.log"
        try:
            done = subprocess.run(
                command,
                cwd=self.work,
                text=True,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=min(limit, self.left()),
            )
        except subprocess.TimeoutExpired as stopped:
            log.write_bytes(stopped.stdout or b"")
            raise NotMeasuredError(f"not done in {stopped.timeout:.0f} s") from None
        log.write_text(done.stdout)
        if done.returncode:
            errors = [line for line in done.stdout.splitlines() if "rror" in line] or ["no error in its log"]
            raise NotMeasuredError(f"exit status {done.returncode}: {errors[-1].strip()[:300]}")
        return done.stdout


def environment(check: Check) -> tuple[str, Any]:
    import lightning
    import numba
    import torch
    import torch_geometric

    card = torch.cuda.get_device_name(0) if torch.cuda.is_available() else "no GPU"
    versions = {one.__name__: one.__version__ for one in (torch, lightning, torch_geometric, numba)}
    found = {"card": card, "python": platform.python_version(), "cores": os.cpu_count(), **versions}
    if check.device == "gpu":
        if card == "no GPU":
            raise NotMeasuredError("torch finds no GPU")
        found["launch_us"] = launch_microseconds()
    return ", ".join(f"{name} {value}" for name, value in found.items()), found


def launch_microseconds() -> float:
    """How long the processor takes to start one small kernel: what a step of many kernels waits for."""
    import torch

    x = torch.zeros(1, device="cuda")
    for number in (100, 2000):  # the first warm up
        torch.cuda.synchronize()
        start = time.perf_counter()
        for _ in range(number):
            x.add_(1)
        torch.cuda.synchronize()
    return round(1e6 * (time.perf_counter() - start) / number, 1)


def sample(check: Check) -> tuple[str, Any]:
    """Make the events, so that no later time includes them."""
    words = ["model=perceptron", "trainer=debug", "trainer.accelerator=cpu", f"run_dir={check.work}/sample"]
    check.run("sample", [*CDMTRAIN, *check.data, *words], limit=150)
    return "events are ready", None


def measure_models(check: Check) -> None:
    """A row a model, from processes that are begun anew after a crash or a model that takes too long."""
    if not any(word in "steps" for word in check.only):
        return
    check.say(
        f"{'model':<17}{'logit diff':>11} {'events/s float32, bf16-mixed: batch 100':>42}{'batch 1000':>22}"
        f"{'GPU busy':>10}{'loading':>9}{'kernels':>9}{'syncs':>7}{'MB':>8}"
    )
    waiting = list(check.models)
    while waiting and check.left() > LEAST_SECONDS:
        sizes = "20" if check.quick else "100,1000"
        script = [sys.executable, str(Path(__file__).with_name("measure_models.py"))]
        command = [*script, "--models", ",".join(waiting), "--batch-sizes", sizes, *check.words]
        why = read_rows(check, command, waiting, limit=75)
        if waiting and why:
            check.missing.append(f"steps of {waiting[0]}: {why}")
            check.say(f"{waiting.pop(0):<17} NOT MEASURED: {why}")
    check.missing += [f"steps of {model}: no time left" for model in waiting]


def read_rows(check: Check, command: list[str], waiting: list[str], *, limit: float) -> str:
    """Print a row for each model that the process reports, and take it from `waiting`; why it ended early, or ''."""
    with (check.output / "models.log").open("a") as log:
        process = subprocess.Popen(command, cwd=check.work, text=True, stdout=subprocess.PIPE, stderr=log)
        lines: queue.Queue[str | None] = queue.Queue()

        def read() -> None:
            assert process.stdout is not None
            for line in process.stdout:
                lines.put(line)
            lines.put(None)

        threading.Thread(target=read, daemon=True).start()
        try:
            while (line := lines.get(timeout=max(1, min(limit, check.left())))) is not None:
                if line.startswith("ROW "):
                    show_model(check, json.loads(line[4:]))
                    waiting.pop(0)
            process.wait(timeout=20)
        except (queue.Empty, subprocess.TimeoutExpired):
            return f"not done in {limit:.0f} s"
        finally:
            process.kill()
            process.wait()
    return f"the process ended with status {process.returncode}; see models.log" if waiting else ""


def show_model(check: Check, found: dict[str, Any]) -> None:
    model, rates = found["model"], found["events_per_second"]

    def rate(precision: str, size: int) -> str:
        value = rates.get(f"{precision} {size}")
        return f"{value:,.0f}" if value else "-"

    own = found.get("bf16-mixed", {})
    small = 20 if check.quick else 100
    pairs = [", ".join(rate(precision, size) for precision in ("float32", "bf16-mixed")) for size in (small, 1000)]
    busy = f"{own['busy_seconds'] / own['step_seconds']:.0%}" if "busy_seconds" in own else "-"
    loading = f"{own['loading_seconds'] / own['step_seconds']:.0%}" if own else "-"
    difference = f"{found['largest_difference']:.1e}" if "largest_difference" in found else "-"
    memory = f"{found['peak_memory_bytes'] / 1e6:,.0f}" if "peak_memory_bytes" in found else "-"
    counts = f"{own.get('kernels', '-'):>9}{own.get('synchronizations', '-'):>7}"
    check.rows[f"steps of {model}"] = found
    check.missing += [f"steps of {model}: {error}" for error in found["errors"]]
    if check.device == "gpu" and "busy_seconds" not in own:
        check.missing.append(f"the share of a step of {model} in which the GPU computes")
    check.say(f"{model:<17}{difference:>11} {pairs[0]:>42}{pairs[1]:>22}{busy:>10}{loading:>9}{counts}{memory:>8}")
    for error in found["errors"]:
        check.say(f"    {error}")


def compiled(check: Check, model: str) -> tuple[str, Any]:
    script = str(Path(__file__).with_name("measure_models.py"))
    sizes = "20" if check.quick else "100"
    command = [sys.executable, script, "--models", model, "--batch-sizes", sizes, "--compiled", *check.words]
    text = check.run(f"compiled {model}", command, limit=90)
    found = json.loads(next(line[4:] for line in text.splitlines() if line.startswith("ROW ")))
    if not found["events_per_second"]:
        raise NotMeasuredError("; ".join(found["errors"]))
    check.missing += [f"compiled {model}: {error}" for error in found["errors"]]
    firsts = [f"{found[name]['first_seconds']:.0f} s" for name in ("float32", "bf16-mixed") if name in found]
    rates = ", ".join(f"{name} {value:,.0f} events/s" for name, value in found["events_per_second"].items())
    return f"{rates}; first step {', '.join(firsts)}", found


def training(check: Check, name: str, *words: str, limit: float = 60) -> tuple[str, Any]:
    """A run of the command, and what it says of itself."""
    run = check.work / name.replace(" ", "_")
    check.run(name, [*CDMTRAIN, *check.words, *words, f"run_dir={run}"], limit=limit)
    results = json.loads((run / "results.json").read_text())
    with (run / "metrics.csv").open(newline="") as rows:
        fastest = max(float(row["events_per_second"]) for row in csv.DictReader(rows))
    text = (
        f"{fastest:,.0f} events/s, training {results['train_seconds']:.1f} s, validation accuracy "
        f"{results['val_accuracy']:.3f}, {results['peak_memory_bytes'] / 1e6:,.0f} MB"
    )
    return text, results | {"fastest_epoch_events_per_second": fastest}


def resumed(check: Check) -> tuple[str, Any]:
    """Kill a run in its second epoch, go on with it, and compare its end with a run that was left alone."""
    words = [*check.words, "model=cnn", "trainer.max_epochs=3", "data.train_events=4000"]
    run, whole = check.work / "killed", check.work / "whole"
    with (check.output / "killed.log").open("w") as log:
        every = [f"run_dir={run}", "callbacks.checkpoint.every_seconds=0"]
        process = subprocess.Popen([*CDMTRAIN, *words, *every], cwd=check.work, stdout=log, stderr=log)
        metrics, start = run / "metrics.csv", time.monotonic()
        while process.poll() is None and not metrics.exists() and time.monotonic() - start < 60:
            time.sleep(0.02)
        process.kill()
        process.wait()
    if (run / "results.json").exists() or not (run / "checkpoints/last.ckpt").exists():
        raise NotMeasuredError("the run was not killed between its first checkpoint and its end")
    check.run("resumed", [*CDMTRAIN, f"run={run}"], limit=60)
    check.run("whole", [*CDMTRAIN, *words, f"run_dir={whole}"], limit=60)
    losses = [json.loads((path / "results.json").read_text())["cross_entropy"] for path in (run, whole)]
    words_for = "to the bit that" if losses[0] == losses[1] else "beside that"
    return f"loss {losses[0]:.6f}, {words_for} of a run left alone, {losses[1]:.6f}", losses


def evaluated(check: Check, run: Path, accelerator: str) -> tuple[str, Any]:
    words = ["task=evaluate", f"run={run}", f"trainer.accelerator={accelerator}"]
    before = set(check.work.glob("outputs/evaluate/*"))
    check.run(f"{run.name} evaluated", [*CDMTRAIN, *words], limit=60)
    (made,) = set(check.work.glob("outputs/evaluate/*")) - before
    losses = [json.loads((path / "results.json").read_text())["cross_entropy"] for path in (made, run)]
    return f"loss {losses[0]:.6f}, in its own test {losses[1]:.6f}", losses


def benchmarked(check: Check) -> tuple[str, Any]:
    few = ["passes=1", "blocks=1", "block_batches=2"] if check.quick else ["passes=1", "blocks=6", "block_batches=20"]
    text = check.run("benchmark", [*CDMTRAIN, "task=benchmark", *check.words, "model=cnn", *few], limit=60)
    check.say(text.rstrip())
    return "as above", None


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=["gpu", "cpu"], default="gpu")
    parser.add_argument("--minutes", type=float, default=8, help="rows that do not fit are listed as not measured")
    parser.add_argument("--quick", action="store_true", help="few events and steps, for the logic alone")
    parser.add_argument(
        "--only", default="", help="rows with one of these words in their name: a,b; `steps` is of models"
    )
    parser.add_argument("--models", default="", help="whose steps are measured, as in cnn,gnn; by default all")
    parser.add_argument("--data", default="", help="words that choose the data, by default 48 000 simulated events")
    parser.add_argument("--cache", default="", help="the directory of converted events, by default a new one")
    parser.add_argument("--output", default="outputs/gpu_check", help="folder of the table, the figures and the logs")
    options = parser.parse_args()
    options.models = options.models or ("perceptron,gnn,sparse_resnet" if options.quick else ",".join(MODELS))
    options.data = options.data or f"data=simulated data.events={400 if options.quick else 48000}"
    check = Check(options)
    check.row("environment", lambda: environment(check))
    check.row("sample", lambda: sample(check))
    few = ["data.train_events=4000", "trainer.max_epochs=2"]
    check.row("model=cnn trainer.accelerator=" + check.device, lambda: training(check, "as typed", "model=cnn", *few))
    measure_models(check)
    epoch = "trainer.max_epochs=1"
    for experiment in ("lecture_dnn", "lecture_gnn", "lecture_cnn", "best"):
        check.row(
            f"an epoch of {experiment}",
            lambda e=experiment: training(check, e, f"experiment={e}", epoch),  # type: ignore[misc]
        )
    for model in COMPILED[:1] if check.quick else COMPILED:
        check.row(f"compiled {model}", lambda m=model: compiled(check, m))  # type: ignore[misc]
    gpu = "trainer=gpu" if check.device == "gpu" else "trainer=cpu"
    large = ["experiment=lecture_cnn", gpu, "data.batch_size=1000", epoch]
    check.row(f"an epoch of lecture_cnn {gpu} by 1000", lambda: training(check, "lecture_cnn by 1000", *large))
    check.row(f"an epoch of best {gpu}", lambda: training(check, "best of gpu", "experiment=best", gpu, epoch))
    check.row("killed and resumed", lambda: resumed(check))
    check.row("as typed, evaluated on the CPU", lambda: evaluated(check, check.work / "as_typed", "cpu"))
    of_cpu = ["model=cnn", "trainer=cpu", "trainer.accelerator=cpu", "data.train_events=4000", epoch]
    check.row("a training on the CPU", lambda: training(check, "of cpu", *of_cpu))
    check.row("that run, evaluated here", lambda: evaluated(check, check.work / "of_cpu", check.device))
    check.row("benchmark of cnn", lambda: benchmarked(check))
    check.say("\n".join(["", f"NOT MEASURED: {len(check.missing)}", *(f"  {one}" for one in check.missing)]))
    return 2 if check.missing else 0


if __name__ == "__main__":
    sys.exit(main())
