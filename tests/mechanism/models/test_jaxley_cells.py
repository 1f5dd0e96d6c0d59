"""A Jaxley cell as a simulator."""

import sys
import types
from typing import Any

import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

from antidrome.errors import InputError
from antidrome.mechanism.models.jaxley_cells import jaxley_parameters, jaxley_simulator
from antidrome.mechanism.models.voltage_features import voltage_features
from antidrome.mechanism.simulate import run_simulations
from antidrome.mechanism.simulate.identity import simulator_identity


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_compartment_with_hodgkin_huxley_channels() -> None:
    jaxley = pytest.importorskip("jaxley")
    from jaxley.channels import HH

    cell = jaxley.Compartment()
    cell.insert(HH())
    cell.stimulate(jaxley.step_current(i_delay=5.0, i_dur=20.0, i_amp=0.005, delta_t=0.025, t_max=30.0))
    with pytest.raises(InputError, match="no trainable parameter"):
        jaxley_simulator(cell, stimulus_on_ms=5.0, stimulus_off_ms=25.0)
    for name in ("HH_gNa", "HH_gK"):
        cell.make_trainable(name)
    with pytest.raises(InputError, match="0 recordings"):
        jaxley_simulator(cell, stimulus_on_ms=5.0, stimulus_off_ms=25.0)
    cell.record("v")
    assert jaxley_parameters(cell) == ("HH_gNa", "HH_gK")
    simulator = jaxley_simulator(cell, stimulus_on_ms=5.0, stimulus_off_ms=25.0, batch=4)
    batch = simulator.run(np.array([[0.12, 0.036], [0.0, 0.036]]), seed=0)
    assert batch.valid.all()
    cell.set("HH_gNa", 0.12)
    cell.set("HH_gK", 0.036)
    trace = np.asarray(jaxley.integrate(cell, delta_t=0.025))[0]
    expected = voltage_features(trace, 0.025, 5.0, 25.0)
    np.testing.assert_allclose(batch.features[0], list(expected.values()), rtol=5e-3, atol=5e-3)
    assert batch.features[1, 0] == 0, "without sodium there is no spike"
    with pytest.raises(InputError, match="3 columns; the cell has 2 trainable"):
        simulator.run(np.zeros((1, 3)), seed=0)


def test_parameters_are_taken_by_the_names_that_the_cell_gives_them(monkeypatch) -> None:
    def integrate(cell, params, delta_t, t_max):
        return [jnp.full(1200, -70.0) + 10 * params[0]["g"] + params[1]["k"]]

    monkeypatch.setitem(sys.modules, "jaxley", types.SimpleNamespace(integrate=integrate))
    parameters = [{"g": np.ones(1)}, {"k": np.ones(1)}]
    cell = types.SimpleNamespace(get_parameters=lambda: parameters, recordings=[0])
    simulator = jaxley_simulator(cell, stimulus_on_ms=5.0, stimulus_off_ms=25.0, batch=1)
    rests = [
        run_simulations(simulator, np.array([theta]), seed=0, parameter_names=names, progress=False).features[0, 1]
        for theta, names in (([1.0, 2.0], ("g", "k")), ([2.0, 1.0], ("k", "g")), ([1.0, 2.0], ("mine", "other")))
    ]
    np.testing.assert_allclose(rests, -58.0, rtol=1e-5)


def test_other_settings_of_a_cell_are_another_simulator(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "jaxley", types.SimpleNamespace())

    def identity(
        current: float = 1.0,
        leak: float = 0.1,
        recorded: int = 0,
        stimulated: int = 0,
        trained: int = 0,
        **settings: float,
    ) -> str:
        nodes = pd.DataFrame({"HH": [True], "HH_gLeak": [leak], "name": ["soma"]})
        cell = types.SimpleNamespace(
            get_parameters=lambda: [{"g": np.ones(1)}],
            recordings=pd.DataFrame({"rec_index": [recorded], "state": ["v"]}),
            nodes=nodes,
            externals={"i": jnp.full((1, 5), current)},
            external_inds={"i": np.array([stimulated])},
            indices_set_by_trainables=[jnp.array([[trained]])],
        )
        given = {"stimulus_on_ms": 5.0, "stimulus_off_ms": 25.0} | settings
        return simulator_identity(jaxley_simulator(cell, **given))

    assert identity() == identity()
    changed = ({"current": 2.0}, {"leak": 0.2}, {"dt_ms": 0.05}, {"stimulus_on_ms": 6.0}, {"duration_ms": 30.0})
    places: tuple[dict[str, Any], ...] = ({"recorded": 2}, {"stimulated": 2}, {"trained": 2})
    assert len({identity(), *(identity(**one) for one in (*changed, *places))}) == 9
