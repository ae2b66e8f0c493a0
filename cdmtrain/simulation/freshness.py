"""Keep numba's cache of compiled functions up to date.

numba recompiles a function when its own file changes, but not when a function that it calls in another file does. So
every index of the cache that is older than the newest source of this room is removed before the first call.
"""

from pathlib import Path


def forget_outdated_kernels(cache: Path) -> None:
    """Remove numba's cache indices that are older than a source file of this room."""
    newest = max(source.stat().st_mtime for source in Path(__file__).parent.glob("*.py"))
    for index in cache.glob("*.nbi"):
        if index.stat().st_mtime < newest:
            index.unlink(missing_ok=True)
