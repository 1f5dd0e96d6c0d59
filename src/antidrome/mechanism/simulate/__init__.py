"""Simulations: any simulator behind one protocol, failures recorded, every finished simulation kept.

A simulator maps parameters to features. Whatever it is (a Python function, a batched function, a JAX function, a cell
of another package), it becomes a :class:`~antidrome.mechanism.simulate.batch.Simulator`; ``as_simulator`` chooses how.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
