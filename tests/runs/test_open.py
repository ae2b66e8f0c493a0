"""A trained run, opened in Python."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
import torch
import yaml

from cdmtrain import load_run
from cdmtrain.errors import InputError
from cdmtrain.particles import NAMES


def test_a_run_says_of_images_what_it_said_in_its_test(trained: SimpleNamespace) -> None:
    probability, name = load_run(trained.path).predict(trained.images[92:])
    with h5py.File(trained.path / "predictions.h5") as file:
        np.testing.assert_array_equal(probability, file["probability"])
    assert probability.dtype == np.float32
    assert list(name) == [NAMES[k] for k in probability.argmax(1)]


@pytest.mark.parametrize("convert", [lambda images: images.astype(np.float64), torch.from_numpy, np.asfortranarray])
def test_images_may_be_arrays_or_tensors(trained: SimpleNamespace, convert: Callable[[np.ndarray], object]) -> None:
    run = load_run(str(trained.path))
    expected = run.predict(trained.images).probability
    np.testing.assert_array_equal(run.predict(convert(trained.images)).probability, expected)


def test_no_image_at_all_has_no_prediction(trained: SimpleNamespace) -> None:
    probability, name = load_run(trained.path).predict(trained.images[:0])
    assert (probability.shape, name.shape) == ((0, 4), (0,))


def test_the_mean_over_symmetries_does_not_depend_on_the_side_an_event_is_seen_from(trained: SimpleNamespace) -> None:
    run = load_run(trained.path)
    images = trained.images[:20]
    seen = [run.predict(some, symmetries=True).probability for some in (images, images[:, ::-1], images.swapaxes(1, 2))]
    np.testing.assert_allclose(seen[0], seen[1], atol=1e-6)  # the order of a float32 mean of eight
    np.testing.assert_allclose(seen[0], seen[2], atol=1e-6)
    assert np.abs(seen[0] - run.predict(images).probability).max() > 1e-3


def test_the_last_checkpoint_and_any_other_can_be_asked_for(trained: SimpleNamespace) -> None:
    run, path = load_run(trained.path, checkpoint="last"), trained.path / "checkpoints/last.ckpt"
    state = torch.load(path, weights_only=True)["state_dict"]
    assert torch.equal(run.model.linear.weight, state["model.linear.weight"])  # type: ignore[union-attr]
    assert load_run(trained.path, checkpoint=str(path)).checkpoint == path


def test_opening_a_run_leaves_the_random_numbers_of_a_notebook_alone(trained: SimpleNamespace) -> None:
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    load_run(trained.path)
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize(
    ("images", "sentence"),
    [
        (np.zeros((2, 8, 8)), "images of 8 x 8 pixels; .* was trained on 16 x 16"),
        (np.zeros((2, 16, 8)), "images of 16 x 8 pixels: as many rows as columns"),
        (np.zeros((16, 16)), r"images of shape \(16, 16\) and type float64: numbers of shape \(N, S, S\) are expected"),
        (np.full((1, 16, 16), "x"), "numbers of shape"),
        (np.full((7, 16, 16), -1.0), "image 0 has -1.0 at row 0, column 0"),
        (np.pad(np.full((1, 1, 1), np.nan), ((6, 0), (3, 12), (2, 13))), "image 6 has nan at row 3, column 2"),
    ],
)
def test_images_that_cannot_be_are_one_sentence(trained: SimpleNamespace, images: np.ndarray, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        load_run(trained.path).predict(images)


def test_a_run_that_cannot_be_opened_is_one_sentence(trained: SimpleNamespace, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere: there is no config\.yaml in it"):
        load_run(tmp_path / "nowhere")
    with pytest.raises(InputError, match="ckpt=worst: worst is not a file; best, last or the path of a checkpoint"):
        load_run(trained.path, checkpoint="worst")
    (tmp_path / "config.yaml").write_bytes((trained.path / "config.yaml").read_bytes())
    with pytest.raises(InputError, match=r"best\.ckpt is not a file"):
        load_run(tmp_path)
    config = yaml.safe_load((trained.path / "config.yaml").read_text())
    config["model"]["channels"] = [3]
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    with pytest.raises(InputError, match=r"holds the weights of another network .*size mismatch"):
        load_run(tmp_path, checkpoint=str(trained.path / "checkpoints/best.ckpt"))
