import errno

import pytest

from cdmtrain.config.explain import explain
from cdmtrain.errors import InputError

SMALLER = "try a smaller data.batch_size or a smaller model"


class MisconfigurationException(Exception):  # noqa: N818
    """Called as Lightning's is."""


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (InputError("a.h5 is not an HDF5 file"), "a.h5 is not an HDF5 file"),
        (MisconfigurationException("no such strategy"), "trainer: no such strategy"),
        (ModuleNotFoundError(name="wandb"), "wandb is not installed: pip install 'cdmtrain[wandb]'"),
        (OSError(errno.ENOSPC, "No space left on device"), "No space left on device"),
        (OSError(errno.ENAMETOOLONG, "File name too long", "aaa"), "aaa: File name too long"),
        (PermissionError(errno.EACCES, "Permission denied", "/home/x"), "/home/x: Permission denied"),
        (FileNotFoundError(errno.ENOENT, "No such file or directory", "a.h5"), "a.h5: No such file or directory"),
        (MemoryError("Unable to allocate 7 TiB for an array"), f"there is not enough memory; {SMALLER}"),
        (
            RuntimeError(
                "[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 2500000000 bytes."
            ),
            f"there is not enough memory (2.5 GB more were asked for); {SMALLER}",
        ),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), f"there is not enough memory; {SMALLER}"),
    ],
)
def test_what_a_task_could_not_do_is_one_sentence(error: Exception, sentence: str) -> None:
    assert (explain(error) or "").removesuffix(" (HYDRA_FULL_ERROR=1 shows where)") == sentence


@pytest.mark.parametrize("error", [KeyError("x"), ValueError("x"), ModuleNotFoundError("x"), AttributeError("x")])
def test_a_fault_of_the_program_has_no_sentence(error: Exception) -> None:
    assert explain(error) is None
