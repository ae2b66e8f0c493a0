"""The ONNX graph of every network and representation gives the probabilities of the network itself."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from hydra import compose, initialize_config_module
from omegaconf import OmegaConf

from cdmtrain.batch import EventBatch
from cdmtrain.config.sources import groups
from cdmtrain.export.check import extreme_events
from cdmtrain.export.network import feeds, onnx_model
from cdmtrain.runs.combined import combine_networks
from cdmtrain.runs.open import make_classifier

SMALL = {
    "alexnet": ["model.hidden=8"],
    "densenet": ["model.growth=2", "model.blocks=[1,2]", "model.width=3"],
    "resnet": ["model.width=3", "model.blocks=[1,1,1,1]"],
    "sparse_resnet": ["model.channels=[3,4,5]", "model.blocks=[1,2,1]"],
    "vit": ["model.depth=2", "model.width=8", "model.patch_size=5"],
    "transformer": ["model.depth=2", "model.width=8"],
    "rnn": ["model.hidden=5", "model.layers=2"],
}
NAMES = [option.name for option in groups()["model"] if option.name != "module"]
ALL_FEATURES = [
    "representation/features=[energy,position,border_distance]",
    "representation/event_features=[num_hits,energy,extent,border_distance]",
]
GRAPH = ["model=gnn", "model.width=5"]
VARIANTS = {
    "gnn_sage_eight": [*GRAPH, "model.convolution=sage", "representation/neighbours=eight", *ALL_FEATURES],
    "gnn_gin_radius_max": [*GRAPH, "model.convolution=gin", "representation/neighbours=radius", "model.pooling=max"],
    "gnn_gat_nearest_sum": [*GRAPH, "model.convolution=gat", "representation/neighbours=nearest", "model.pooling=sum"],
    "gnn_gcn_nearest": [*GRAPH, "representation/neighbours=nearest", "representation/scale=sqrt"],
    "gnn_gcn_max": [*GRAPH, "model.pooling=max", "model.activation=tanh"],
    "message_passing_full": [
        *("model=message_passing", "model.aggregation=max", "model.self_messages=true", "model.layer_norm=true"),
        *("model.activated=true", "model.activation=gelu"),
    ],
    "graph_network_mean": [
        *("model=graph_network", "model.aggregation=mean", "representation/neighbours=four", "model.depth=3"),
        "representation/edge_features=[offset,distance,energy_difference]",
    ],
    "graph_network_max": ["model=graph_network", "model.aggregation=max", "representation/edge_features=[]"],
    "rnn_gru": ["model=rnn", "model.cell=gru", "representation/order=energy"],
    "rnn_plain": ["model=rnn", "model.cell=rnn", "model.bidirectional=false", "representation/order=principal_axis"],
    "cnn_average": ["model=cnn", "model.pooling=average", "model.activation=silu", "model.pool_stride=1"],
    "dnn_features": ["model=dnn", "representation/event_features=[num_hits,extent]", "model.activation=sigmoid"],
}


@pytest.fixture
def tracks(make_batch: Any) -> EventBatch:
    """Events of 67 x 67 pixels, one without a hit."""
    return make_batch(9, image_size=67, empty=[4])


def network(words: Sequence[str]) -> Any:
    """An untrained network whose normalisations do something."""
    data = ["data=hdf5", "data.files=[a.h5]", "data.image_size=67", "trainer=cpu"]
    with initialize_config_module("cdmtrain.conf", version_base="1.3"):
        config = compose("config", overrides=[*words, *data])
    OmegaConf.resolve(config)
    torch.manual_seed(1)
    made = make_classifier(config)
    for module in made.modules():
        if isinstance(module, torch.nn.BatchNorm1d | torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.running_mean, -0.1, 0.1)
            torch.nn.init.uniform_(module.running_var, 0.5, 2)
    return made.eval()


def model_of(networks: Sequence[Any], **options: Any) -> onnx.ModelProto:
    settings = {"takes": "hits", "symmetries": False, **options}
    return onnx_model(networks, image_size=67, about={"classes": list("abcd")}, **settings)


def run(model: onnx.ModelProto, arrays: dict[str, np.ndarray], threads: int = 1) -> np.ndarray:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = threads, 4
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(["probabilities"], arrays)[0]


def assert_equal(model: onnx.ModelProto, made: torch.nn.Module, batch: EventBatch) -> None:
    with torch.inference_mode():
        expected = made(batch).softmax(1).numpy()
    np.testing.assert_allclose(run(model, feeds(batch)), expected, atol=1e-5)


@pytest.mark.parametrize("name", [*NAMES, *VARIANTS])
def test_a_graph_gives_the_probabilities_of_its_network(name: str, tracks: EventBatch, make_batch: Any) -> None:
    made = network(VARIANTS.get(name) or [f"model={name}", *SMALL.get(name, [])])
    model = model_of([made])
    onnx.checker.check_model(model, full_check=True)
    one = make_batch(1, image_size=67)
    for batch in (tracks, one, make_batch(1, image_size=67, empty=[0]), extreme_events(one)):
        assert_equal(model, made, batch)


def test_images_give_what_their_hits_give(tracks: EventBatch) -> None:
    for name in ("cnn", "dnn", "gnn", "vit"):
        made = network([f"model={name}"])
        image = tracks.image(tracks.energy).squeeze(1).numpy()
        of_image = run(model_of([made], takes="image"), {"image": image})
        np.testing.assert_allclose(of_image, run(model_of([made]), feeds(tracks)), atol=1e-6)


def test_hits_come_in_any_order(tracks: EventBatch) -> None:
    model, arrays = model_of([network(["model=rnn"])]), feeds(tracks)
    order = np.random.default_rng(1).permutation(len(arrays["event"]))
    mixed = {name: value[order] if value.ndim else value for name, value in arrays.items()}
    np.testing.assert_array_equal(run(model, mixed), run(model, arrays))


def test_the_number_of_events_is_that_of_the_last_hit_unless_it_is_given(tracks: EventBatch) -> None:
    model, arrays = model_of([network(["model=perceptron"])]), feeds(tracks)
    assert len(run(model, arrays | {"num_events": np.array(12)})) == 12
    del arrays["num_events"]
    assert len(run(model, arrays)) == 9


@pytest.mark.parametrize(
    "words", [["model=gnn"], ["model=sparse_resnet", *SMALL["sparse_resnet"]]], ids=["gnn", "sparse"]
)
def test_several_networks_and_views_are_averaged(words: list[str], tracks: EventBatch) -> None:
    networks = [network(words), network([*words, "model.activation=tanh"])]
    assert_equal(model_of(networks, symmetries=True), combine_networks(networks, symmetries=True), tracks)


def test_probabilities_are_calibrated_class_by_class(tracks: EventBatch) -> None:
    made, scale, bias = network(["model=dnn"]), [1.0, 2.0, 0.5, 1.5], [0.0, 0.1, 0.2, -1.0]
    with torch.inference_mode():
        expected = (made(tracks).log_softmax(1) * torch.tensor(scale) + torch.tensor(bias)).softmax(1).numpy()
    np.testing.assert_allclose(run(model_of([made], scaling=(scale, bias)), feeds(tracks)), expected, atol=1e-6)


def test_several_threads_give_the_same_numbers(make_batch: Any) -> None:
    """To add at an index that occurs twice is a race in onnxruntime from four threads on."""
    batch = make_batch(100, image_size=67)
    for name in ("gnn", "sparse_resnet"):
        model, arrays = model_of([network([f"model={name}"])]), feeds(batch)
        np.testing.assert_array_equal(run(model, arrays, threads=4), run(model, arrays))


def test_long_events_are_attended_to_in_blocks(monkeypatch: pytest.MonkeyPatch, tracks: EventBatch) -> None:
    monkeypatch.setattr("cdmtrain.export.attention.MOST_WEIGHTS", 500)
    for name in ("transformer", "self_attention"):
        made = network([f"model={name}"])
        assert_equal(model_of([made]), made, tracks)
