"""Training steps of `experiment=best`, in turn with those of a ResNet-18 on dense images."""

from functools import partial
from pathlib import Path

import numpy as np
import peer_loop
import peer_networks
import torch
from hydra.utils import instantiate
from sample import EVENTS, config, opened
from timing import Row, in_turn, quartiles

from cdmtrain.representation.image import ImageRepresentation
from cdmtrain.runs.open import make_classifier

STEPS, ROUNDS = 2, 5


def row(cache_dir: Path, *words: str, events: int = EVENTS) -> Row:
    cfg = config(cache_dir, "experiment=best", *words, events=events)
    torch.manual_seed(cfg.seed)
    classifier, peer = make_classifier(cfg), peer_networks.residual_network()
    batches = [batch for batch, _ in zip(opened(cfg).train_dataloader(), range(STEPS), strict=False)]
    image = ImageRepresentation()
    dense = [(image(batch).energy, batch.class_index) for batch in batches]
    sparse = [(classifier.representation(batch), batch.class_index) for batch in batches]
    best = partial(peer_loop.train, classifier.model, sparse, instantiate(cfg.optimizer)(classifier.model.parameters()))
    resnet = partial(peer_loop.train, peer, dense, torch.optim.Adam(peer.parameters()))
    seconds = in_turn({"best": best, "resnet": resnet}, rounds=ROUNDS)
    mine, other = (float(np.median(seconds[name])) / STEPS for name in ("best", "resnet"))
    how = f"{1000 * other:.0f} ms, a ResNet-18 of torch's layers"
    spread = quartiles(seconds["resnet"] / seconds["best"])
    return Row("step of best, against a dense ResNet-18", other / mine, "x", None, f"{1000 * mine:.0f} ms", how, spread)
