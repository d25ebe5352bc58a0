"""A page as a notebook displays it."""

from dataclasses import dataclass
from html import escape


@dataclass(frozen=True, repr=False)
class FramedPage:
    """The page that plays as a notebook displays it, in a frame as tall as it needs.

    Attributes:
        html: the page itself.
        address: how it opens: entries that a page in a browser has behind the `#` of its address.
        language: "en" or "ko"; None is that of the page around the frame, or else English.
    """

    html: str
    address: str = ""
    language: str | None = None

    def _repr_html_(self) -> str:
        """Return the frame; it loads when it is scrolled to."""
        language = "" if self.language is None else f' lang="{escape(self.language)}"'
        return (
            f'<iframe title="velodrome"{language} data-address="{escape(self.address)}" loading="lazy" '
            'style="width: 100%; height: 44rem; border: 0" '
            f'srcdoc="{escape(self.html)}"></iframe>'
        )

    def __repr__(self) -> str:
        """Return that it is one; its text would fill screens."""
        return "<FramedPage>"
