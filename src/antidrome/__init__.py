"""Antidrome: neural models run backwards, from a recording to its causes.

The names below are all that a user imports; each is loaded when it is first used, so that
``import antidrome`` costs a few milliseconds. The list itself is in ``__init__.pyi``.
"""

import lazy_loader

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
