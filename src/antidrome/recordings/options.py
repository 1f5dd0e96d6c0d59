"""What a caller may say about a file; one object for all readers."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from antidrome.recordings.safety import DEFAULT_MAX_BYTES

KEEP_ALL = "pass accepted_only=False (--no-accepted-only) to read them all the same"
"""Advice where a file accepts none of its ROIs."""


@dataclass(frozen=True, kw_only=True)
class ReadOptions:
    """Choices for reading; see :func:`antidrome.recordings.read` for their meaning."""

    frame_rate_hz: float | None = None
    quantity: str | None = None
    orientation: str | None = None
    series: str | None = None
    accepted_only: bool = True
    session_id: str | None = None
    allow_external: bool = False
    max_bytes: int | None = None

    @property
    def max_memory_bytes(self) -> int:
        """The cap for formats that are read into memory whole."""
        return DEFAULT_MAX_BYTES if self.max_bytes is None else self.max_bytes

    def provenance(self, path: Path, source_format: str, session_id: str | None = None) -> dict[str, Any]:
        """Attributes that say where the recording comes from."""
        name = Path(path.name.removesuffix(".gz")).stem
        return {
            "source": os.path.abspath(path),  # a relative one is another file once the work goes on elsewhere
            "source_format": source_format,
            "session_id": self.session_id or session_id or name,
        }
