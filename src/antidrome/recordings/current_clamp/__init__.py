"""Current-clamp recordings: injected current and membrane voltage, sweep by sweep, in checked units."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
