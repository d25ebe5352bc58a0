"""Build the documentation site in English and Korean: `python docs/build.py`; it ends in build/site/index.html."""

import sys
from pathlib import Path

from sphinx.cmd.build import main

DOCS = Path(__file__).parent
SITE = DOCS.parent / "build" / "site"

if __name__ == "__main__":
    for language, folder in {"en": SITE, "ko": SITE / "ko"}.items():
        trees = DOCS.parent / "build" / "doctrees" / language
        failed = main(
            [
                "-b",
                "html",
                "-W",
                "--keep-going",
                "-q",
                "-D",
                f"language={language}",
                "-d",
                str(trees),
                str(DOCS),
                str(folder),
            ]
        )
        if failed:
            sys.exit(failed)
    print(f"{SITE / 'index.html'}")
