"""What one particle does in argon: energy kept, straggling, stopping, and the limits of the laws."""

import numpy as np
import pytest

from cdmtrain.particles import NAMES, PDG_CODES
from cdmtrain.simulation import Simulator, cascade, diffraction, nuclear, secondaries, tables, tracks
from cdmtrain.simulation.argon import ATOMS_PER_CM3, MUON, PHOTON, PROTON, PROTON_MASS_MEV
from cdmtrain.simulation.shower import DEPOSITS, KIND, KINETIC, WAITING, W, new_shower
from cdmtrain.simulation.transport import transport


def only(name: str, **settings: object) -> Simulator:
    """A simulator of one particle."""
    return Simulator(class_mix={other: float(other == name) for other in NAMES}, **settings)


@pytest.mark.parametrize("name", NAMES)
def test_deposited_escaped_and_lost_energy_add_up_to_the_initial_energy(name: str) -> None:
    _, budget = only(name).block(first=0, events=500, seed=1)
    assert (budget[:, :4] >= -1e-9).all()
    assert (budget[:, 4] >= -cascade.BINDING_MEV).all()  # a nucleus that keeps a proton gives off what binds it
    np.testing.assert_allclose(budget[:, :5].sum(axis=1), budget[:, 5], atol=1e-9)


def test_recombination_is_part_of_the_energy_budget() -> None:
    _, budget = only("proton", recombination_field_kv_per_cm=0.5).block(first=0, events=200, seed=1)
    np.testing.assert_allclose(budget[:, :5].sum(axis=1), budget[:, 5], atol=1e-9)
    assert 0.3 < budget[:, 3].sum() / budget[:, :4].sum() < 0.6  # a proton keeps about half of its charge


def losses_mev(kinetic_mev: float, events: int) -> np.ndarray:
    """Energy a muon loses in 3 mm, its delta rays included."""
    rng, shower = np.random.default_rng(5), new_shower(tables.COLUMNS)
    everything, losses = tables.charged_and_photon_tables(True), np.zeros(events)
    for event in range(events):
        muon = np.array([MUON, kinetic_mev, 0, 0, 0, 0, 0, 1.0])
        shower.counts[:] = 0
        for _ in range(3):
            tracks.step(shower, muon, MUON, everything, 0.1, rng)
            for _ in range(rng.poisson(0.1 * shower.now[tables.DELTA_RAY_RATE])):
                secondaries.knock_on(shower, muon, MUON, rng)
        losses[event] = kinetic_mev - muon[KINETIC]
    return losses


@pytest.mark.parametrize(("kinetic_mev", "published_mev"), [(50, 0.756), (100, 0.568), (200, 0.493)])
def test_most_probable_muon_loss_in_a_pixel_is_landau_s(kinetic_mev: float, published_mev: float) -> None:
    losses = losses_mev(kinetic_mev, 10000)
    bins = np.arange(0.6, 1.4, 0.02) * published_mev
    counts, edges = np.histogram(losses, bins)
    middle = 0.5 * (edges[1:] + edges[:-1])
    near = counts > 0.6 * counts.max()
    a, b, _ = np.polyfit(middle[near], counts[near], 2)
    assert -b / (2 * a) == pytest.approx(published_mev, rel=0.03)


def test_protons_without_reactions_leave_all_their_energy() -> None:
    _, budget = only("proton", proton_reactions=False).block(first=0, events=300, seed=2)
    np.testing.assert_allclose(budget[:, 4], 0, atol=1e-9)


def test_protons_react_about_as_often_as_in_geant4() -> None:
    _, budget = only("proton").block(first=0, events=4000, seed=2)
    share = np.mean(budget[:, 4] > 0.03 * budget[:, 5])
    assert share == pytest.approx(0.26, abs=0.04)


@pytest.mark.parametrize(("kinetic_mev", "millibarn"), [(90, 588), (150, 542), (250, 536)])
def test_protons_hit_nucleons_inside_argon_as_often_as_the_reaction_rate_says(
    kinetic_mev: float, millibarn: float
) -> None:
    """The cascade knows nothing of the measured rate. With free cross sections it gives 0.92 to 1 of it."""
    rng, inside, free = np.random.default_rng(1), np.zeros((64, 8)), np.zeros((64, 8))
    tries, reactions = 4000, 0
    for _ in range(tries):
        cascade.enter_nucleus(inside[0], kinetic_mev, 0.0, 0.0, 1.0, rng)
        reactions += cascade.cascade(inside, 1, free, rng)[1] > 0
    area = 10 * np.pi * cascade.OUTSIDE_FM**2 * reactions / tries
    assert 0.7 < area / millibarn < 0.95  # in nuclear matter cross sections are 0.7 of the free ones
    rate = nuclear.reaction_rate(np.array([kinetic_mev]))[0]
    assert rate / ATOMS_PER_CM3 * 1e27 == pytest.approx(millibarn, rel=0.06)  # Geant4 11.4 as well


