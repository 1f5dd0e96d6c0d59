"""What a sentence on the page is, and how to take it."""

from dataclasses import dataclass

SIGNS = {"good": ("✓", "good"), "care": ("!", "take care"), "bad": ("×", "problem"), "fact": ("i", "fact")}


@dataclass(frozen=True)
class Statement:
    """A sentence and how to take it: ``"good"``, ``"care"``, ``"bad"`` or ``"fact"``."""

    level: str
    text: str

    @property
    def sign(self) -> str:
        """One character for the page."""
        return SIGNS[self.level][0]

    @property
    def word(self) -> str:
        """The same for a screen reader."""
        return SIGNS[self.level][1]
