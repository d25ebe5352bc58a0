"""Figures that notebooks display and scripts can show, with no setting up."""

import io
import sys
from typing import Any

from matplotlib.figure import Figure


class DisplayedFigure(Figure):
    """A figure that pyplot does not know, and that is displayed all the same."""

    def _repr_png_(self) -> bytes:
        """Return the picture, which a notebook displays where the figure is a cell's last value."""
        picture = io.BytesIO()
        self.savefig(picture, format="png")
        return picture.getvalue()

    def show(self, warn: bool = True) -> None:
        """Show the picture: in a notebook below the cell, elsewhere in the system's viewer of pictures.

        Args:
            warn: as matplotlib's; there is nothing to warn of.
        """
        if not _display(self):
            from PIL import Image

            Image.open(io.BytesIO(self._repr_png_())).show()


def _display(shown: Any) -> bool:
    """Display something below a notebook's cell; False where this is none."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    if getattr(shell, "kernel", None) is None:
        return False
    sys.modules["IPython.display"].display(shown)
    return True
