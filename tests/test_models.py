"""What every architecture must do, tested on all of them."""

import functools
import io

import pytest
import torch
from hydra import compose, initialize_config_module
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig
from torch import nn

from cdmtrain.batch import EventBatch
from cdmtrain.config.sources import groups
from cdmtrain.layers.pixel_linear import PixelLinear
from cdmtrain.probe.features import embed

MODELS = [option.name for option in groups()["model"] if option.name != "module"]  # which wraps any network
# AlexNet needs 67; the GCN, which knows no position, cannot tell smaller events apart; 33 is a multiple of no stride
IMAGE_SIZE = {name: {"alexnet": 67, "gnn": 64}.get(name, 33) for name in MODELS}
NARROWER = {  # smaller networks of the same structure, so that a test takes seconds
    "alexnet": ["model.hidden=64", "model.dropout=0.0"],
    "resnet": ["model.width=4"],
    "densenet": ["model.width=8"],
    "message_passing": ["model.width=32", "model.depth=2"],
    "graph_network": ["model.width=32"],
    "edgeconv": ["model.width=32", "model.depth=2"],
    "transformer": ["model.width=16", "model.depth=2"],
    "vit": ["model.width=16", "model.depth=2"],
}

every_model = pytest.mark.parametrize("name", MODELS)


@functools.cache
def composed(name: str, image_size: int) -> DictConfig:
    data = ["data=hdf5", "data.files=[x]", f"data.image_size={image_size}"]
    with initialize_config_module("cdmtrain.conf", version_base="1.3"):
        return compose("config", overrides=[f"model={name}", *NARROWER.get(name, []), *data])


def network(name: str, *, image_size: int | None = None, seed: int = 1) -> nn.Sequential:
    """Return representation and model as one network from EventBatch to logits, its weights drawn from the seed."""
    cfg = composed(name, image_size or IMAGE_SIZE[name])
    torch.manual_seed(seed)
    return nn.Sequential(instantiate(cfg.representation), instantiate(cfg.model))


def batch_of(*events: list[int], image_size: int) -> EventBatch:
    """Return events with these lit pixels and energies of some MeV."""
    pixel = torch.tensor([pixel for event in events for pixel in event], dtype=torch.int64)
    return EventBatch(
        pixel=pixel,
        energy=0.5 + (pixel % 7) / 4,
        offset=torch.tensor([0, *(len(event) for event in events)]).cumsum(0),
        class_index=torch.arange(len(events)) % 4,
        dataset_index=torch.arange(len(events)),
        image_size=image_size,
    )


def event_of(batch: EventBatch, number: int) -> EventBatch:
    """Return one event as a batch of its own."""
    hits = slice(*batch.offset[number : number + 2].tolist())
    return EventBatch(
        pixel=batch.pixel[hits],
        energy=batch.energy[hits],
        offset=batch.offset[number : number + 2] - batch.offset[number],
        class_index=batch.class_index[number : number + 1],
        dataset_index=batch.dataset_index[number : number + 1],
        image_size=batch.image_size,
    )


EXTREMES = {  # events as lists of lit pixels; `full` lists all pixels of an image
    "an empty event among others": lambda full: [[5, 6], [], [70, 134]],
    "an empty event first and last": lambda full: [[], [5, 6], []],
    "only empty events": lambda full: [[], [], []],
    "one empty event": lambda full: [[]],
    "one pixel, first and last": lambda full: [full[:1], full[-1:]],
    "full images": lambda full: [full, full],
    "full and empty": lambda full: [[], full, [9]],
}


def refusal(name: str, image_size: int) -> BaseException | None:
    """Return why the model refuses images of this size; None if it accepts them."""
    try:
        network(name, image_size=image_size)
    except InstantiationException as error:
        return error.__cause__
    return None


def loss_of(net: nn.Module, batch: EventBatch) -> torch.Tensor:
    return nn.functional.cross_entropy(net(batch), batch.class_index)


@every_model
@pytest.mark.parametrize("num_events", [1, 2, 64, pytest.param(1024, marks=pytest.mark.slow)])
def test_any_number_of_events_trains_and_gives_four_logits_each(make_batch, name, num_events):
    net, batch = network(name), make_batch(num_events, image_size=IMAGE_SIZE[name])
    loss_of(net.train(), batch).backward()
    logits = net.eval()(batch)
    assert logits.shape == (num_events, 4)
    assert logits.dtype == torch.float32
    assert logits.isfinite().all()


