"""Loops that no array operation does in one pass: compiled at first use by numba, and kept in the user's cache."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba

# not beside the sources, where pip would leave them behind and they would shadow a later install
if not getattr(numba.config, "CACHE_DIR", ""):
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    vars(numba.config)["CACHE_DIR"] = str(Path(cache) / "cdmtrain")


def jit(function: Callable[..., Any]) -> Any:
    """The same function as machine code, which lets other threads run meanwhile."""
    try:
        return numba.njit(cache=True, nogil=True)(function)
    except RuntimeError:  # nowhere to keep it: it is compiled anew in every process
        return numba.njit(nogil=True)(function)
