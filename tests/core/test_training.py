"""The training loop: it learns, stops early, resumes bit for bit, and refuses foreign checkpoints."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from antidrome.core.model_files import load_model
from antidrome.core.training import TrainingConfig, train
from antidrome.errors import InputError, ResumeError, TrainingError

WEIGHT = np.array([1.5, -2.0, 0.5], np.float32)


class Pairs(NamedTuple):
    x: np.ndarray
    y: np.ndarray


@pytest.fixture
def pairs(rng):
    x = rng.standard_normal((500, 3)).astype(np.float32)
    return Pairs(x, (x @ WEIGHT).astype(np.float32))


def squared(parameters, batch, key):
    return jnp.mean((batch.x @ parameters["weight"] - batch.y) ** 2)


def start():
    return {"weight": jnp.zeros(3)}


def run(pairs, steps=300, loss=squared, **options):
    config = TrainingConfig(steps=steps, batch=32, learning_rate=0.05, evaluate_every=50, averaging=0.9, patience=0)
    return train(loss, start(), pairs, config, held_out=pairs, seed=4, progress=False, **options)


def test_it_learns(pairs):
    result = run(pairs)
    np.testing.assert_allclose(result.parameters["weight"], WEIGHT, atol=0.02)
    assert result.history.step == [50, 100, 150, 200, 250, 300]
    assert result.held_out_loss == pytest.approx(min(result.history.held_out_loss), rel=1e-5)


def test_a_killed_run_goes_on_bit_for_bit(pairs, tmp_path):
    class Killed(Exception):
        pass

    calls = 0

    def dies_late(parameters, batch, key):
        jax.debug.callback(count)
        return squared(parameters, batch, key)

    def count():
        nonlocal calls
        calls += 1
        if calls == 190:
            raise Killed

    path = tmp_path / "run.safetensors"
    with pytest.raises(Exception, match=r"Killed|INTERNAL|callback"):
        run(pairs, loss=dies_late, checkpoint=path)
    resumed = run(pairs, checkpoint=path)
    whole = run(pairs)
    np.testing.assert_array_equal(resumed.parameters["weight"], whole.parameters["weight"])
    assert resumed.history == whole.history


def test_a_foreign_checkpoint_is_refused(pairs, tmp_path):
    path = tmp_path / "run.safetensors"
    run(pairs, checkpoint=path)
    with pytest.raises(ResumeError, match="data differ"):
        run(Pairs(pairs.x + 1, pairs.y), checkpoint=path)
    with pytest.raises(ResumeError, match="config"):
        run(pairs, steps=200, checkpoint=path)
    with pytest.raises(ResumeError, match="weights"):
        run(pairs, weights=np.arange(500.0), checkpoint=path)
    with pytest.raises(ResumeError, match="settings"):
        run(pairs, settings={"consistency": 1.0}, checkpoint=path)


@pytest.mark.parametrize(
    ("what", "start_at", "shift"), [("start", 1.0, 0.0), ("held-out data", 0.0, 1.0)], ids=["start", "held-out data"]
)
def test_a_checkpoint_of_another_start_or_judged_otherwise_is_refused(pairs, tmp_path, what, start_at, shift):
    config = TrainingConfig(steps=20, batch=32, evaluate_every=10)
    options = {"seed": 0, "progress": False, "checkpoint": tmp_path / "run.safetensors"}
    train(squared, start(), pairs, config, held_out=pairs, **options)
    other, judge = {"weight": jnp.full(3, start_at)}, Pairs(pairs.x + np.float32(shift), pairs.y)
    with pytest.raises(ResumeError, match=what):
        train(squared, other, pairs, config, held_out=judge, **options)


def test_computed_data_are_known_by_what_they_are_made_from(pairs, tmp_path):
    path, told = tmp_path / "run.safetensors", {"recording": "abc"}
    first = run(pairs, checkpoint=path, told=told)
    elsewhere = Pairs(np.nextafter(pairs.x, np.float32(9)), pairs.y)
    assert run(elsewhere, checkpoint=path, told=told).history == first.history
    with pytest.raises(ResumeError, match="recording differ"):
        run(pairs, checkpoint=path, told={"recording": "abd"})


def test_it_stops_when_nothing_improves(pairs):
    config = TrainingConfig(steps=1000, batch=32, learning_rate=0.0, evaluate_every=10, patience=3)
    result = train(squared, start(), pairs, config, held_out=pairs, seed=0, progress=False)
    assert result.history.step[-1] == 40


def test_a_loss_that_explodes_is_an_error_and_the_best_stays(pairs, tmp_path):
    def explodes(parameters, batch, key):
        grown = jnp.sum(jnp.abs(parameters["weight"])) > 3.9
        return jnp.where(grown, jnp.nan, squared(parameters, batch, key))

    path = tmp_path / "run.safetensors"
    with pytest.raises(TrainingError, match="became nan"):
        run(pairs, loss=explodes, checkpoint=path)
    arrays, header = load_model(path, expected_class="TrainingCheckpoint")
    assert header.extra["history"]["step"][0] == 50
    assert all(np.isfinite(array).all() for array in arrays.values())


def test_a_held_out_loss_that_is_not_finite_is_an_error(pairs):
    config = TrainingConfig(steps=20, batch=32, evaluate_every=10)
    broken = Pairs(pairs.x, np.full_like(pairs.y, np.inf))
    with pytest.raises(TrainingError, match="held-out loss became"):
        train(squared, start(), pairs, config, held_out=broken, seed=0, progress=False)


def test_weights_choose_the_samples(pairs):
    weights = np.zeros(500)
    weights[:250] = 1
    poisoned = Pairs(pairs.x, np.where(np.arange(500) < 250, pairs.y, 1e6).astype(np.float32))
    config = TrainingConfig(steps=300, batch=32, learning_rate=0.05, evaluate_every=50, averaging=0.9)
    result = train(squared, start(), poisoned, config, held_out=pairs, seed=4, weights=weights, progress=False)
    np.testing.assert_allclose(result.parameters["weight"], WEIGHT, atol=0.02)


@pytest.mark.parametrize("name", ["steps", "batch", "evaluate_every"])
def test_training_of_no_steps_is_refused(name: str) -> None:
    with pytest.raises(InputError, match=name):
        TrainingConfig(**{"steps": 5} | {name: 0})
