"""Configuration of the documentation site; `python docs/build.py` builds it."""

import functools
import hashlib
import os
import re
import sys
from pathlib import Path

from bs4 import BeautifulSoup
from docutils import nodes
from sphinx import addnodes
from sphinx.search.en import SearchEnglish

import velodrome

ROOT = Path(__file__).parents[1]
BUILD = ROOT / "build"
CATALOGUES = ROOT / "docs" / "locale" / "ko" / "LC_MESSAGES"

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
exclude_patterns = ["images/**", "_extensions/**"]
templates_path = ["_templates"]
language = "en"
locale_dirs = ["locale"]
gettext_compact = False
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 4

linkcheck_timeout = 10
linkcheck_retries = 2

html_theme = "furo"
html_title = "velodrome"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False
# The button "view" at the top of a page is the switch between languages: _templates/components/view-this-page.html.
html_theme_options = {"top_of_page_buttons": ["view"]}
# A prompt and what a command prints are not copied.
copybutton_prompt_text = r"\$ |>>> |\.\.\. "
copybutton_prompt_is_regexp = True
copybutton_exclude = ".linenos, .gp, .go"

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
# Quotation marks around expressions are copied with them.
smartquotes = False

# Tutorials are text notebooks. Their cells run once for both languages, again after a change of them or of the code.
code = hashlib.sha256()
for room in ("agents", "envs", "experiments", "front", "policies"):
    for file in sorted((ROOT / room).rglob("*.py")):
        code.update(file.read_bytes())
nb_execution_mode = "cache"
nb_execution_cache_path = str(BUILD / "notebooks" / code.hexdigest()[:12])
nb_execution_in_temp = True
nb_execution_raise_on_error = True
nb_execution_timeout = 300

# Cells call the commands of the environment that builds the site, activated or not, and one that fails ends the build.
os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
os.environ["IPYTHONDIR"] = str(BUILD / "ipython")
profile = BUILD / "ipython" / "profile_default"
profile.mkdir(parents=True, exist_ok=True)
(profile / "ipython_config.py").write_text("get_config().InteractiveShell.system_raise_on_error = True\n")

# Papers outside of docs are pages of the site as well.
ROOT_PAPERS = {
    "CONTRIBUTING.md": "contributing",
    "CHANGELOG.md": "changelog",
    "SECURITY.md": "security",
    "benchmarks/README.md": "benchmarks",
}


def link_to_root_papers(app, page, text):
    """Lead links to the papers of the root, right in the repository, to the site's pages of them."""
    for paper, name in ROOT_PAPERS.items():
        text[0] = re.sub(rf"\]\((?:\.\./)+{re.escape(paper)}", f"](/project/{name}.md", text[0])


def groups_of(environment, index):
    """Title, anchor and number of pages of each group of an index page."""
    groups = []
    for section in environment.get_doctree(index).findall(nodes.section):
        trees = [tree for child in section.children for tree in child.findall(addnodes.toctree)]
        if trees and isinstance(section.parent, nodes.section):
            pages = sum(len(tree["includefiles"]) for tree in trees)
            groups.append((section.next_node(nodes.title).astext(), section["ids"][0], pages))
    return groups


@functools.cache
def whole_navigation(builder):
    """HTML of the tree of all pages as seen from the root, those of an index page in its groups."""
    whole = builder._get_local_toctree("index", collapse=False, titles_only=True, maxdepth=-1, includehidden=True)
    tree = BeautifulSoup(whole, "html.parser")
    for section, index in zip(tree.select("li.toctree-l1"), builder.env.toctree_includes.get("index", []), strict=True):
        entries = section.ul.find_all("li", recursive=False) if section.ul else []
        for title, anchor, pages in groups_of(builder.env, index) if entries else ():
            group = tree.new_tag("li", attrs={"class": "toctree-l2"})
            address = f"{builder.get_target_uri(index)}#{anchor}"
            link = tree.new_tag("a", attrs={"class": "reference internal", "href": address}, string=title)
            section.ul.append(group)
            group.extend([link, tree.new_tag("ul")])
            group.ul.extend(entries[:pages])
            del entries[:pages]
    return str(tree)


def navigation_of(builder, page):
    """HTML of the tree of all pages as seen from a page; the theme's own takes long, and knows no groups."""
    tree = BeautifulSoup(whole_navigation(builder), "html.parser")
    for link in tree.find_all("a"):
        if link["href"] == builder.get_target_uri(page):
            for entry in link.find_parents("li"):
                entry["class"] = [*entry["class"], "current"]
        link["href"] = "../" * page.count("/") + link["href"]
    return str(tree)


def complete_page(app, page, template, context, document):
    """Give a page its navigation, and say whether it is in English alone."""
    context["is_english"] = document and not (CATALOGUES / f"{page}.po").exists()
    context["toctree"] = lambda **options: navigation_of(app.builder, page)


class SearchKorean(SearchEnglish):
    """Words as in English; Korean ones also without what ends them, so that `정책` finds `정책을`."""

    lang = "ko"

    def split(self, input):
        """Words of a text, and the beginnings of Korean ones."""
        words = super().split(input)
        korean = [word for word in words if re.match(r"[가-힣]{3}", word)]
        return words + [word[:length] for word in korean for length in range(2, len(word))]


def setup(app):
    """Add what the site needs beyond Sphinx's own."""
    app.connect("source-read", link_to_root_papers)
    app.connect("html-page-context", complete_page, priority=400)
    app.add_search_language(SearchKorean)
