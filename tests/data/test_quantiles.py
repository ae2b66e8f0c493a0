"""The quantiles of training events, and the sentence about events that are unlike them."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from cdmtrain.api import load_run
from cdmtrain.data.quantiles import difference, event_quantities, quantiles
from cdmtrain.runs.read import read_provenance


def test_quantities_are_those_of_the_dense_images(make_batch):
    batch = make_batch(8, empty=[0, 3])
    images = np.zeros((8, 256))
    images[batch.event.numpy(), batch.pixel.numpy()] = batch.energy.numpy()
    found = event_quantities(batch)
    np.testing.assert_allclose(found["sum_mev"], images.sum(1))
    assert found["lit_pixels"].tolist() == (images > 0).sum(1).tolist()
    assert found["brightest_mev"].tolist() == images.max(1).tolist()


def test_like_events_need_no_word_and_single_ones_neither(make_batch):
    known = quantiles(make_batch(200))
    assert difference(make_batch(200, seed=2), known) == ""
    assert not any(difference(make_batch(1, seed=seed), known) for seed in range(50))


@pytest.mark.parametrize(
    ("factor", "words"), [(100, "ADC counts"), (0.001, "ADC counts"), (1000, "task=convert scale")]
)
def test_another_unit_is_noticed(make_batch, factor, words):
    batch = make_batch(200)
    assert words in difference(replace(batch, energy=batch.energy * factor), quantiles(batch))


def test_noise_in_every_pixel_and_one_bright_pixel_are_noticed(make_batch):
    batch = make_batch(50)
    known = quantiles(batch)
    assert "is there noise in them?" in difference(batch, known | {"sum_mev": [], "lit_pixels": [0.1, 0.2, 0.3]})
    assert difference(batch, {"brightest_mev": [900, 1000, 1100]}).startswith("the brightest pixel of the median event")


def test_what_an_old_run_does_not_know_is_not_compared(make_batch):
    assert difference(make_batch(5), {}) == ""
    assert difference(make_batch(5), {"sum_mev": [1.0]}) == ""


def test_a_run_records_what_its_training_events_are_like(trained: SimpleNamespace):
    data = read_provenance(trained.path).data
    sums = trained.images[:84].sum((1, 2))
    assert data is not None
    assert data.quantiles["sum_mev"] == pytest.approx(np.quantile(sums, [0.01, 0.5, 0.99]), rel=1e-5)


def test_images_in_adc_counts_are_predicted_with_one_warning(trained: SimpleNamespace, caplog):
    run = load_run(trained.path)
    run.predict(trained.images[:20])
    assert not caplog.messages
    run.predict(100 * trained.images[:20])
    run.predict(100 * trained.images[:20])
    (message,) = caplog.messages
    assert "are these ADC counts" in message
    assert "task=convert scale=" in message
