"""Reference samplers, to check posteriors by: approximate Bayesian computation, and MCMC where a likelihood exists."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
