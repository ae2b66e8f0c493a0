"""Compile loops with numba, at first use, and keep the machine code in the user's cache."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba

# not beside the sources: pip would leave these files behind, and they would shadow a later install
if not getattr(numba.config, "CACHE_DIR", ""):
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    vars(numba.config)["CACHE_DIR"] = str(Path(cache) / "cdmtrain")


def jit(function: Callable[..., Any]) -> Any:
    """The same function as machine code, which releases the GIL while it runs."""
    try:
        return numba.njit(cache=True, nogil=True)(function)
    except RuntimeError:  # no place for a cache: compile in every process
        return numba.njit(nogil=True)(function)
