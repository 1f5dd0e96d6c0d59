"""The page: one self-contained HTML file, its sections filled by the parts of a run."""

import functools
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from importlib import resources
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from antidrome.core.files import atomic_write
from antidrome.core.model_files import package_versions
from antidrome.report.embed import bokeh_script, content_security_policy, figures_json, island, script

if TYPE_CHECKING:
    import jinja2
    from bokeh.model import Model

SECTIONS = {
    "run": "What was run",
    "checks": "Checks",
    "results": "Results",
    "trust": "How far to trust it",
    "tables": "Data tables",
    "citations": "Citations",
}


@dataclass(frozen=True, kw_only=True)
class RunInfo:
    """What was run, for the page.

    Attributes
    ----------
    title, lede
        Heading and the sentence under it.
    created
        Date and time as text.
    command
        The command line that repeats the run; empty if there was none.
    model
        Name of the model.
    config
        Settings by name.
    versions
        Package versions; ``antidrome`` must be among them.
    inputs
        Session id to ``{"path": …, "hash": …, "format": …}``.
    files
        Files of the run: ``{"name": …, "what": …}``.
    """

    title: str
    lede: str
    created: str
    command: str = ""
    model: str = ""
    seed: int | None = None
    config: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    inputs: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    files: Sequence[Mapping[str, str]] = ()

    @classmethod
    def of(cls, title: str | Sequence[str], lede: str, *, created: str = "", **told: Any) -> "RunInfo":
        """A run of now, with the versions of now, unless told otherwise.

        Parameters
        ----------
        title, lede
            As above; of sessions their names.
        created
            Date and time as ISO 8601 writes it.
        **told
            The other attributes.
        """
        when = created or datetime.now().astimezone().isoformat(timespec="minutes")
        if not isinstance(title, str):
            several = f"{len(title)} sessions: {', '.join(title[:4])}{' …' if title[4:] else ''}"
            title = title[0] if len(title) == 1 else several
        settings = {"versions": package_versions(), **told}
        return cls(title=title, lede=lede, created=when.replace("T", " ")[:16], **settings)

    def facts(self) -> list[tuple[str, str]]:
        """Model, seed, settings and versions, as the page lists them."""
        known = {"model": self.model or None, "seed": self.seed, **self.config}
        versions = {f"{package} version": version for package, version in self.versions.items()}
        told = {**known, **versions}
        return [(key.replace("_", " "), "–" if value is None else str(value)) for key, value in told.items()]


@dataclass(frozen=True)
class Part:
    """What one stage of the run contributes.

    Attributes
    ----------
    sections
        Section id (a key of `SECTIONS`) to its HTML.
    figures
        Element id to bokeh figure.
    data
        JSON-ready data for the page's script.
    blocks
        Element id and base64 text of each array.
    citations
        Keys of the works behind it.
    """

    sections: Mapping[str, Markup]
    figures: Mapping[str, "Model"] = field(default_factory=dict)
    data: Mapping[str, Any] = field(default_factory=dict)
    blocks: Sequence[tuple[str, str]] = ()
    citations: Sequence[str] = ()


def run_part(run: RunInfo) -> Part:
    """What was run, of a page of one stage: the command, settings, versions and files."""
    return Part(sections={"run": render("run", run=run)})


def page_html(run: RunInfo, parts: Sequence[Part], *, units: str) -> str:
    """The whole page as text.

    Parameters
    ----------
    run
        What was run.
    parts
        What each stage contributes; a section that nobody fills is left out.
    units
        The page's first sentence: the units of everything that follows.
    """
    figures = {name: figure for part in parts for name, figure in part.figures.items()}
    data = {key: value for part in parts for key, value in part.data.items()}
    scripts = (bokeh_script(), _code())
    sections = [
        {"id": name, "title": title, "html": Markup("\n").join(found)}
        for name, title in SECTIONS.items()
        if (found := [part.sections[name] for part in parts if name in part.sections])
    ]  # fmt: skip
    return render(
        "page",
        run=run,
        units=units,
        sections=sections,
        policy=content_security_policy(scripts),
        style=Markup(_asset("page.css")),  # noqa: S704
        data=island(data),
        figures=island(figures_json(figures)),
        blocks=[block for part in parts for block in part.blocks],
        bokeh=scripts[0],
        code=scripts[1],
    )


def write_html(path: str | os.PathLike[str], html: str) -> None:
    """Write a page to a file, atomically."""
    with atomic_write(path) as temporary, open(temporary, "w", encoding="utf-8", newline="\n") as stream:
        stream.write(html)


def render(template: str, **context: Any) -> Markup:
    """Fill a template of the package; every string is escaped unless it is `Markup`."""
    return Markup(_environment().get_template(f"{template}.html.jinja").render(**context))  # noqa: S704


@functools.cache
def _environment() -> "jinja2.Environment":
    import jinja2

    return jinja2.Environment(
        loader=jinja2.PackageLoader("antidrome.report", "assets"), autoescape=True, undefined=jinja2.StrictUndefined
    )


def _code() -> Markup:
    names = ("data.js", "charts.js", "saving.js", "figures.js", "browse.js", "mechanism.js", "page.js")
    pieces = "\n".join(_asset(name) for name in names)
    return script(f'"use strict";\n(() => {{\n{pieces}}})();')


def _asset(name: str) -> str:
    return (resources.files("antidrome.report") / "assets" / name).read_text("utf-8")
