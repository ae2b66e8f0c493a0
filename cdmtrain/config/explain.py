"""The sentence for what a task could not do, where the user can put it right."""

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager

from hydra.errors import HydraException
from omegaconf.errors import ConfigAttributeError, InterpolationResolutionError, MissingMandatoryValue

from cdmtrain.config.build import DETAILS, missing_extra
from cdmtrain.config.own_code import explain_own
from cdmtrain.config.suggestions import no_value
from cdmtrain.errors import InputError

# what a disk or a path does, rather than the program
FILE_SYSTEM = (
    *(errno.ENOENT, errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR),
    *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.ESTALE, errno.EBUSY, errno.ENODEV, errno.ENOLCK),
    *(errno.ENAMETOOLONG, errno.ELOOP, errno.EEXIST, errno.ENOTEMPTY, errno.EMFILE, errno.ENFILE),
)

FULL_MEMORY = ("DefaultCPUAllocator", "bad_alloc", os.strerror(errno.ENOMEM))  # of torch, C++ and the kernel


def explain(exception: BaseException) -> str | None:
    """The sentence for an exception; None for a fault of the program, which deserves its traceback."""
    message = " ".join(str(exception).split())
    if isinstance(exception, InputError):
        return str(exception)
    if isinstance(exception, MissingMandatoryValue):
        return no_value(str(exception.full_key))
    if isinstance(exception, ConfigAttributeError):
        return f"the configuration has no {exception.full_key} {DETAILS}"
    if isinstance(exception, InterpolationResolutionError):
        return f"{exception.full_key}: {str(exception).splitlines()[0]}"
    if type(exception).__module__.startswith(("torch._dynamo", "torch._inductor")):
        reason = " ".join(str(exception).strip().partition("\n\n")[0].split())
        return f"trainer.compile=true: this network cannot be compiled here ({reason}); set trainer.compile=false"
    if type(exception).__name__ == "OutOfMemoryError":
        return "the accelerator's memory is full; try a smaller data.batch_size or a smaller model"
    if isinstance(exception, MemoryError) or any(sign in message for sign in FULL_MEMORY):
        return _full_memory(message)
    if type(exception).__name__ == "MisconfigurationException":
        return f"trainer: {message} {DETAILS}"
    if isinstance(exception, ModuleNotFoundError) and (extra := missing_extra(str(exception.name))):
        return f"{extra} is not installed: pip install 'cdmtrain[{extra}]'"
    if isinstance(exception, OSError) and exception.errno in FILE_SYSTEM:
        where = f"{exception.filename}: " if exception.filename else ""
        return f"{where}{exception.strerror} {DETAILS}"
    if isinstance(exception, HydraException):
        return f"{message} {DETAILS}"
    return explain_own(exception)


def explain_failure(exception: BaseException) -> str:
    """The sentence that status.json keeps."""
    return explain(exception) or f"{type(exception).__name__}: {exception}"


@contextmanager
def explained() -> Iterator[None]:
    """Turn what the user can put right into an InputError with the sentence of the command."""
    try:
        yield
    except Exception as error:
        sentence = explain(error)
        if sentence is None or isinstance(error, InputError):
            raise
        raise InputError(sentence) from error


def _full_memory(message: str) -> str:
    """The sentence for memory that the machine, the job or a limit of the shell does not have."""
    asked = re.search(r"allocate (\d+) bytes", message)
    more = f" ({int(asked[1]) / 1e9:,.1f} GB more were asked for)" if asked else ""
    return f"there is not enough memory{more}; try a smaller data.batch_size or a smaller model"
