"""Small data made here: events that look like tracks, in memory and as files in the challenge's format."""

import functools
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from jaxtyping import install_import_hook

# the networks are small, and threads that wait for each other's core take ten times as long; before torch is imported
os.environ.setdefault("OMP_NUM_THREADS", "1")

import h5py
import numpy as np
import torch
from torch import Tensor, nn

os.fsync = lambda file: None  # nothing here has to survive a loss of power, and a run waits for the disk 40 times
ROOMS = ["augmentation", "batch", "classifier", "layers", "learner", "metrics", "model", "representation"]
ROOMS += [f"pretraining.{module}" for module in ("contrastive", "features", "masked", "patches", "pretraining")]
install_import_hook([f"cdmtrain.{room}" for room in ROOMS], "beartype.beartype")  # shapes are checked

import cdmtrain.cli  # noqa: E402, F401  registers the resolvers that the configuration uses
from cdmtrain import compiled  # noqa: E402
from cdmtrain.batch import EventBatch  # noqa: E402
from cdmtrain.particles import PDG_CODES  # noqa: E402
from cdmtrain.probe.contributions import contributions  # noqa: E402
from tests.composing import compose_once  # noqa: E402
from tests.forked import Python, forked  # noqa: E402

compose_once()
compiled.apart = False  # another process takes seconds to begin with each layer that is tested


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Each process has the tests of whole files, whose fixtures are then made once, and helps the other at the end."""
    from xdist.scheduler import WorkStealingScheduling

    return WorkStealingScheduling(config, log)


def make_images(num_events: int, image_size: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Images (N, S, S) float32 of straight tracks and their PDG codes (N,); a class is told by length and energy."""
    rng = np.random.default_rng(seed)
    which = rng.integers(0, 4, num_events)
    images = np.zeros((num_events, image_size, image_size), np.float32)
    for event, kind in enumerate(which):
        row, column = rng.integers(0, image_size, 2)
        step = rng.choice([-1, 0, 1], 2) if kind else np.array([0, 1])
        for place in range(1 + image_size // (1 + kind)):
            position = (row + place * step[0]) % image_size, (column + place * step[1]) % image_size
            images[event][position] += np.float32(rng.gamma(2.0) * (0.5 + kind))
    return images, np.array(PDG_CODES, np.int32)[which]


@pytest.fixture
def challenge_file(tmp_path: Path) -> Callable[..., Path]:
    """Writes a file in the challenge's format: challenge_file("a.h5", num_events=60, image_size=16, seed=1)."""

    def write(name: str = "events.h5", *, num_events: int = 60, image_size: int = 16, seed: int = 1) -> Path:
        images, pdg = make_images(num_events, image_size, seed)
        with h5py.File(tmp_path / name, "w") as file:
            file["image"] = images
            file["pdg"] = pdg
            file["index"] = np.arange(num_events, dtype=np.int32)
            file["mean"] = np.array([images.mean()], np.float64)
            file["std"] = np.array([images.std()], np.float64)
        return tmp_path / name

    return write


@pytest.fixture(scope="session")
def python(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Python]:
    """Runs scripts in processes of their own: python("print(1)", "word", folder=...).stdout; see tests/forked.py."""
    with forked(tmp_path_factory.mktemp("outputs")) as python:
        yield python


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """A run of two epochs and its events: `path` of its directory, `file`, `images` (100, 16, 16); the last 8 test it.

    Made once and only to be read.
    """
    from cdmtrain import cli

    folder = tmp_path_factory.mktemp("trained")
    images, pdg = make_images(100, 16, seed=1)
    with h5py.File(folder / "events.h5", "w") as file:
        file["image"], file["pdg"] = images, pdg
        file["index"] = 1000 + np.arange(100)
        file["kinetic_energy_mev"] = images.sum((1, 2)) + 1
        file["vertex_px"] = np.random.default_rng(1).uniform(-0.5, 15.5, (100, 2))
    words = ["data=hdf5", f"data.files=[{folder / 'events.h5'}]", f"data.cache_dir={folder}", "data.image_size=16"]
    words += ["data.batch_size=5", "trainer=cpu", "trainer.max_epochs=2", "print_config=false"]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(sys, "argv", ["cdmtrain", "model=cnn", "model.channels=[2]", *words, f"run_dir={folder / 'run'}"])
        assert cli.main() == 0
    return SimpleNamespace(path=folder / "run", file=folder / "events.h5", images=images, pdg=pdg)


@pytest.fixture
def without_page(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page takes longer to draw than these runs to train, so that only tests marked `page` draw one.

    What each pixel of the worst mistakes contributes is then integrated over a path of 2 points instead of 24.
    """
    if request.node.get_closest_marker("page") is None:
        monkeypatch.setattr("cdmtrain.evaluation.contributions", functools.partial(contributions, steps=2))
        for module in ("tasks.train", "tasks.evaluate", "tasks.calibrate", "api"):
            monkeypatch.setattr(f"cdmtrain.{module}.write_report", lambda run: run)


@pytest.fixture
def assert_equal_with_gradients() -> Callable[..., None]:
    """Compares two results and their gradients with respect to the tensors given after them.

    In double precision, where `torch.testing` allows 1e-7.
    """

    def check(found: Tensor, expected: Tensor, *leaves: Tensor) -> None:
        torch.testing.assert_close(found, expected)
        direction = torch.linspace(-1, 2, expected.numel(), dtype=expected.dtype).view_as(expected)
        gradients = [
            torch.autograd.grad(y, leaves, direction, retain_graph=True, materialize_grads=True)
            for y in (found, expected)
        ]
        for mine, other in zip(*gradients, strict=True):
            torch.testing.assert_close(mine, other)

    return check


@pytest.fixture
def make_batch() -> Callable[..., EventBatch]:
    """Makes an EventBatch: make_batch(8, image_size=16, seed=1, empty=[0, 3]) has events 0 and 3 without a hit."""

    def make(num_events: int, *, image_size: int = 16, seed: int = 1, empty: list[int] | None = None) -> EventBatch:
        images, pdg = make_images(num_events, image_size, seed)
        images[empty or []] = 0
        return batch_of(images, pdg)

    return make


def batch_of(images: np.ndarray, pdg: np.ndarray) -> EventBatch:
    """The EventBatch of dense images (N, S, S) and PDG codes (N,)."""
    flat = torch.from_numpy(images).flatten(1)
    event, pixel = flat.nonzero(as_tuple=True)
    num_hits = torch.bincount(event, minlength=len(flat))
    return EventBatch(
        pixel=pixel,
        energy=flat[event, pixel],
        offset=torch.cat([torch.zeros(1, dtype=torch.int64), num_hits.cumsum(0)]),
        class_index=torch.from_numpy(np.searchsorted(PDG_CODES, pdg)),
        dataset_index=torch.arange(len(flat)),
        image_size=images.shape[1],
    )


class MaskedImages:
    """Images (B, S, S) of which some pixels are lit, to hold sparse layers to dense ones masked to the lit pixels.

    Event 1 has no lit pixel and event 2 has all of them, if there are so many events.
    """

    def __init__(self, lit: torch.Tensor) -> None:
        self.lit = lit

    @classmethod
    def drawn(cls, num_events: int, size: int, *, fraction: float = 0.3) -> "MaskedImages":
        lit = torch.rand(num_events, size, size, generator=torch.Generator().manual_seed(1)) < fraction
        lit[1:2], lit[2:3] = False, True
        return cls(lit)

    @property
    def batch(self) -> EventBatch:
        """The events, with energies in double precision that differ."""
        event, pixel = self.lit.flatten(1).nonzero(as_tuple=True)
        generator = torch.Generator().manual_seed(2)
        return EventBatch(
            pixel=pixel,
            energy=0.1 + torch.rand(len(pixel), generator=generator, dtype=torch.float64),
            offset=nn.functional.pad(torch.bincount(event, minlength=len(self.lit)).cumsum(0), (1, 0)),
            class_index=torch.arange(len(self.lit)) % 4,
            dataset_index=torch.arange(len(self.lit)),
            image_size=self.lit.shape[1],
        )

    def dense(self, x: torch.Tensor) -> torch.Tensor:
        """(B, C, S, S) with x (N, C) at the lit pixels and zeros elsewhere."""
        image = x.new_zeros(*self.lit.shape, x.shape[1])
        return image.index_put(self.lit.nonzero(as_tuple=True), x).movedim(3, 1)

    def at_lit(self, image: torch.Tensor) -> torch.Tensor:
        """(N, C): an image (B, C, S, S) read at the lit pixels."""
        return image.movedim(1, 3)[self.lit]

    def halved(self) -> "MaskedImages":
        """The images at half the resolution, lit where any of four pixels is; odd sizes are padded."""
        odd = self.lit.shape[1] % 2
        return MaskedImages(nn.functional.max_pool2d(nn.functional.pad(self.lit.double(), (0, odd, 0, odd)), 2) > 0)

    @staticmethod
    def dense_kernel(weight: torch.Tensor) -> torch.Tensor:
        """A sparse convolution's weight (K, inputs, outputs) as conv2d's (outputs, inputs, rows, columns)."""
        side = int(len(weight) ** 0.5)
        return weight.permute(2, 1, 0).unflatten(2, (side, side))


@pytest.fixture
def masked_images() -> type[MaskedImages]:
    return MaskedImages
