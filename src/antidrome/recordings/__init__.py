"""What a recording is, how it is read and written, and the checks at the door.

The names are loaded when first used; none of the file libraries is imported before a file of its kind is met.
"""

import os

import lazy_loader

# pynwb keeps a pickle in the user's cache, which a full disk or another process that starts leaves cut for good
os.environ.setdefault("PYNWB_NO_CACHE_DIR", "1")

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
