"""Configurations of earlier versions, translated to today's names."""

from typing import Any

from cdmtrain.errors import InputError

RENAMED_TARGETS = {"cdmtrain.launch.trainer.Trainer": "cdmtrain.devices.trainer.Trainer"}

FEATURES, EVENT_FEATURES = "cdmtrain.representation.features", "cdmtrain.representation.event_features"
# what the sparse_resnet of 0.1 computed from energies in MeV by itself
SPARSE_RESNET_INPUT = {
    "scale": {"_target_": "cdmtrain.representation.scale.LogScale", "reference_mev": 0.1},
    "features": {
        "energy": {"_target_": f"{FEATURES}.Energy"},
        "border_distance": {"_target_": f"{FEATURES}.BorderDistance"},
    },
    "event_features": {
        "num_hits": {"_target_": f"{EVENT_FEATURES}.NumHits"},
        "energy": {"_target_": f"{EVENT_FEATURES}.Energy"},
        "extent": {"_target_": f"{EVENT_FEATURES}.Extent"},
        "border_distance": {"_target_": f"{EVENT_FEATURES}.BorderDistance"},
    },
}


def translate(config: Any) -> Any:
    """A copy of a run's plain configuration with today's names and keys."""
    config = _with_present_targets(config)
    model = config.get("model") if isinstance(config, dict) else None
    if isinstance(model, dict) and str(model.get("_target_")).endswith(".SparseResNet") and "num_features" not in model:
        return _with_features_of_sparse_resnet(config)
    return config


def _with_present_targets(config: Any) -> Any:
    """Every renamed `_target_` with its present name."""
    if isinstance(config, dict):
        return {
            key: RENAMED_TARGETS.get(str(value), value) if key == "_target_" else _with_present_targets(value)
            for key, value in config.items()
        }
    return [_with_present_targets(value) for value in config] if isinstance(config, list) else config


def _with_features_of_sparse_resnet(config: dict[str, Any]) -> dict[str, Any]:
    """The representation that gives `sparse_resnet` the input that it computed by itself in 0.1."""
    scale = config["representation"]["scale"]["_target_"].rpartition(".")[2]
    if scale != "LinearScale":
        raise InputError(
            f"this run of cdmtrain 0.1 trained sparse_resnet on the logarithm of energies of {scale}, "
            "which no later version computes; open it with cdmtrain 0.1, or train again with representation/scale=log"
        )
    model = {**config["model"], "num_features": 15, "num_event_features": 12}
    return {**config, "model": model, "representation": {**config["representation"], **SPARSE_RESNET_INPUT}}
