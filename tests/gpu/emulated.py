"""Run a command on an emulated CUDA device: python tests/gpu/emulated.py WORDS is `cdmtrain WORDS` on it.

The device is cold: as on a real one, CUDA is initialised by its first use. The exit status is that of the command. With
EMULATED_COUNTS=1 the synchronizations and kernels of the whole command follow on the standard error, by the line of the
program that they are for. Other processes that a command starts (`trainer=ddp`, `-m` on a cluster) have no such device.
"""

import os
import sys

from emulation.guard import why_not


def main() -> int:
    if reason := why_not():
        print(f"error: {reason}", file=sys.stderr)
        return 1
    from emulation.device import emulated_device

    import cdmtrain.cli

    sys.argv[0] = "cdmtrain"
    with emulated_device() as device:
        status = cdmtrain.cli.main()
        if os.environ.get("EMULATED_COUNTS"):
            print(device.counts.table(), file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
