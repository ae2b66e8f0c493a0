"""Compiled loops: kept in the user's cache, and only there; still compiled where nothing can be kept."""

import os
import subprocess
import sys

from cdmtrain.compiled import jit


def test_what_has_no_file_to_be_kept_for_is_compiled_all_the_same():
    names: dict = {}
    exec("def doubled(number):\n    return 2 * number", names)  # numba keeps nothing of a function that has no source
    assert jit(names["doubled"])(21) == 42


def test_machine_code_is_kept_in_the_users_cache(tmp_path):
    lines = ["import numpy as np", "from cdmtrain.data.hits import nonzero_pixels"]
    call = "; ".join([*lines, "nonzero_pixels(np.ones(2, np.uint32), np.empty(2, np.int32))"])
    environment = {name: value for name, value in os.environ.items() if name != "NUMBA_CACHE_DIR"}
    subprocess.run([sys.executable, "-c", call], check=True, env={**environment, "XDG_CACHE_HOME": str(tmp_path)})
    assert [path.name for path in tmp_path.iterdir()] == ["cdmtrain"]
    assert any(path.name.startswith("hits.nonzero_pixels") for path in tmp_path.rglob("*.nbc"))
