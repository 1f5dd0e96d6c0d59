"""Intrinsic dimension of representations, in networks and in neurons (Facco et al. 2017; Ansuini et al. 2019)."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
