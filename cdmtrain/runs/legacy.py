"""Configurations of earlier versions, translated to today's names."""

RENAMED_TARGETS = {"cdmtrain.launch.trainer.Trainer": "cdmtrain.devices.trainer.Trainer"}


def translate(config: object) -> object:
    """A copy of a run's plain configuration in which every renamed `_target_` has its present name."""
    if isinstance(config, dict):
        return {
            key: RENAMED_TARGETS.get(str(value), value) if key == "_target_" else translate(value)
            for key, value in config.items()
        }
    return [translate(value) for value in config] if isinstance(config, list) else config
