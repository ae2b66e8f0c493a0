"""Which process of a run this is, and in which job of SLURM."""

import os


def is_first_process() -> bool:
    """Whether this is the process of a run on several devices that writes its files and prints.

    The processes are numbered by whatever started them: torchrun (RANK), this program (LOCAL_RANK on NODE_RANK), SLURM.
    """
    for names in (("RANK",), ("LOCAL_RANK", "NODE_RANK"), ("SLURM_PROCID",)):
        if names[0] in os.environ:
            return all(int(os.environ.get(name, 0)) == 0 for name in names)
    return True


def slurm_job() -> str:
    """The number of the SLURM job that this process belongs to, as scontrol takes it; empty outside of a job."""
    array, task = os.environ.get("SLURM_ARRAY_JOB_ID"), os.environ.get("SLURM_ARRAY_TASK_ID")
    return f"{array}_{task}" if array and task else os.environ.get("SLURM_JOB_ID", "")
