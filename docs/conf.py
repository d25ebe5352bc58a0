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

sys.path.insert(0, str(Path(__file__).parent / "_extensions"))
extensions = [
    "myst_nb",
    "sphinx_copybutton",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "api_reference",
    "generated_markdown",
]
exclude_patterns = ["README.md", "images/**", "_extensions/**"]
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

# The API reference: types stand with the parameters, and names without their modules.
add_module_names = False
python_use_unqualified_type_names = True
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_format = "short"
autodoc_inherit_docstrings = False
autodoc_class_signature = "mixed"
autodoc_preserve_defaults = True
toc_object_entries_show_parents = "hide"
