from . import models as models
from . import simulate as simulate

__all__ = ["models", "simulate"]
