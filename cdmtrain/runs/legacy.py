"""Translate configurations between version 0.1 and this one: old runs open, and jobs of old sweeps keep their names."""

from typing import Any

from cdmtrain.config.sources import select
from cdmtrain.errors import InputError

LOGGERS = "lightning.pytorch.loggers", "cdmtrain.callbacks.loggers"
RENAMED_TARGETS = {  # 0.1 -> now
    "cdmtrain.launch.trainer.Trainer": "cdmtrain.devices.trainer.Trainer",
    f"{LOGGERS[0]}.TensorBoardLogger": f"{LOGGERS[1]}.TensorBoard",
    f"{LOGGERS[0]}.MLFlowLogger": f"{LOGGERS[1]}.MLflow",
    f"{LOGGERS[0]}.WandbLogger": f"{LOGGERS[1]}.WeightsAndBiases",
}
NEW_IN_LOGGERS = {"mlflow": ("run_name", "artifact_location"), "wandb": ("name",)}  # they name the run's directory

REPRESENTATION = "cdmtrain.representation"
FEATURES, EVENT_FEATURES = f"{REPRESENTATION}.features", f"{REPRESENTATION}.event_features"
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

SPARSE_RESNET_SIZES = {"num_features": 15, "num_event_features": 12}  # of that input

ACTIVATIONS = {
    **dict.fromkeys(("cnn", "alexnet", "resnet", "densenet", "self_attention"), "relu"),
    **dict.fromkeys(("gnn", "message_passing", "edgeconv", "graph_network", "sparse_resnet"), "relu"),
    **dict.fromkeys(("vit", "transformer"), "gelu"),
}  # of networks whose activation 0.1 fixed

MESSAGE_PASSING = {"self_messages": True, "layer_norm": True, "activated": True}  # as 0.1 had it

# keys that 0.1 did not have, with the values that do what it did: (node, key, value, class that has the key)
NEW_KEYS: tuple[tuple[str, str, Any, str], ...] = (
    ("", "weights", None, ""),
    ("", "weights_lr", 1.0, ""),
    ("", "freeze", [], ""),
    ("representation", "event_features", {}, ""),
    ("representation", "features", {}, "cdmtrain.representation.hits.HitsRepresentation"),
    ("model", "num_event_features", 0, ""),
    ("trainer", "matmul_precision", None, ""),
    ("", "metrics", {"pairs": None}, ""),
    ("data", "on_device", "auto", ""),
    ("data", "particles", None, ""),
    ("data", "others", "refuse", ""),
    *(("data", key, value, "cdmtrain.data.datamodule.SimulatedData") for key, value in (("fresh", False), ("uses", 1))),
    ("model", "pool_stride", None, ""),
    ("model", "dense", False, "cdmtrain.model.cnn."),
    ("scheduler.scheduler", "mode", "min", "torch.optim.lr_scheduler.ReduceLROnPlateau"),
    *(("model", key, value, "cdmtrain.model.message_passing.") for key, value in MESSAGE_PASSING.items()),
    *(("model", "activation", value, f"cdmtrain.model.{name}.") for name, value in ACTIVATIONS.items()),
)


def translate(config: Any) -> Any:
    """Return a copy of a run's plain configuration with today's names and keys."""
    config = _with_targets(config, RENAMED_TARGETS)
    model = config.get("model") if isinstance(config, dict) else None
    if not isinstance(model, dict):
        return config
    name = str(model.get("_target_")).rpartition(".")[2]
    if name == "SparseResNet" and "num_features" not in model:
        return _with_features_of_sparse_resnet(config)
    return {**config, "model": {**MESSAGE_PASSING, **model}} if name == "MessagePassing" else config


def as_in_0_1(config: dict[str, Any]) -> dict[str, Any]:
    """Return a copy of a plain configuration as 0.1 would have composed it: the form that names a sweep's job."""
    config = _with_targets(config, {new: old for old, new in RENAMED_TARGETS.items()})
    config = _with_images_of_cnn(_without_features_of_sparse_resnet(config))
    for node, key, value, target in NEW_KEYS:
        config = _without(config, node.split(".") if node else [], key, value, target)
    loggers: Any = config.get("logger")
    if not isinstance(loggers, dict):
        return config
    for logger, keys in NEW_IN_LOGGERS.items():
        if isinstance(one := loggers.get(logger), dict):
            loggers = {**loggers, logger: {name: one[name] for name in one if name not in keys}}
    return {**config, "logger": loggers}


def _without(config: dict[str, Any], path: list[str], key: str, value: Any, target: str) -> dict[str, Any]:
    """Leave out a key of the node at `path`, if it has this value and the node is of the class `target`."""
    if path:
        inner = config.get(path[0])
        changed = _without(inner, path[1:], key, value, target) if isinstance(inner, dict) else inner
        return config if changed is inner else {**config, path[0]: changed}
    if config.get(key, ...) != value or not str(config.get("_target_")).startswith(target):
        return config
    return {name: config[name] for name in config if name != key}


def _with_targets(config: Any, names: dict[str, str]) -> Any:
    """Rename every `_target_` that is a key of `names`."""
    if isinstance(config, dict):
        return {
            key: names.get(str(value), value) if key == "_target_" else _with_targets(value, names)
            for key, value in config.items()
        }
    return [_with_targets(value, names) for value in config] if isinstance(config, list) else config


def _with_images_of_cnn(config: dict[str, Any]) -> dict[str, Any]:
    """Give a `cnn` the dense images that 0.1 had for it, where hits are the same: it has no other input of them."""
    model, representation = config.get("model"), config.get("representation")
    if not isinstance(model, dict) or model.get("_target_") != "cdmtrain.model.cnn.CNN":
        return config
    if (
        not isinstance(representation, dict)
        or representation.get("_target_") != f"{REPRESENTATION}.hits.HitsRepresentation"
    ):
        return config
    image = {"_target_": f"{REPRESENTATION}.image.ImageRepresentation", "scale": representation.get("scale")}
    return {**config, "representation": image}


def _with_features_of_sparse_resnet(config: dict[str, Any]) -> dict[str, Any]:
    """Add the representation that gives `sparse_resnet` the input that it computed by itself in 0.1."""
    scale = str(select(config, "representation.scale._target_")).rpartition(".")[2]
    if scale != "LinearScale":
        raise InputError(
            f"this run of cdmtrain 0.1 trained sparse_resnet on the logarithm of energies of {scale}, "
            "which no later version computes; open it with cdmtrain 0.1, or train again with representation/scale=log"
        )
    model = {**config["model"], **SPARSE_RESNET_SIZES}
    return {**config, "model": model, "representation": {**config["representation"], **SPARSE_RESNET_INPUT}}


def _without_features_of_sparse_resnet(config: dict[str, Any]) -> dict[str, Any]:
    """Undo `_with_features_of_sparse_resnet`, where the input is exactly that of 0.1."""
    model, representation = config.get("model"), config.get("representation")
    if not isinstance(model, dict) or not isinstance(representation, dict):
        return config
    same_input = SPARSE_RESNET_SIZES.items() <= model.items() and all(
        representation.get(key) == value for key, value in SPARSE_RESNET_INPUT.items()
    )
    if not same_input:
        return config
    others = {key: value for key, value in representation.items() if key not in SPARSE_RESNET_INPUT}
    return {
        **config,
        "model": {key: value for key, value in model.items() if key not in SPARSE_RESNET_SIZES},
        "representation": {**others, "scale": {"_target_": "cdmtrain.representation.scale.LinearScale"}},
    }
