"""Configuration of the documentation site; `python docs/build.py` builds it."""

import os
import sys
from pathlib import Path

import velodrome

# The tutorials' commands are those of the environment that builds the site, activated or not.
os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])

project = "velodrome"
author = copyright = "The velodrome developers"
version = release = velodrome.__version__

extensions = ["myst_nb", "sphinx_copybutton"]
exclude_patterns = ["README.md", "images/**"]
language = "en"
locale_dirs = ["locale"]
gettext_compact = False

# Tutorials are text notebooks: their cells run in the build, once for both languages, and an error ends it.
nb_execution_mode = "cache"
nb_execution_cache_path = str(Path(__file__).parents[1] / "build" / "notebooks")
nb_execution_in_temp = True
nb_execution_raise_on_error = True
nb_execution_timeout = 300
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 4

html_theme = "furo"
html_title = "velodrome"

# Papers at the root of the repository are pages of the site as well.
ROOT_PAPERS = {"CONTRIBUTING.md": "contributing", "CHANGELOG.md": "changelog", "SECURITY.md": "security"}


def link_to_root_papers(app, page, text):
    """Lead links to the papers of the root, right in the repository, to the site's pages of them."""
    for paper, name in ROOT_PAPERS.items():
        text[0] = text[0].replace(f"](../../{paper}", f"](../project/{name}.md")


def setup(app):
    app.connect("source-read", link_to_root_papers)
