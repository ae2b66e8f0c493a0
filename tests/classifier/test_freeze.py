"""Frozen modules keep every tensor, and loaded weights keep their ratio to the rate of new ones."""

import functools

import pytest
import torch
from hydra.utils import instantiate
from torch import nn

from cdmtrain.callbacks.weight_averaging import WeightAveraging
from cdmtrain.classifier import Classifier
from cdmtrain.devices.trainer import Compile
from cdmtrain.errors import InputError
from cdmtrain.learner import named_module
from tests.classifier.parts import OPTIMIZERS, Batches, Rates, classifier, composed, trainer
from tests.test_models import IMAGE_SIZE, MODELS, batch_of, network

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning"),  # lightning, of torch's trees
    pytest.mark.filterwarnings("ignore:You defined a `validation_step` but have no:UserWarning"),  # we test without
    pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning"),  # the compiler's own
    pytest.mark.filterwarnings("ignore:Found .* eval mode"),  # that is what freezing is
]


class TwoLayers(nn.Module):
    """A layer with batch norm and dropout, and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Linear(64, 8), nn.BatchNorm1d(8), nn.Dropout(0.5))
        self.head = nn.Linear(8, 4)

    def forward(self, image):
        return self.head(self.stem(image.energy.flatten(1)))


def tensors(net: Classifier) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in net.model.state_dict().items()}


CALLBACKS = {"alone": [], "mean": [functools.partial(WeightAveraging, decay=0.5)], "compiled": [Compile]}


@pytest.mark.parametrize("callbacks", CALLBACKS.values(), ids=CALLBACKS)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_frozen_module_keeps_every_tensor_with_every_optimizer(four, optimizer, callbacks):
    make = instantiate(composed(f"optimizer={optimizer}", "optimizer.weight_decay=0.1", "optimizer.lr=0.1").optimizer)
    net = classifier(model=TwoLayers(), freeze=["stem"], optimizer=make)
    before = tensors(net)
    trainer(*(make() for make in callbacks), max_epochs=2, gradient_clip_val=1.0).fit(net, four, four)
    after = tensors(net)
    assert {name for name in before if not torch.equal(before[name], after[name])} == {"head.weight", "head.bias"}


def test_a_frozen_module_drops_nothing_and_a_trained_one_does(one):
    net, image = classifier(model=TwoLayers(), freeze=["stem"]), next(iter(one))
    net.eval().train()
    assert torch.equal(net(image), net(image))
    assert not net.model.stem.training
    assert net.model.head.training
    trained = classifier(model=TwoLayers())
    assert not torch.equal(trained(image), trained(image))


@pytest.mark.parametrize("name", sorted({*MODELS} - {"perceptron"}))  # which is one layer
def test_every_model_trains_with_its_first_layer_frozen(name):
    made = network(name)
    first = next(
        key for key, one in made[1].named_modules() if key and any(True for _ in one.parameters(recurse=False))
    )
    step = functools.partial(torch.optim.SGD, lr=1.0)
    net = classifier(model=made[1], representation=made[0], freeze=[first], optimizer=step)
    batch = batch_of([5, 6, 7], [70, 134], [9, 8, 300, 301], image_size=IMAGE_SIZE[name])
    before = tensors(net)
    trainer(max_epochs=2).fit(net, Batches(batch))
    changed = {key for key, value in tensors(net).items() if not torch.equal(value, before[key])}
    assert changed
    assert not [key for key in changed if key.startswith(f"{first}.")]


@pytest.mark.parametrize("scheduler", ["none", "cosine", "onecycle", "step", "plateau"])
def test_loaded_weights_keep_their_ratio_to_the_rate_in_every_schedule(four, scheduler):
    cfg, noted = composed(f"scheduler={scheduler}", "optimizer.lr=0.02"), [Rates(), Rates(group=1)]
    parts = {"optimizer": instantiate(cfg.optimizer), "scheduler": instantiate(cfg.scheduler)}
    net = classifier(model=TwoLayers(), loaded_lr=0.1, **parts)
    net.loaded = {"model.stem.0.weight", "model.stem.0.bias", "model.stem.1.weight", "model.stem.1.bias"}
    trainer(*noted, max_epochs=3).fit(net, four, four)
    new, loaded = (torch.tensor(one.steps, dtype=torch.float64) for one in noted)
    torch.testing.assert_close(loaded, 0.1 * new, rtol=1e-12, atol=0)
    assert len(new) == 12


def test_the_rates_of_a_run_without_loaded_weights_are_those_of_one_group(four):
    net = classifier(model=TwoLayers())
    run = trainer()
    run.fit(net, four, four)
    assert len(run.optimizers[0].param_groups) == 1


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("stm", "the network has no module stm with weights; did you mean stem"),
        ("encoder", "no module encoder with weights; it has stem, head"),
        ("stem.2", "no module stem.2 with weights"),
    ],
)
def test_an_unknown_module_is_answered_with_the_nearest(name, sentence):
    with pytest.raises(InputError, match=sentence):
        named_module(TwoLayers(), name)


def test_freezing_all_weights_is_refused(four):
    net = classifier(model=TwoLayers(), freeze=["stem", "head"])
    with pytest.raises(InputError, match="freeze leaves no weights"):
        trainer().fit(net, four, four)
