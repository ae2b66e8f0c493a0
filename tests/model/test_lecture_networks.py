"""The lecture's networks are its definitions, weight for weight, and are trained as in its exercise."""

import functools
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from hydra import compose, initialize_config_module
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from torch import Tensor, nn
from torch_geometric.nn import GCNConv, global_mean_pool

from cdmtrain.batch import EventBatch

SIZE = 192
LECTURE = ["lecture_dnn", "lecture_cnn", "lecture_gnn"]
EXERCISE = ["exercise_dnn", "exercise_cnn", "exercise_gnn"]


@functools.cache
def composed(*overrides: str) -> DictConfig:
    with initialize_config_module("cdmtrain.conf", version_base="1.3"):
        return compose("config", overrides=list(overrides))


def of_experiment(name: str) -> DictConfig:
    """Return the configuration of an experiment on images of the lecture's size."""
    return composed(f"experiment={name}", *(["data=hdf5", "data.files=[x]"] if name in LECTURE else []))


class PlainDNN(nn.Module):
    """Flatten, three times [linear to `width`, ReLU], linear to 4."""

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Flatten(),
            nn.Linear(192 * 192, width),
            nn.ReLU(),
            nn.Linear(width, width),
            nn.ReLU(),
            nn.Linear(width, width),
            nn.ReLU(),
            nn.Linear(width, 4),
        )

    def forward(self, batch: EventBatch) -> Tensor:
        return self.layers(images(batch))


class PlainCNN(nn.Module):
    """Three times [convolution, ReLU, max pool], channels 1-2-4-8, one linear layer of 8 * 24 * 24 inputs."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(1, 2, kernel_size=2, stride=1, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(2, 4, kernel_size=2, stride=1, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(4, 8, kernel_size=2, stride=1, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(8 * 24 * 24, 4),
        )

    def forward(self, batch: EventBatch) -> Tensor:
        return self.layers(images(batch))


class PlainGNN(nn.Module):
    """Two graph convolutions of width 256, ReLU between, mean over the nodes of an event, linear to 4."""

    def __init__(self) -> None:
        super().__init__()
        self.first = GCNConv(1, 256)
        self.second = GCNConv(256, 256)
        self.linear = nn.Linear(256, 4)

    def forward(self, batch: EventBatch) -> Tensor:
        node, edges, event = graphs(batch)
        x = self.second(self.first(node, edges).relu(), edges)
        return self.linear(global_mean_pool(x, event, size=batch.num_events))


def images(batch: EventBatch) -> Tensor:
    """Return the images (B, 1, S, S), hit by hit."""
    dense = batch.energy.new_zeros(batch.num_events, 1, SIZE, SIZE)
    for event, pixel, energy in zip(batch.event.tolist(), batch.pixel.tolist(), batch.energy, strict=True):
        dense[event, 0, pixel // SIZE, pixel % SIZE] = energy
    return dense


def graphs(batch: EventBatch) -> tuple[Tensor, Tensor, Tensor]:
    """Return nodes above 0.1 MeV (N, 1), edges (2, E) between pixels that share a side, and the event of each node."""
    image = images(batch)[:, 0]
    pixels = (image > 0.1).nonzero().tolist()
    number = {tuple(pixel): node for node, pixel in enumerate(pixels)}
    edges = []
    for node, (event, row, column) in enumerate(pixels):
        for r, c in ((row - 1, column), (row + 1, column), (row, column - 1), (row, column + 1)):
            if (event, r, c) in number:
                edges.append((number[event, r, c], node))
    energy = torch.stack([image[tuple(pixel)] for pixel in pixels]).unsqueeze(1)
    return energy, torch.tensor(edges).T, torch.tensor([event for event, _, _ in pixels])


def pairs(name: str) -> tuple[nn.Module, nn.Module]:
    """Return the experiment's network and its plain definition with the same weights."""
    cfg = of_experiment(name)
    torch.manual_seed(1)
    ours = nn.Sequential(instantiate(cfg.representation), instantiate(cfg.model))
    plain = {"lecture_dnn": PlainDNN, "lecture_cnn": PlainCNN, "lecture_gnn": PlainGNN}[name]()
    for theirs, weight in matched(plain, ours):
        theirs.data.copy_(weight.data)
    return ours, plain


