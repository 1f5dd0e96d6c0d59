"""Text of files on a terminal."""


def printable(text: str) -> str:
    """Return text whose control characters (of a hostile path or neuron name) are shown, not obeyed."""
    return "".join(c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in text)