@every_model
@pytest.mark.parametrize("extreme", EXTREMES)
def test_logits_and_gradients_are_finite_on(name, extreme):
    size = IMAGE_SIZE[name]
    net, batch = network(name), batch_of(*EXTREMES[extreme](list(range(size**2))), image_size=size)
    loss_of(net, batch).backward()
    assert net.eval()(batch).isfinite().all()
    assert all(weight.grad is None or weight.grad.isfinite().all() for weight in net.parameters())


@every_model
def test_gradient_reaches_every_parameter(make_batch, name):
    net = network(name)
    loss_of(net, make_batch(16, image_size=IMAGE_SIZE[name])).backward()
    unreached = [key for key, weight in net.named_parameters() if weight.grad is None or not weight.grad.any()]
    assert not unreached


@every_model
def test_the_last_layer_computes_the_logits_from_the_features_that_embed_returns(make_batch, name):
    net, batch = network(name).eval(), make_batch(5, image_size=IMAGE_SIZE[name], empty=[2])
    features = embed(net[0], net[1], batch)
    last = [one for one in net[1].modules() if isinstance(one, nn.Linear | PixelLinear)][-1]
    logits = features @ last.weight + last.bias if isinstance(last, PixelLinear) else last(features)
    assert features.shape[0] == 5
    torch.testing.assert_close(logits, net(batch), atol=1e-5, rtol=1e-5)


@every_model
def test_overfits_sixteen_distinct_events(make_batch, name):
    net = network(name)
    batch = make_batch(16, image_size=IMAGE_SIZE[name], seed=3)
    optimizer = torch.optim.Adam(net.parameters(), lr=5e-4 if name == "alexnet" else 3e-3)
    for _ in range(300):
        loss = loss_of(net, batch)
        if loss < 0.1:
            return
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    pytest.fail(f"after 300 steps the loss of 16 events is {loss.item():.3f}")


@every_model
def test_logits_of_a_batch_are_those_of_its_events_one_by_one(make_batch, name):
    net, batch = network(name).eval(), make_batch(12, image_size=IMAGE_SIZE[name], empty=[0, 5])
    alone = torch.cat([net(event_of(batch, number)) for number in range(12)])
    torch.testing.assert_close(net(batch), alone, rtol=1e-4, atol=1e-5)  # float32 sums in another order


@every_model
def test_bfloat16_logits_are_near_those_of_float32(make_batch, name):
    net, batch = network(name).eval(), make_batch(12, image_size=IMAGE_SIZE[name], empty=[3])
    exact = net(batch)
    with torch.autocast("cpu", torch.bfloat16):
        rough = net(batch).float()
    assert rough.isfinite().all()
    # bfloat16 keeps 8 bits, 0.4 %, and a few roundings add up; a logit near zero is a difference of larger numbers
    torch.testing.assert_close(rough, exact, rtol=0, atol=0.03 * exact.abs().max().item())


@every_model
def test_bfloat16_training_has_finite_gradients(make_batch, name):
    net, batch = network(name), make_batch(12, image_size=IMAGE_SIZE[name], empty=[3])
    with torch.autocast("cpu", torch.bfloat16):
        loss = loss_of(net, batch)
    loss.backward()
    assert all(weight.grad.isfinite().all() for weight in net.parameters())


@every_model
def test_the_seed_fixes_the_initial_weights(name):
    first, same, other = (network(name, seed=seed).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(first[key], same[key]) for key in first)
    assert not all(torch.equal(first[key], other[key]) for key in first)


@every_model
def test_weights_survive_a_file_of_plain_tensors(make_batch, name):
    net, other, file = network(name).eval(), network(name, seed=2).eval(), io.BytesIO()
    torch.save(net.state_dict(), file)
    file.seek(0)
    other.load_state_dict(torch.load(file, weights_only=True))
    batch = make_batch(4, image_size=IMAGE_SIZE[name])
    assert torch.equal(other(batch), net(batch))


@every_model
@pytest.mark.parametrize("image_size", [2, 7, 33, 100])
def test_another_image_size_works_or_is_refused_by_its_number(make_batch, name, image_size):
    cause = refusal(name, image_size)
    if cause is None:
        assert network(name, image_size=image_size).eval()(make_batch(3, image_size=image_size)).shape == (3, 4)
    else:
        assert isinstance(cause, ValueError)
        assert str(image_size) in str(cause)


@every_model
def test_evaluation_changes_no_weight_and_is_repeatable(make_batch, name):
    net, batch = network(name).eval(), make_batch(4, image_size=IMAGE_SIZE[name])
    before = {key: value.clone() for key, value in net.state_dict().items()}
    assert torch.equal(net(batch), net(batch))
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())