def matched(first: nn.Module, second: nn.Module) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield the parameters of two networks by their order, in one shape: a layer of pixels has its rows as columns."""
    for one, other in zip(first.parameters(), second.parameters(), strict=True):
        assert one.shape in (other.shape, other.shape[::-1])
        yield one, other if one.shape == other.shape else other.t()


@pytest.fixture
def batch(make_batch: Callable[..., EventBatch]) -> EventBatch:
    return make_batch(6, image_size=SIZE, empty=[2])


@pytest.mark.parametrize("name", LECTURE)
def test_logits_are_those_of_the_plain_definition(batch, name):
    ours, plain = pairs(name)
    torch.testing.assert_close(ours(batch), plain(batch), rtol=1e-5, atol=1e-6)  # float32 sums in another order


@pytest.mark.parametrize("name", LECTURE)
def test_one_adam_step_leaves_the_weights_of_the_plain_definition(batch, name):
    # in double precision: Adam's first step is the sign of a gradient, and rounding must not decide it
    ours, plain = (net.double() for net in pairs(name))
    double = in_double(batch)
    rate = {"lecture_gnn": {"lr": 1e-2, "weight_decay": 5e-4}}.get(name, {"lr": 1e-3})
    before = [weight.clone() for weight in ours.parameters()]
    step(ours, double, instantiate(of_experiment(name).optimizer)(ours.parameters()))
    step(plain, double, torch.optim.Adam(plain.parameters(), **rate))
    assert not all(torch.equal(old, new) for old, new in zip(before, ours.parameters(), strict=True))
    for weight, theirs in matched(ours, plain):
        torch.testing.assert_close(weight, theirs, rtol=1e-9, atol=1e-9)  # a step is 1e-3 or more


def in_double(batch: EventBatch) -> EventBatch:
    return replace(batch, energy=batch.energy.double())


def step(net: nn.Module, batch: EventBatch, optimizer: torch.optim.Optimizer) -> None:
    nn.functional.cross_entropy(net(batch), batch.class_index).backward()
    optimizer.step()


COUNTS = {
    "lecture_dnn": (36864 * 64 + 64) + 2 * (64 * 64 + 64) + (64 * 4 + 4),
    "lecture_cnn": (4 * 1 * 2 + 2) + (4 * 2 * 4 + 4) + (4 * 4 * 8 + 8) + (8 * 24 * 24 * 4 + 4),
    "lecture_gnn": 67_332,  # (1 * 256 + 256) + (256 * 256 + 256) + (256 * 4 + 4)
    "exercise_dnn": (36864 * 16 + 16) + 2 * (16 * 16 + 16) + (16 * 4 + 4),
    "exercise_cnn": 18_618,
    "exercise_gnn": 67_332,
}


@pytest.mark.parametrize("name", COUNTS)
def test_number_of_parameters_is_that_counted_by_hand(name):
    net = instantiate(of_experiment(name).model)
    assert sum(weight.numel() for weight in net.parameters()) == COUNTS[name]


@pytest.mark.parametrize("name", LECTURE + EXERCISE)
def test_training_is_that_of_the_exercise(name):
    cfg = of_experiment(name)
    graph = name.endswith("gnn")
    optimizer = instantiate(cfg.optimizer)([nn.Parameter(torch.zeros(1))])
    assert type(optimizer) is torch.optim.Adam
    expected = {
        "lr": 1e-2 if graph else 1e-3,
        "weight_decay": 5e-4 if graph else 0,
        "betas": (0.9, 0.999),
        "eps": 1e-8,
        "amsgrad": False,
        "maximize": False,
        "decoupled_weight_decay": False,
    }
    assert {key: as_tuple(optimizer.defaults[key]) for key in expected} == expected
    assert cfg.data.batch_size == 100
    assert cfg.trainer.max_epochs == 10
    assert not instantiate(cfg.scheduler)
    assert not instantiate(cfg.augmentation)


def as_tuple(value: Any) -> Any:
    return tuple(value) if OmegaConf.is_list(value) else value


def test_loss_is_the_cross_entropy_of_logits():
    loss = instantiate(of_experiment("lecture_cnn").loss)
    logits, truth = torch.randn(8, 4, generator=torch.Generator().manual_seed(1)), torch.arange(8) % 4
    expected = -logits.log_softmax(1)[torch.arange(8), truth].mean()
    torch.testing.assert_close(loss(logits, truth), expected)  # float32


@pytest.mark.parametrize("name", LECTURE)
@pytest.mark.parametrize(
    "data",
    [
        ("data=hdf5", "data.files=[x]", "data/split=stratified", "data.split.train=[0,0.5]"),
        ("data=challenge",),
        ("data=simulated",),
    ],
)
def test_a_lecture_experiment_fixes_neither_data_nor_split(name, data):
    experiment, alone = (
        OmegaConf.to_container(composed(*words).data) for words in ((*data, f"experiment={name}"), data)
    )
    assert experiment.pop("batch_size") == 100
    del alone["batch_size"]
    assert experiment == alone


@pytest.mark.parametrize("name", EXERCISE)
def test_an_exercise_experiment_has_the_exercises_events(name):
    data = composed(f"experiment={name}").data
    assert data._target_ == composed("data=challenge").data._target_
    assert data.split._target_ == composed("data/split=fractions").data.split._target_
    assert (data.split.train, data.split.val, data.split.test) == ([0, 0.1], [0.1, 0.15], [0.15, 0.2])
    assert data.image_size == 192
    assert data.train_events is None


@pytest.mark.parametrize(("network", "widths"), [("dnn", (64, 16)), ("cnn", (None, None)), ("gnn", (256, 256))])
def test_the_exercise_differs_from_the_lecture_in_the_dense_width_only(network, widths):
    configurations = of_experiment(f"lecture_{network}"), of_experiment(f"exercise_{network}")
    assert tuple(cfg.model.get("width") for cfg in configurations) == widths
    for part in ("model", "representation", "optimizer", "scheduler", "trainer", "loss", "augmentation"):
        lecture, exercise = (OmegaConf.to_container(cfg[part], resolve=True) for cfg in configurations)
        assert {**lecture, "width": None} == {**exercise, "width": None}
