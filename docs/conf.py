"""Sphinx configuration: MyST pages whose code runs when they are built; a warning is an error."""

import os
import sys
from pathlib import Path

import antidrome

sys.path.insert(0, str(Path(__file__).parent))

from command_line_help import PLACE, with_help

os.environ["BOKEH_RESOURCES"] = "inline"  # figures show without a network

project = "Antidrome"
author = "The Antidrome authors"
project_copyright = "The Antidrome authors"
version = release = antidrome.__version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx.ext.mathjax",
]
exclude_patterns = ["_build", "images"]

myst_enable_extensions = ["dollarmath", "amsmath", "deflist", "colon_fence"]
myst_heading_anchors = 3
suppress_warnings = ["mystnb.unknown_mime_type"]  # bokeh sends its script to notebooks under names of its own

nb_execution_mode = "cache"
nb_execution_timeout = 600
nb_execution_raise_on_error = True
nb_execution_show_tb = True
nb_merge_streams = True

autosummary_generate = True
autodoc_member_order = "bysource"
autodoc_typehints = "none"
autodoc_default_options = {"members": True}  # a default of inherited-members would outdo what a page asks for
napoleon_google_docstring = False
napoleon_use_rtype = False

html_theme = "pydata_sphinx_theme"
html_title = "Antidrome"
html_extra_path = ["llms.txt"]
html_show_sourcelink = False
html_theme_options = {
    "navigation_with_keys": True,
    "show_toc_level": 2,
    "secondary_sidebar_items": ["page-toc"],
}


def skip_member(app, what, name, obj, skip, options):
    """Leave out what scikit-learn adds to every estimator for its metadata routing."""
    return True if name.endswith("_request") or name == "get_metadata_routing" else None


def show_help(app, name, content):
    """Put the help of every command into the page that asks for it."""
    if PLACE in content[0]:
        content[0] = with_help(content[0])


def setup(app):
    """Connect the hooks above."""
    app.connect("autodoc-skip-member", skip_member)
    app.connect("source-read", show_help)
    app.connect("env-get-outdated", lambda *_: ["reference/command_line"])  # its source is the code of the commands
