"""Inputs that are changed towards new lines of the readers end in a sentence, however they end."""

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["run", "hdf5"])
def test_every_input_is_read_or_refused_in_a_sentence(kind: str) -> None:
    command = [sys.executable, str(Path(__file__).with_name("fuzz.py")), kind, "60"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert " kept, " in done.stdout
