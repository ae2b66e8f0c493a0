"""What a job's configuration differs in from the defaults: the record of what was chosen for a run."""

from typing import Any

from omegaconf import DictConfig, OmegaConf

from cdmtrain.config.sources import BUNDLES, default_options, job_composition, leaves

NOT_TRAINING = (
    "hydra",
    "task",
    "run",
    "run_dir",
    "sweep",
    "launch",
    "print_config",
    "search",
    "trust",
    "report",
)  # keys and groups


def changes(cfg: DictConfig) -> dict[str, list[Any]]:
    """Compare the configuration of the running job with what its options and `config.yaml` set.

    Returns:
        {group or dotted key: [default, value]}: the options that differ from the default ones, then the values that
        differ from those of their options. Interpolations stand as they are written.
    """
    job = job_composition()
    usual = default_options()
    pairs = {group: [usual.get(group), option] for group, option in job.options.items()}
    options = {group: [before, now] for group, (before, now) in pairs.items() if (before or None) != (now or None)}
    defaults = dict(leaves(job.values(without=BUNDLES)))
    composed = OmegaConf.to_container(cfg, resolve=False)
    assert isinstance(composed, dict)
    values = {key: [defaults.get(key), value] for key, value in leaves(composed) if defaults.get(key) != value}  # type: ignore[arg-type]
    tops = {key: key.replace("/", ".").partition(".")[0] for key in options | values}
    return {key: pair for key, pair in (options | values).items() if tops[key] not in NOT_TRAINING}
