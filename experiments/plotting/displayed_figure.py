"""Figures that notebooks display and scripts can show, with no setting up."""

import io

from matplotlib.figure import Figure

from velodrome.experiments.texts import is_notebook


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
        if is_notebook():
            from IPython.display import display

            display(self)  # type: ignore[no-untyped-call]
        else:
            from PIL import Image

            Image.open(io.BytesIO(self._repr_png_())).show()
