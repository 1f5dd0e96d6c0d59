"""One seed in, named sub-seeds out.

Every random step of a method draws from its own stream, named after what it does::

    generator(seed, "spikes/simulate")         # numpy
    jax_key(seed, "spikes/encoder-init")       # JAX

so that adding a step, or changing the order of two, leaves the numbers of all others as they were. Sub-seeds are
BLAKE2b digests of ``"seed/name"``: the same on every machine and in every version.
"""

import hashlib
import numbers
import typing
from collections.abc import Sequence

from antidrome.errors import InputError

if typing.TYPE_CHECKING:
    import jax
    import numpy


def fold_in(seed: typing.SupportsIndex, name: str) -> int:
    """Return the sub-seed of ``seed`` for the random step ``name``: an integer in [0, 2⁶³).

    Parameters
    ----------
    seed
        A non-negative integer (numpy integers too).
    name
        The step, as ``"method/step"``. Calls may be nested: ``fold_in(fold_in(seed, "session-3"), "dropout")``.

    Raises
    ------
    InputError
        If the seed is not a non-negative integer.

    Examples
    --------
    >>> fold_in(0, "spikes/simulate") == fold_in(0, "spikes/simulate")
    True
    >>> fold_in(0, "spikes/simulate") == fold_in(1, "spikes/simulate")
    False
    """
    return int.from_bytes(_digest(seed, name), "big") >> 1


def generator(seed: typing.SupportsIndex, name: str) -> "numpy.random.Generator":
    """Return a numpy random generator for the step ``name``; see :func:`fold_in`."""
    import numpy as np

    return np.random.default_rng(fold_in(seed, name))


def jax_key(seed: typing.SupportsIndex, name: str) -> "jax.Array":
    """Return a JAX random key for the step ``name``, with all 64 bits of the sub-seed in it; see :func:`fold_in`."""
    return _keys(_digest(seed, name), (2,))


def jax_keys(seed: typing.SupportsIndex, names: Sequence[str]) -> "jax.Array":
    """Return the keys of many steps, (name,), each as of :func:`jax_key`."""
    return _keys(b"".join(_digest(seed, name) for name in names), (-1, 2))


MAX_SEED = 2**63 - 1
"""Seeds are written into files, which keep integers of 64 bits."""


def check_seed(seed: typing.SupportsIndex) -> int:
    """Return the seed as a plain integer, or say what is wrong with it."""
    if isinstance(seed, bool) or not isinstance(seed, numbers.Integral) or seed < 0:
        raise InputError(f"The seed is {seed!r}; it needs to be a non-negative integer, for example seed=0.")
    if int(seed) > MAX_SEED:
        raise InputError(f"The seed is {seed}; it must be at most {MAX_SEED} (63 bits), for example seed=0.")
    return int(seed)


def _digest(seed: typing.SupportsIndex, name: str) -> bytes:
    return hashlib.blake2b(f"{check_seed(seed)}/{name}".encode(), digest_size=8).digest()


def _keys(digests: bytes, shape: tuple[int, ...]) -> "jax.Array":
    import jax
    import numpy as np

    words = np.frombuffer(digests, dtype=">u4").astype(np.uint32).reshape(shape)
    return jax.random.wrap_key_data(jax.numpy.asarray(words), impl="threefry2x32")
