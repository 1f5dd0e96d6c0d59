"""What compiled functions of numba draw has the seed of its simulation."""

import sys

import numpy as np
import pytest

from antidrome.mechanism.simulate import PythonSimulator

THETA = np.zeros((3, 1))


def drawn(theta: np.ndarray) -> list[float]:
    return [_compiled()(theta[0]), np.random.normal()]  # noqa: NPY002


def _compiled():
    """Imports numba within the first simulation, as a user's function may."""
    import numba

    if not hasattr(sys.modules["numba"], "_drawing_of_a_test"):

        @numba.njit
        def drawing(a: float) -> float:
            return a + np.random.normal()  # noqa: NPY002

        numba._drawing_of_a_test = drawing
    return numba._drawing_of_a_test


@pytest.mark.slow
def test_draws_of_compiled_functions_are_repeated() -> None:
    pytest.importorskip("numba")
    found = []
    for n_processes in (0, 0, 1):
        with PythonSimulator(drawn, n_processes=n_processes, batched=False) as simulator:
            found.append(simulator.run(THETA, seed=1).features)
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])
    assert len(np.unique(found[0])) == 6 or len(np.unique(found[0][:, 0])) == 3