def test_protons_scatter_elastically_on_the_rings_of_a_black_disk() -> None:
    rng, shower = np.random.default_rng(4), new_shower(tables.COLUMNS)
    momentum2, q = 150 * (150 + 2 * PROTON_MASS_MEV), np.zeros(4000)
    for n in range(len(q)):
        proton = np.array([PROTON, 150.0, 0, 0, 0, 0, 0, 1.0])
        shower.counts[:] = 0
        diffraction.scatter_on_nucleus(shower, proton, rng)
        q[n] = np.sqrt(2 * momentum2 * (1 - proton[W]))
        assert proton[KINETIC] + shower.deposits[0, 3] == pytest.approx(150)
    ring = 197.327 * np.array([3.832, 7.016]) / diffraction.RADIUS_FM  # MeV/c, dark rings where J1 is 0
    assert np.median(q) == pytest.approx(69, rel=0.05)
    near = [np.mean(np.abs(q - at) < 15) for at in (ring[0], 1.3 * ring[0])]
    assert near[0] < near[1]  # a dark ring, and a bright one outside
    assert np.mean(q > ring[0]) == pytest.approx(0.05, abs=0.015)  # Geant4 11.4: 0.05
    assert np.mean(q > ring[1]) < 0.01


@pytest.mark.parametrize(("kinetic_mev", "millibarn"), [(40, 1563), (100, 750), (200, 258)])
def test_elastic_scatters_are_as_frequent_as_evaluated(kinetic_mev: float, millibarn: float) -> None:
    rate = diffraction.elastic_rate(np.array([kinetic_mev]))[0]
    assert rate / ATOMS_PER_CM3 * 1e27 == pytest.approx(millibarn)


def after_stop(count: int) -> tuple[list[np.ndarray], np.ndarray, np.ndarray]:
    """Photon energies of each captured muon, energies of protons, and mean energy of the electrons of decays."""
    rng, shower, parent = np.random.default_rng(2), new_shower(tables.COLUMNS), np.array([0.0] * 7 + [1.0])
    photons, protons, michel = [], [], 0
    for _ in range(count):
        shower.counts[:] = 0
        nuclear.capture(shower, parent, rng)
        made = shower.waiting[: shower.counts[WAITING]]
        photons.append(made[made[:, KIND] == PHOTON, KINETIC])
        protons.extend(made[made[:, KIND] == PROTON, KINETIC])
    for _ in range(count):
        michel += nuclear.decay_electron_mev(rng)
    return photons, np.array(protons), np.array(michel / count)


def test_a_captured_muon_gives_photons_and_protons_as_in_geant4() -> None:
    """Geant4 11.4, Bertini cascade, 6 000 captures: 3.37 MeV in 2.21 photons; 0.158 protons of 9.1 MeV."""
    photons, protons, michel = after_stop(4000)
    sums = np.array([event.sum() for event in photons])
    assert sums.mean() == pytest.approx(3.37, rel=0.08)
    assert np.percentile(sums, [10, 50, 90]) == pytest.approx([0.53, 3.05, 6.54], rel=0.15, abs=0.25)
    assert np.mean([len(event) for event in photons]) == pytest.approx(2.21, rel=0.15)
    assert np.mean(sums > 0) > 0.95
    assert len(protons) / 4000 == pytest.approx(0.158, abs=0.03)
    assert protons.mean() == pytest.approx(9.1, rel=0.2)
    assert michel == pytest.approx(35.0, rel=0.04)


def test_a_muon_at_rest_gives_off_all_of_its_binding_on_the_way_to_the_lowest_orbit() -> None:
    rng, shower, parent = np.random.default_rng(2), new_shower(tables.COLUMNS), np.array([0.0] * 7 + [1.0])
    numbers, k_lines = [], 0
    for _ in range(500):
        shower.counts[:] = 0
        nuclear.descend(shower, parent, rng)
        made = shower.waiting[: shower.counts[WAITING], KINETIC]
        assert made.sum() + shower.deposits[0, 3] == pytest.approx(nuclear.MUON_BINDING_MEV)
        numbers.append(len(made))
        k_lines += (np.abs(made - 0.626) < 0.002).any()  # 2p to 1s of muonic argon
    assert np.mean(numbers) == pytest.approx(5.4, abs=0.4)  # Geant4 11.4: 5.4
    assert k_lines / 500 == pytest.approx(0.73, abs=0.06)  # Geant4 11.4: 0.73


def test_a_proton_ends_where_its_range_ends() -> None:
    rng, shower = np.random.default_rng(3), new_shower(tables.COLUMNS)
    everything, ends = tables.charged_and_photon_tables(False), []
    for _ in range(200):
        transport(shower, PROTON, 150.0, np.array([0.0, 0.0, 1.0]), everything, rng)
        ends.append(shower.deposits[: shower.counts[DEPOSITS], 2].max())
    assert np.median(ends) == pytest.approx(15.9, rel=0.02)


def test_class_order_and_energy_ranges_are_the_settings() -> None:
    events, _ = Simulator().block(first=0, events=1000, seed=4)
    for code, (low, high) in zip(PDG_CODES, Simulator().kinetic_energy_mev.values(), strict=True):
        chosen = events.kinetic_energy_mev[events.pdg == code]
        assert len(chosen) == 250
        assert low <= chosen.min() < chosen.max() <= high


def test_a_proton_below_the_coulomb_barrier_does_not_react() -> None:
    rng, shower = np.random.default_rng(3), new_shower(tables.COLUMNS)
    shower.now[tables.NUCLEAR_RATE] = 1.0  # and no elastic scatter
    barrier = cascade.BOUND_MEV[cascade.PROTON_INSIDE]
    for kinetic_mev in (2.1, 2.9, barrier):
        proton = np.array([PROTON, kinetic_mev, 0, 0, 0, 0, 0, 1.0])
        assert not tracks.meet_nucleus(shower, proton, rng)
        assert proton[KINETIC] == kinetic_mev
    assert tracks.meet_nucleus(shower, np.array([PROTON, barrier + 1e-6, 0, 0, 0, 0, 0, 1.0]), rng)
