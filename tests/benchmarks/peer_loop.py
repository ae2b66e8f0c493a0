"""Peer: the training loop one writes by hand."""

import time
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn


def train(
    model: nn.Module, batches: Iterable[tuple[Any, Tensor]], optimizer: torch.optim.Optimizer
) -> tuple[list[float], list[float]]:
    """One step a batch; the seconds and the loss of each."""
    seconds, losses = [], []
    criterion = nn.CrossEntropyLoss()
    model.train()
    since = time.perf_counter()
    for inputs, class_index in batches:
        optimizer.zero_grad()
        loss = criterion(model(inputs), class_index)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        now = time.perf_counter()
        seconds.append(now - since)
        since = now
    return seconds, losses


@torch.no_grad()
def validate(model: nn.Module, batches: Iterable[tuple[Any, Tensor]]) -> float:
    """The mean loss of the batches."""
    model.eval()
    losses = [nn.functional.cross_entropy(model(inputs), class_index) for inputs, class_index in batches]
    return float(torch.stack(losses).mean())
