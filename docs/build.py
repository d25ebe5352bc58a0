"""Build the documentation site in English and Korean: `python docs/build.py`; it ends in build/site/index.html."""

import argparse
import importlib.util
import pickle
import re
import sys
import time
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

DOCS = Path(__file__).parent
BUILD = DOCS.parent / "build"
SITE = BUILD / "site"
TREES = BUILD / "doctrees"
CATALOGUES = DOCS / "locale" / "ko" / "LC_MESSAGES"


def must_be_korean(page):
    """Whether a page, `tutorials/lectures`, is translated in full."""
    return page.startswith("tutorials/") or page.rpartition("/")[2] == "index"


def must_be_translated(message):
    """Whether a text has words outside code and links: numbers, formulas and names alone stay as they are."""
    return re.search(r"[^\W\d_]{2,}", re.sub(r"`[^`]*`|\]\([^)]*\)|<[^>]*>", "", message)) is not None


def run_sphinx(builder, folder, language="en"):
    """End the program where Sphinx fails or warns."""
    from sphinx.cmd.build import main

    trees = str(TREES / language)
    arguments = ["-b", builder, "-W", "--keep-going", "-q", "-D", f"language={language}", "-d", trees]
    if failed := main([*arguments, str(DOCS), str(folder)]):
        sys.exit(failed)


def texts_of(page):
    """Texts of an English page that has been built, in their order, as a translator sees them."""
    from sphinx.util.nodes import extract_messages

    with open(TREES / "en" / f"{page}.doctree", "rb") as file:
        texts = [text for _, text in extract_messages(pickle.load(file))]
    return list(dict.fromkeys(text for text in texts if must_be_translated(text)))


def new_catalogues():
    """Path and contents of the catalogue of each page in Korean: the page's texts, with the translations at hand."""
    from babel.messages.catalog import Catalog
    from babel.messages.pofile import read_po

    for tree in sorted((TREES / "en").rglob("*.doctree")):
        page = tree.relative_to(TREES / "en").with_suffix("").as_posix()
        if must_be_korean(page) and (DOCS / f"{page}.md").exists():
            path = CATALOGUES / f"{page}.po"
            catalogue, english = Catalog(locale="ko"), Catalog(locale="ko")
            if path.exists():
                with open(path, "rb") as file:
                    catalogue = read_po(file, locale="ko")
            for text in texts_of(page):
                english.add(text)
            catalogue.update(english)
            yield path, catalogue


def update_translations():
    """Write the catalogues, and say what is left to translate."""
    from babel.messages.pofile import write_po

    for path, catalogue in new_catalogues():
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "wb") as file:
            write_po(file, catalogue, width=0, no_location=True, omit_header=True, ignore_obsolete=True)
        messages = [message for message in catalogue if message.id]
        missing = sum(message.fuzzy or not message.string for message in messages)
        print(f"{path.relative_to(DOCS.parent)}: {missing} of {len(messages)} texts to translate")


def check_translations():
    """End the program where a page that is to be in Korean in full is not."""
    missing = [
        f"{path.relative_to(DOCS.parent)}: {'changed' if message.fuzzy else 'untranslated'}: {message.id}"
        for path, catalogue in new_catalogues()
        for message in catalogue
        if message.id and (message.fuzzy or not message.string)
    ]
    if missing:
        sys.exit("\n".join([*missing, "Translate these: docs/README.md says how."]))


class Page(HTMLParser):
    """Targets of the links of a page of the site, and the anchors that it has."""

    def __init__(self, path):
        super().__init__()
        self.links, self.anchors = set(), {""}
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.links |= {given[name] for name in ("href", "src", "poster") if given.get(name)}
        self.anchors |= {given[name] for name in ("id", "name") if given.get(name)}


def check_links():
    """End the program where a link of the site leads nowhere, a page cannot be reached, or a link is not https."""
    pages = {path: Page(path) for path in SITE.rglob("*.html") if "_static" not in path.parts}
    broken, reached = [], {SITE / "index.html"}
    for path, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if parts.scheme or parts.netloc:
                fits = parts.scheme in ("data", "mailto") or (parts.scheme == "https" and "." in parts.netloc)
            else:
                fits = target.is_file() and (target not in pages or unquote(parts.fragment) in pages[target].anchors)
                if target != path:
                    reached.add(target)
            if not fits:
                broken.append(f"{path.relative_to(SITE)}: {link} leads nowhere")
    broken += [f"{path.relative_to(SITE)}: no page links to it" for path in pages if path not in reached]
    if broken:
        sys.exit("\n".join(sorted(broken)))


def main():
    """Build what the arguments ask for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--update-translations", action="store_true", help="bring docs/locale in step with the English pages, and end"
    )
    parser.add_argument("--links", action="store_true", help="ask every other site that is linked to, and end")
    arguments = parser.parse_args()
    needed = ("velodrome", "sphinx", "myst_nb", "furo", "sphinx_copybutton", "ipykernel")
    missing = [name for name in needed if not importlib.util.find_spec(name)]
    if missing:
        sys.exit(f"the site needs {', '.join(missing)}: pip install -e '.[docs]'")

    start = time.monotonic()
    if arguments.update_translations:
        run_sphinx("html", SITE)
        update_translations()
        return
    if arguments.links:
        run_sphinx("linkcheck", BUILD / "links")
        return
    run_sphinx("html", SITE)
    run_sphinx("html", SITE / "ko", language="ko")
    check_links()
    check_translations()
    print(f"{SITE / 'index.html'} ({time.monotonic() - start:.0f} s)")


if __name__ == "__main__":
    main()
