"""Crafted configurations: a node put where a stranger may put it."""

import copy
from typing import Any

Config = dict[str, Any]


# what runs the command "touch <marker>", or would let a later part run it
COMMAND = "COMMAND"


PLACES = ("model", "representation", "optimizer", "loss", "trainer", "data", "callbacks", "logger", "anything")


def placed(own: Config, place: str, node: Any) -> Config:
    """The configuration with a node in a place, in a way that Hydra would build."""
    config = copy.deepcopy(own)
    if place in ("callbacks", "logger"):
        config[place] = {**config[place], "more": node}
    elif "_target_" not in node and place in config:
        config[place] = {**config[place], **node}
    else:
        config[place] = node
    return config
