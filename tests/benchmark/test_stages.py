"""What is timed is what it says, and timing it changes nothing."""

import time
from collections.abc import Callable
from contextlib import nullcontext
from copy import deepcopy
from functools import partial
from itertools import chain, repeat
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from cdmtrain.batch import EventBatch
from cdmtrain.benchmark.cost import device_seconds, flops, num_parameters
from cdmtrain.benchmark.rounds import Clock, Epochs, Rounds
from cdmtrain.benchmark.stages import load, make_stages
from cdmtrain.classifier import Classifier
from cdmtrain.model.perceptron import Perceptron
from cdmtrain.representation.image import ImageRepresentation

CPU = torch.device("cpu")
STAGE_SECONDS = 0.03


@pytest.fixture
def batches(make_batch: Callable[..., EventBatch]) -> list[EventBatch]:
    return [make_batch(size, seed=size) for size in (8, 5)]


@pytest.fixture
def classifier() -> Classifier:
    torch.manual_seed(1)
    return Classifier(
        model=nn.Sequential(Perceptron(image_size=16)),
        representation=ImageRepresentation(),
        loss=nn.CrossEntropyLoss(),
        optimizer=torch.optim.SGD,
    )


def stages(classifier: Classifier, batches: list[EventBatch]) -> dict[str, partial[None]]:
    return make_stages(classifier, batches, batches, optimizer=torch.optim.SGD, precision=nullcontext)


def fake_trainer() -> Any:
    return SimpleNamespace(should_stop=False)


def test_a_block_holds_events_and_seconds_of_every_batch():
    clock = Clock(CPU)
    clock.start()
    for events in (7, 3):
        time.sleep(STAGE_SECONDS)
        clock.mark(events)
    block = clock.block()
    assert block.events == [7, 3]
    assert all(STAGE_SECONDS <= seconds < 10 * STAGE_SECONDS for seconds in block.seconds)


def test_a_clock_forgets_what_was_before_its_start():
    clock = Clock(CPU)
    clock.start()
    clock.mark(1)
    clock.start()
    assert len(clock) == 0
    assert clock.block().seconds == []


def test_rounds_give_training_and_stages_their_turn_and_stop(batches: list[EventBatch]) -> None:
    order = []

    def stage(clock: Clock) -> None:
        clock.start()
        order.append("stage")
        time.sleep(STAGE_SECONDS)
        clock.mark(1)

    rounds, trainer = Rounds(CPU, repeats=2, steps=3), fake_trainer()
    rounds.stages = {"stage": stage}
    rounds.on_train_epoch_start(trainer, None)
    while not trainer.should_stop:
        order.append("step")
        rounds.on_train_batch_end(trainer, None, None, batches[0], 0)
    rounds.on_train_end(trainer, None)
    assert order == 3 * ["step", "step", "step", "stage"]  # the first round warms up
    assert [block.events for block in rounds.blocks["training"]] == [[8, 8, 8], [8, 8, 8]]
    assert max(seconds for block in rounds.blocks["training"] for seconds in block.seconds) < STAGE_SECONDS
    assert min(seconds for block in rounds.blocks["stage"] for seconds in block.seconds) >= STAGE_SECONDS


def test_a_block_of_training_steps_lies_within_an_epoch(batches: list[EventBatch]) -> None:
    rounds, trainer = Rounds(CPU, repeats=1, steps=2), fake_trainer()
    for steps in (3, 2):
        rounds.on_train_epoch_start(trainer, None)
        for _ in range(steps):
            rounds.on_train_batch_end(trainer, None, None, batches[0], 0)
        time.sleep(STAGE_SECONDS)  # the end of the epoch, after a third step that begins no block
    assert len(rounds.blocks["training"]) == 2
    assert max(seconds for block in rounds.blocks["training"] for seconds in block.seconds) < STAGE_SECONDS


