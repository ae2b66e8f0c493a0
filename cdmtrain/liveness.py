"""Whether a process of this machine still lives, also while it is stopped and whatever the clocks say."""

import os
from contextlib import suppress
from functools import cache
from hashlib import blake2b
from pathlib import Path

STATE, STARTED = 0, 19  # in /proc/<pid>/stat after the name of the program; see proc_pid_stat(5)
DEAD = ("Z", "X")


def identity(process: int | str | None = None) -> str:
    """What no other process of any machine has: the boot, the namespace, the number and the start of a process.

    Args:
        process: its number; None for this process.

    Returns "" where there is no such process any more, and where the system does not tell (macOS).
    """
    process = os.getpid() if process is None else process
    with suppress(OSError, IndexError):
        fields = Path(f"/proc/{process}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        if fields[STATE] not in DEAD:
            return f"{_machine()} {process} {fields[STARTED]}"
    return ""


def is_alive(known: str | None) -> bool | None:
    """Whether the process of an `identity` lives; None where this machine cannot know, as of one on another machine."""
    machine, _, rest = (known or "").rpartition("] ")
    number = rest.partition(" ")[0]
    with suppress(OSError):
        if number.isdecimal() and f"{machine}]" == _machine():
            return identity(number) == known
    return None


@cache
def machine_digest() -> str:
    """8 hexadecimal digits for this machine and its processes; "" where the system does not tell (macOS)."""
    with suppress(OSError):
        return blake2b(_machine().encode(), digest_size=4).hexdigest()
    return ""


def _machine() -> str:
    """The boot of this machine, and the namespace in which its processes are numbered, such as "1b..f pid:[40..]"."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()
    return f"{boot} {os.readlink('/proc/self/ns/pid')}"
