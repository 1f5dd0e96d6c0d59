"""Named sub-seeds: the same for ever, different for every name."""

import numpy as np
import pytest

from antidrome.core.seeds import fold_in, generator, jax_key, jax_keys
from antidrome.errors import InputError


def test_sub_seeds_never_change() -> None:
    """Frozen numbers: a change here changes every result of every seed."""
    assert fold_in(0, "spikes/encoder-init") == 1_408_031_656_984_687_685
    assert generator(0, "spikes/simulate").integers(2**32) == 162_774_863


def test_names_and_seeds_give_different_streams() -> None:
    seeds = {fold_in(seed, name) for seed in range(50) for name in ("a", "b", "a/b", "ab", "")}
    assert len(seeds) == 250
    assert fold_in(11, "1/x") != fold_in(1, "11/x")


def test_numpy_integers_count_as_integers() -> None:
    assert fold_in(np.int64(3), "a") == fold_in(3, "a")


@pytest.mark.parametrize("seed", [-1, 1.0, "1", None, True])
@pytest.mark.usefixtures("unchecked_types")
def test_what_is_no_seed_is_refused(seed: object) -> None:
    with pytest.raises(InputError, match="non-negative integer"):
        fold_in(seed, "a")


def test_seeds_fit_into_the_files_that_keep_them() -> None:
    assert fold_in(2**63 - 1, "a") >= 0
    with pytest.raises(InputError, match="at most 9223372036854775807"):
        fold_in(2**63, "a")


def test_jax_keys_use_all_bits() -> None:
    import jax

    words = [tuple(jax.random.key_data(jax_key(seed, "spikes/init")).tolist()) for seed in range(20)]
    assert len({first for first, _ in words}) == len({second for _, second in words}) == 20
    assert jax.random.normal(jax_key(0, "x"), (2,)).tolist() == jax.random.normal(jax_key(0, "x"), (2,)).tolist()


def test_keys_of_many_steps_are_those_of_each() -> None:
    import jax

    words = jax.random.key_data(jax_keys(3, ["a", "b/c", "µ"])).tolist()
    assert words == [jax.random.key_data(jax_key(3, name)).tolist() for name in ("a", "b/c", "µ")]
