"""Public recordings and references by name: sizes, licences, checksums and citations; fetched, never bundled."""

from antidrome.data.catalogue import Dataset, File, datasets
from antidrome.data.fetch import get

__all__ = ["Dataset", "File", "datasets", "get"]
