"""The console that all is printed on: control characters of texts from outside are shown instead of obeyed."""

from collections.abc import Iterable

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from velodrome.experiments.texts import visible


class Terminal(Console):
    """A console whose own colours and cursor stay, while no text can bring any."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Segments of what is printed."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=visible(segment.text))
