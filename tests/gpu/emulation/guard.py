"""Compile and load the device guard, without which torch accepts no tensor that says it is on a CUDA device."""

import ctypes
import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import torch

SOURCE = Path(__file__).with_name("guard.cpp")


def why_not() -> str:
    """Why there can be no emulated device on this machine, in one sentence; empty where there can be one."""
    if torch.cuda.is_available():
        return "this machine has a CUDA device, which an emulated one would hide: run pytest -m gpu"
    if _compiler() is None:
        return "the emulated device needs a C++ compiler: install g++ or clang++, or set CXX"
    return ""


@contextmanager
def guarded() -> Iterator[None]:
    """Let torch's C++ code find a CUDA device, cuda:0, as long as the context lasts."""
    library = _library()
    library.cuda_exists(1)
    try:
        yield
    finally:
        library.cuda_exists(0)


@cache
def _library() -> ctypes.CDLL:
    """The guard, compiled at its first use on this machine in 10 s."""
    key = hashlib.blake2b(SOURCE.read_bytes() + torch.__version__.encode(), digest_size=8).hexdigest()
    cache_dir = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "cdmtrain"
    library = cache_dir / f"guard_{key}.so"
    if not library.exists():
        cache_dir.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache_dir) as scratch:
            _compile(Path(scratch) / "guard.so")
            os.replace(Path(scratch) / "guard.so", library)
    return ctypes.CDLL(str(library))


def _compiler() -> str | None:
    return shutil.which(os.environ.get("CXX", "c++"))


def _compile(output: Path) -> None:
    installed = Path(torch.__file__).parent
    abi = f"-D_GLIBCXX_USE_CXX11_ABI={int(torch.compiled_with_cxx11_abi())}"
    options = ["-std=c++20", "-O0", "-shared", "-fPIC", abi, "-I", str(installed / "include")]
    libraries = [f"-L{installed / 'lib'}", "-lc10", "-ltorch_cpu"]
    command = [str(_compiler()), *options, str(SOURCE), "-o", str(output), *libraries]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr}")
