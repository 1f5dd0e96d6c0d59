"""The main job: stages joined, cached by the hash of what they depend on, resumable, one results folder."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