def test_an_epoch_counts_its_events_and_all_its_time(batches: list[EventBatch]) -> None:
    epochs = Epochs(CPU)
    for _ in range(2):
        epochs.on_train_epoch_start(fake_trainer(), None)
        for batch in batches:
            epochs.on_train_batch_end(fake_trainer(), None, None, batch, 0)
        time.sleep(STAGE_SECONDS)  # the validation
        epochs.on_train_epoch_end(fake_trainer(), None)
    assert [block.events for block in epochs.blocks] == [[13], [13]]
    assert all(block.seconds[0] >= STAGE_SECONDS for block in epochs.blocks)


def test_the_loader_is_timed_over_as_many_epochs_as_it_takes(batches: list[EventBatch]) -> None:
    clock, endless = Clock(CPU), chain.from_iterable(repeat(batches))
    blocks = []
    for _ in range(2):
        load(clock, batches=endless, steps=3)
        blocks.append(clock.block().events)
    assert blocks == [[8, 5, 8], [5, 8, 5]]


def test_the_plain_loop_makes_the_steps_one_writes_by_hand(classifier: Classifier, batches: list[EventBatch]) -> None:
    ready = [(classifier.representation(batch), batch.class_index) for batch in batches]
    expected = deepcopy(classifier.model)
    optimizer = torch.optim.SGD(expected.parameters(), lr=1e-3)
    for tensors, class_index in ready:
        optimizer.zero_grad()
        nn.functional.cross_entropy(expected(tensors), class_index).backward()
        optimizer.step()
    plain, clock = stages(classifier, batches)["plain"], Clock(CPU)
    plain(clock)
    assert clock.block().events == [8, 5]
    for mine, by_hand in zip(plain.keywords["model"].parameters(), expected.parameters(), strict=True):
        assert torch.equal(mine, by_hand)


def test_timing_leaves_the_network_as_it_was(classifier: Classifier, batches: list[EventBatch]) -> None:
    classifier.train()
    before = deepcopy(classifier.state_dict())
    clock = Clock(CPU)
    for stage in stages(classifier, batches).values():
        stage(clock)
        assert clock.block().events == [8, 5]
    assert all(module.training for module in classifier.modules())
    assert all(torch.equal(value, before[name]) for name, value in classifier.state_dict().items())
    assert all(parameter.grad is None for parameter in classifier.parameters())


def test_the_plain_loop_is_not_deterministic_and_training_stays_so(
    classifier: Classifier, batches: list[EventBatch]
) -> None:
    modes = []
    classifier.model.register_forward_pre_hook(lambda *_: modes.append(torch.get_deterministic_debug_mode()))
    plain = stages(classifier, batches)["plain"]
    before = torch.get_deterministic_debug_mode()
    torch.set_deterministic_debug_mode("warn")
    try:
        plain(Clock(CPU))
        assert torch.get_deterministic_debug_mode() == 1
    finally:
        torch.set_deterministic_debug_mode(before)
    assert modes == [0, 0]


def test_flops_are_those_counted_by_hand():
    layer, x = nn.Linear(7, 3), torch.randn(5, 7)
    forward = 2 * 5 * 7 * 3
    assert flops(lambda: layer(x)) == (forward, 2 * forward)  # backward: of the weights alone, x needs no gradient
    lstm, sequence = nn.LSTM(3, 6, batch_first=True), torch.randn(5, 4, 3)
    assert flops(lambda: lstm(sequence)[0])[0] == 2 * 5 * 4 * 4 * 6 * (3 + 6)
    assert num_parameters(layer) == 7 * 3 + 3


@pytest.mark.gpu
def test_a_gpu_is_timed_by_its_own_clock():
    device = torch.device("cuda")
    matrix = torch.randn(4096, 4096, device=device)
    clock = Clock(device)

    def work() -> None:
        clock.start()
        for _ in range(5):
            matrix @ matrix
            clock.mark(1)

    work()
    busy = device_seconds(work)
    work()
    taken = sum(clock.block().seconds)
    assert 0.3 * taken < busy < 1.5 * taken  # nothing but products
