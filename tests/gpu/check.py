"""Check cdmtrain on a real GPU: python tests/gpu/check.py. One table in 8 minutes; what was not measured is listed.

Rows come in the order of their importance, and are kept with the logs in --output. A row that fails, crashes or takes
too long does not stop the others. The exit status is 2 if something could not be measured. Without a GPU,
`--device cpu --quick` tries everything that does not need one. `pytest -m gpu` checks the numbers.
"""

import argparse
import json
import os
import platform
import queue
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
MODELS = sorted({path.stem for path in HERE.parents[1].glob("conf/model/*.yaml")} - {"module"})
COMPILED = ("cnn", "transformer", "sparse_resnet")
LIMITS = {"steps": 40, "train": 100, "compiled": 150}  # seconds of a job; the first includes the start of the process
LEAST_SECONDS = 12  # nothing is begun with less time left

Job = dict[str, Any]


class Check:
    """The table of one check: its rows, its time, its folder."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.quick, self.device = options.quick, options.device
        self.output, self.work = Path(options.output).resolve(), Path(tempfile.mkdtemp())
        self.output.mkdir(parents=True, exist_ok=True)
        self.data = [*options.data.split(), f"data.cache_dir={options.cache or self.work / 'cache'}"]
        self.words = [*self.data, f"trainer.accelerator={self.device}", "print_config=false"]
        self.rows: dict[str, Any] = {}
        self.missing: list[str] = []
        self._end = time.monotonic() + 60 * options.minutes

    def left(self) -> float:
        return self._end - time.monotonic()

    def say(self, line: str) -> None:
        print(line, flush=True)
        with (self.output / "table.txt").open("a") as table:
            table.write(line + "\n")
        figures = {"rows": self.rows, "not_measured": self.missing}
        (self.output / "figures.json").write_text(json.dumps(figures, indent=1))

    def keep(self, found: dict[str, Any], seconds: float) -> None:
        """Print and keep what was measured."""
        name = found.pop("name")
        self.rows[name] = found
        show = {"steps": steps_text, "train": training_text, "compiled": compiled_text}[name.split()[0]]
        text = show(found) if len(found) > 1 else ""
        if name.startswith("steps") and self.device == "gpu" and "busy_seconds" not in found:
            self.missing.append(f"{name}: the share of a step in which the GPU computes")
        self.missing += [f"{name}: {error}" for error in found["errors"]]
        self.say(f"{name:<34}{seconds:4.0f} s  {'; '.join([text, *found['errors']] if text else found['errors'])}")

    def fail(self, name: str, why: str) -> None:
        self.missing.append(f"{name}: {why}")
        self.say(f"{name:<34}        NOT MEASURED: {why}")

    def measure(self, jobs: list[Job]) -> None:
        """Measure jobs in one process, which is begun anew after a crash or a job that takes too long."""
        waiting = list(jobs)
        while waiting and self.left() > LEAST_SECONDS:
            why = Worker(self, waiting, log=f"{waiting[0]['name'].split()[0]}.log").run()
            if waiting and why:
                self.fail(waiting.pop(0)["name"], why)
        for job in waiting:
            self.fail(job["name"], "no time left")


class Worker:
    """A process of measure.py, which reports its jobs one after another; each that it reports leaves `waiting`."""

    def __init__(self, check: Check, waiting: list[Job], *, log: str) -> None:
        self._check, self._waiting, self._log = check, waiting, check.output / log
        sizes = "20" if check.quick else "100,1000"
        self._command = [sys.executable, "-P", str(HERE / "measure.py"), "--sizes", sizes, json.dumps(waiting)]

    def run(self) -> str:
        """Why the process ended before its jobs did; empty where it did not."""
        lines: queue.Queue[str | None] = queue.Queue()
        with self._log.open("a") as log:
            process = subprocess.Popen(
                self._command, cwd=self._check.work, text=True, stdout=subprocess.PIPE, stderr=log
            )
            threading.Thread(target=self._read, args=(process, lines), daemon=True).start()
            try:
                return self._follow(lines) or f"the process ended with status {process.wait(20)}; see {self._log.name}"
            except (queue.Empty, subprocess.TimeoutExpired):
                return "it took too long"
            finally:
                process.kill()
                process.wait()

    def _follow(self, lines: "queue.Queue[str | None]") -> str:
        start = time.monotonic()
        while self._waiting:
            limit = LIMITS[self._waiting[0]["name"].split()[0]] * (1 if self._check.device == "gpu" else 5)
            line = lines.get(timeout=max(1, min(limit - (time.monotonic() - start), self._check.left())))
            if line is None:
                return ""
            if line.startswith("ROW "):
                self._check.keep(json.loads(line[4:]), time.monotonic() - start)
                self._waiting.pop(0)
                start = time.monotonic()
        return "done"

    @staticmethod
    def _read(process: "subprocess.Popen[str]", lines: "queue.Queue[str | None]") -> None:
        assert process.stdout is not None
        for line in process.stdout:
            lines.put(line)
        lines.put(None)


def steps_text(found: dict[str, Any]) -> str:
    rates = [f"{name} {value:,.0f}" for name, value in found.items() if name.startswith(("float32 ", "bf16-mixed "))]
    text = [f"events/s {', '.join(rates)}"]
    if "busy_seconds" in found:
        text.append(f"GPU computes {found['busy_seconds'] / found['step_seconds']:.0%}")
        text.append(f"{found['kernels']} kernels, {found['synchronizations']} synchronizations")
    if "loading_seconds" in found:
        text.append(f"loading {found['loading_seconds'] / found['step_seconds']:.0%}")
    if "largest_difference" in found:
        text.append(f"logits {found['largest_difference']:.0e}")
    return "; ".join(text)


def training_text(found: dict[str, Any]) -> str:
    return (
        f"{found['fastest_epoch_events_per_second']:,.0f} events/s, training {found['train_seconds']:.1f} s, "
        f"validation accuracy {found['val_accuracy']:.3f}, {found['peak_memory_bytes'] / 1e6:,.0f} MB"
    )


def compiled_text(found: dict[str, Any]) -> str:
    return f"bf16-mixed {found['events_per_second']:,.0f} events/s; ready after {found['first_seconds']:.0f} s"


def show_environment(check: Check) -> None:
    import lightning
    import torch
    import torch_geometric

    card = torch.cuda.get_device_name(0) if torch.cuda.is_available() else "no GPU"
    versions = {one.__name__: one.__version__ for one in (torch, lightning, torch_geometric)}
    found = {"card": card, "python": platform.python_version(), "cores": os.cpu_count(), **versions}
    if check.device == "gpu" and card == "no GPU":
        check.missing.append("everything: torch finds no GPU")
    check.rows["environment"] = found
    check.say(", ".join(f"{name} {value}" for name, value in found.items()))


def measure_compiled(check: Check, models: tuple[str, ...]) -> None:
    """Compile the networks at the same time, each in its process; they are timed one after another."""
    jobs = [{"name": f"compiled {model}", "words": check.words} for model in models]
    checks = [threading.Thread(target=check.measure, args=([job],)) for job in jobs]
    for one in checks:
        one.start()
    for one in checks:
        one.join()


def trainings(check: Check) -> list[Job]:
    """One epoch of the lecture's three and of `best`, the last and the large batch as a GPU likes it."""
    gpu = "trainer=gpu" if check.device == "gpu" else "trainer=cpu"
    epochs = {name: [f"experiment={name}"] for name in ("lecture_dnn", "lecture_gnn", "lecture_cnn")}
    epochs |= {"best": ["experiment=best", gpu], "best in float32": ["experiment=best"]}
    epochs["lecture_cnn by 1000"] = ["experiment=lecture_cnn", gpu, "data.batch_size=1000"]
    return [
        {"name": f"train {name}", "words": [*check.words, *words, "trainer.max_epochs=1"]}
        for name, words in epochs.items()
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=["gpu", "cpu"], default="gpu")
    parser.add_argument("--minutes", type=float, default=8, help="rows that do not fit are listed as not measured")
    parser.add_argument("--quick", action="store_true", help="few events and models, for the logic alone")
    parser.add_argument("--only", default="", help="jobs with one of these words in their name: steps,train,compiled")
    parser.add_argument("--models", default="", help="whose steps are measured, as in cnn,gnn; by default all")
    parser.add_argument("--data", default="", help="words that choose the data, by default 48 000 simulated events")
    parser.add_argument("--cache", default="", help="the directory of converted events, by default a new one")
    parser.add_argument("--output", default="outputs/gpu_check", help="folder of the table, the figures and the logs")
    options = parser.parse_args()
    models = options.models.split(",") if options.models else ["perceptron", "gnn"] if options.quick else MODELS
    options.data = options.data or f"data=simulated data.events={400 if options.quick else 48000}"
    check = Check(options)
    show_environment(check)
    few = ["model=cnn", "data.train_events=4000", "trainer.max_epochs=1"]
    first = {"name": "train first", "words": [*check.words, *few]}  # makes the events, so that no later time has them
    jobs = [first, *({"name": f"steps {model}", "words": check.words} for model in models), *trainings(check)]
    chosen = options.only.split(",")
    check.measure([job for job in jobs if any(word in job["name"] for word in chosen)])
    if any(word in "compiled" for word in chosen):
        measure_compiled(check, COMPILED[:1] if check.quick else COMPILED)
    check.say("\n".join(["", f"NOT MEASURED: {len(check.missing)}", *(f"  {one}" for one in check.missing)]))
    return 2 if check.missing else 0


if __name__ == "__main__":
    sys.exit(main())
