"""Putting figures, data and script into one file under a strict Content-Security-Policy."""

import base64
import hashlib
import json
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

if TYPE_CHECKING:
    from bokeh.model import Model


def island(data: Any) -> Markup:
    """JSON for a ``<script type="application/json">``: no character of it can end the element or start a comment.

    Raises
    ------
    ValueError
        If the data holds NaN or infinity, which JSON does not know.
    """
    text = json.dumps(data, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return Markup(text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e"))  # noqa: S704


def script(text: str) -> Markup:
    """A script of ours or of bokeh's for an inline ``<script>``, exactly as it will be hashed."""
    if "</script" in text.lower():
        raise ValueError("an inline script must not hold the text '</script'")
    return Markup(text)  # noqa: S704


def bokeh_script() -> Markup:
    """BokehJS (the base bundle: no widgets, no tables, no MathJax), as its wheel ships it."""
    from bokeh.resources import Resources

    bundle = Resources(mode="inline", components=["bokeh"]).js_raw[0]
    return script(bundle.replace("</script", "<\\/script"))


def content_security_policy(scripts: Sequence[str]) -> str:
    """The page's policy: only the scripts with these hashes run, and nothing is ever fetched.

    ``default-src 'none'`` covers connections, frames, workers, fonts and media. Scripts are named by SHA-256, without
    ``'unsafe-inline'`` and without ``'unsafe-eval'`` (so bokeh's ``CustomJS`` is not available here). Two allowances
    remain: ``style-src 'unsafe-inline'``, because BokehJS puts style elements into its figures while it runs, and
    images from ``data:`` and ``blob:``, which its toolbar icons and its save button use.
    """
    hashes = " ".join(f"'sha256-{_sha256(text)}'" for text in scripts)
    return (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data: blob:; "
        "base-uri 'none'; form-action 'none'"
    )


def _sha256(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")


def figures_json(figures: dict[str, "Model"]) -> dict[str, Any]:
    """All figures as one bokeh document, and which root goes into which element of the page.

    Parameters
    ----------
    figures
        Element id to figure; they may share ranges.
    """
    from bokeh.document import Document

    document = Document()
    for figure in figures.values():
        document.add_root(figure)
    roots = {figure.id: name for name, figure in figures.items()}
    return _renumbered({"document": document.to_json(deferred=False), "roots": roots})


def _renumbered(content: dict[str, Any]) -> dict[str, Any]:
    """The same with bokeh's ids, which count on through a process, from one: the same results, the same page.

    A name of the user's that looks like an id ("p1") is no value of a key "id" and stays.
    """
    ids: dict[str, str] = {}
    text = re.sub(
        r'("id": )"(p\d+)"',
        lambda found: f'{found[1]}"{ids.setdefault(found[2], f"m{len(ids) + 1}")}"',
        json.dumps(content["document"]),
    )
    return {"document": json.loads(text), "roots": {ids[one]: name for one, name in content["roots"].items()}}
