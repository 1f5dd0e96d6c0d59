"""How far to trust a posterior: calibration, local tests, predictive checks, and conclusions in plain words."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
