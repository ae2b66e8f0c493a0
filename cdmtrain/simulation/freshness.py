"""Compiled kernels are kept between runs; numba renews one when its own file changes, not when one it calls does.

So every index of the cache that is older than the newest source of this room is removed before the first call.
"""

from pathlib import Path


def forget_outdated_kernels(cache: Path) -> None:
    """Remove numba's indices in this room's cache folder that are older than a source file of the room."""
    newest = max(source.stat().st_mtime for source in Path(__file__).parent.glob("*.py"))
    for index in cache.glob("*.nbi"):
        if index.stat().st_mtime < newest:
            index.unlink(missing_ok=True)
