"""A font for Hangul, which matplotlib's own has not: chosen for the texts that need it, and for these only."""

import re
import warnings
from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING
from weakref import WeakSet

from velodrome.experiments.errors import ExperimentWarning

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.figure import FigureBase

_HANGUL = re.compile("[\u1100-\u11ff\u3131-\u318e\ua960-\ua97c\uac00-\ud7fb]")
# Sans-serif families of the systems, before any other font that has the letters.
_FAMILIES = (
    "NanumGothic", "Noto Sans CJK KR", "Noto Sans KR", "Malgun Gothic", "Apple SD Gothic Neo", "AppleGothic",
    "Source Han Sans K", "Pretendard", "NanumBarunGothic", "UnDotum", "Baekmuk Dotum",
)  # fmt: skip
_warned: "WeakSet[FigureBase]" = WeakSet()


def has_hangul(text: str) -> bool:
    """Whether a text has Korean letters."""
    return _HANGUL.search(text) is not None


def use_hangul_font(artist: "Artist") -> None:
    """Give the texts of axes or of a figure that have Korean letters a second font, for those letters.

    Warns:
        ExperimentWarning: no installed font has them; once for each figure.
    """
    from matplotlib.figure import FigureBase
    from matplotlib.text import Text

    texts = [text for text in artist.findobj(Text) if isinstance(text, Text) and has_hangul(text.get_text())]
    if not texts:
        return
    family = hangul_family()
    if family is not None:
        for text in texts:
            text.set_fontfamily([*(name for name in text.get_fontfamily() if name != family), family])
        return
    figure = artist if isinstance(artist, FigureBase) else artist.get_figure(root=True)
    if figure is not None and figure not in _warned:
        _warned.add(figure)
        line = "no installed font has Korean letters, so boxes stand for them: install one, such as fonts-nanum"
        warnings.warn(line, ExperimentWarning, stacklevel=4)


@cache
def hangul_family() -> str | None:
    """Name of an installed font family with Korean letters; None if there is none."""
    from matplotlib.font_manager import findSystemFonts, fontManager

    families = {entry.name for entry in fontManager.ttflist}
    if families.isdisjoint(_FAMILIES):
        # Matplotlib lists the fonts once for all time; those installed later are not in its list.
        listed = {entry.fname for entry in fontManager.ttflist}
        for path in sorted(set(findSystemFonts()) - listed):
            if _file_has_hangul(path):
                fontManager.addfont(path)
        families = {entry.name for entry in fontManager.ttflist}
    preferred = next((family for family in _FAMILIES if family in families), None)
    if preferred is not None:
        return preferred
    fonts = sorted(fontManager.ttflist, key=lambda entry: (entry.name, entry.fname))
    return next((entry.name for entry in fonts if _file_has_hangul(entry.fname)), None)


def _file_has_hangul(path: str) -> bool:
    from matplotlib.font_manager import get_font

    # A damaged font is no font.
    with suppress(OSError, RuntimeError, ValueError):
        font = get_font(path)
        return font.get_char_index(ord("가")) > 0 and not font.family_name.startswith(("Last Resort", ".LastResort"))
    return False
