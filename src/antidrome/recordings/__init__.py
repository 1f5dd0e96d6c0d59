"""What a recording is, how it is read and written, and the checks at the door.

The names are loaded when first used; none of the file libraries is imported before a file of its kind is met.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
