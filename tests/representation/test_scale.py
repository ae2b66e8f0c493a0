"""An energy scale is a function of the energy alone, the same in every representation, and keeps dark pixels at 0."""

import math

import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_dir, initialize_config_module
from hydra.utils import instantiate

from cdmtrain.errors import InputError
from cdmtrain.representation.graph import GraphRepresentation
from cdmtrain.representation.hits import HitsRepresentation
from cdmtrain.representation.image import ImageRepresentation
from cdmtrain.representation.scale import LinearScale, LogScale, SqrtScale
from cdmtrain.representation.sequence import SequenceRepresentation

SCALES = {"linear": LinearScale(), "log": LogScale(reference_mev=0.5), "sqrt": SqrtScale()}
FORMULAS = {"linear": lambda mev: mev, "log": lambda mev: math.log(1 + mev / 0.5), "sqrt": math.sqrt}

every_scale = pytest.mark.parametrize("name", SCALES)


@every_scale
def test_a_scale_is_its_formula_and_keeps_the_order_of_energies(name):
    energy = torch.tensor([0.0, 1e-6, 0.03, 0.5, 2.1, 300.0])
    scaled = SCALES[name](energy)
    torch.testing.assert_close(scaled, torch.tensor([FORMULAS[name](mev) for mev in energy.tolist()]))
    assert scaled[0] == 0
    assert (scaled.diff() > 0).all()


@every_scale
def test_dark_pixels_of_an_image_are_zero_and_lit_ones_are_scaled(name, random_images, batch_of):
    images = random_images(5, 7)
    dense = ImageRepresentation(scale=SCALES[name])(batch_of(images)).energy[:, 0].numpy()
    assert not dense[images == 0].any()
    np.testing.assert_array_equal(dense[images > 0], SCALES[name](torch.from_numpy(images[images > 0])).numpy())


@every_scale
def test_every_representation_gives_the_same_scaled_energies(name, random_images, batch_of):
    scale, batch = SCALES[name], batch_of(random_images(5, 7))
    expected = scale(batch.energy)
    sequence = SequenceRepresentation(scale=scale)(batch)
    assert torch.equal(HitsRepresentation(scale=scale)(batch).energy, expected)
    assert torch.equal(GraphRepresentation(scale=scale, threshold_mev=0.0)(batch).feature[:, 0], expected)
    assert torch.equal(sequence.feature[sequence.mask][:, 0], expected)


@every_scale
def test_the_threshold_of_a_graph_is_in_mev(name, random_images, batch_of):
    images = random_images(5, 7)
    graph = GraphRepresentation(scale=SCALES[name], threshold_mev=0.3)(batch_of(images))
    assert len(graph.feature) == (images > 0.3).sum()


@pytest.mark.parametrize("reference_mev", [0.0, -1.0, math.nan])
def test_a_reference_that_is_not_positive_is_refused_in_one_sentence(reference_mev):
    with pytest.raises(InputError, match=r"^representation\.scale\.reference_mev=\S+: more than 0 MeV is expected$"):
        LogScale(reference_mev=reference_mev)


MODEL = """
defaults:
  - override /representation@_global_.representation: hits
  - override /representation/scale@_global_.representation.scale: log
_target_: cdmtrain.model.mynet.MyNet
"""


def scale_of(*overrides):
    return instantiate(compose("config", overrides=list(overrides)).representation).scale


def test_a_model_chooses_its_scale_and_the_command_line_overrides_it(tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "mynet.yaml").write_text(MODEL)
    (tmp_path / "config.yaml").write_text(
        "defaults: [representation: image, model: mynet, _self_]\nhydra: {searchpath: ['pkg://cdmtrain.conf']}\n"
    )
    with initialize_config_dir(str(tmp_path), version_base="1.3"):
        assert isinstance(scale_of(), LogScale)
        assert isinstance(scale_of("representation=image"), LogScale)
        assert isinstance(scale_of("representation/scale=sqrt"), SqrtScale)
        assert scale_of("representation.scale.reference_mev=2.0").reference_mev == 2


@pytest.mark.parametrize("representation", ["image", "hits", "graph", "sequence"])
def test_every_representation_takes_a_scale_on_the_command_line(representation):
    with initialize_config_module("cdmtrain.conf", version_base="1.3"):
        assert isinstance(scale_of(f"representation={representation}"), LinearScale)
        assert isinstance(scale_of(f"representation={representation}", "representation/scale=sqrt"), SqrtScale)
