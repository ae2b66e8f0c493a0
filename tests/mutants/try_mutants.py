"""Make the faults of mutants.py one by one in a copy of the program, and see whether a test notices each.

    python tests/mutants/try_mutants.py [-j 2] [word of a file ...]

It prints a line for each and the share that was noticed, and exits with 1 below 95 %. With two processes it takes about
ten minutes.
"""

import argparse
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

from mutants import MUTANTS, Mutant

ROOT = Path(__file__).parents[2]
LEAST = 0.95  # of the mutants that must be noticed
PYTEST = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider"]


def is_noticed(mutant: Mutant) -> bool:
    """Whether a test fails in a copy of the checkout that has the fault."""
    with TemporaryDirectory() as folder:
        copy = Path(folder)
        for name in ("cdmtrain", "conf", "tests", "docs"):
            shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__", "*.nb[ci]"))
        for name in ("pyproject.toml", "README.md"):
            shutil.copyfile(ROOT / name, copy / name)
        (copy / "cdmtrain" / "conf").symlink_to(copy / "conf")  # as in the wheel
        file = copy / "cdmtrain" / mutant.file
        file.write_text(file.read_text().replace(mutant.old, mutant.new))
        environment = os.environ | {"PYTHONPATH": folder, "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"}
        ended = subprocess.run([*PYTEST, *mutant.test_files], cwd=copy, env=environment, capture_output=True, text=True)
        if ended.returncode not in (0, 1):  # 2 to 5: no test was run
            raise RuntimeError(f"{mutant.file}: the tests could not be run\n{ended.stdout}\n{ended.stderr}")
        return ended.returncode == 1


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-j", "--jobs", type=int, default=2, help="processes at a time")
    parser.add_argument("words", nargs="*", help="only the mutants of files whose path has one of these words")
    asked = parser.parse_args()
    chosen = [one for one in MUTANTS if not asked.words or any(word in one.file for word in asked.words)]
    noticed = 0
    with ThreadPoolExecutor(asked.jobs) as pool:
        for mutant, found in zip(chosen, pool.map(is_noticed, chosen), strict=True):
            noticed += found
            print(f"{'noticed ' if found else 'SURVIVED'}  {mutant.file}: {mutant.old} -> {mutant.new}", flush=True)
    print(f"{noticed} of {len(chosen)} mutants noticed")
    return 0 if noticed >= LEAST * len(chosen) else 1


if __name__ == "__main__":
    sys.exit(main())
