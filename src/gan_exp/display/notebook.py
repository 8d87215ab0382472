"""The output of a run in a notebook: one place below the cell, which is drawn anew as the run goes on."""

import base64
import html
import io
import sys
from collections.abc import Callable
from typing import Any

from rich.console import Console, RenderableType
from rich.terminal_theme import TerminalTheme
from torch import Tensor

from gan_exp.display.images import encode_png, image_grid

WIDTH = 96  # columns of text
SIDE = 320  # pixels of a page that the longer side of the samples takes
MOST_IMAGES = 25
# Legible on a white page and on a black one; dim text is halfway between the first two.
COLOURS = TerminalTheme(
    background=(255, 255, 255),
    foreground=(0, 0, 0),
    normal=[
        (0, 0, 0),
        (205, 70, 70),
        (40, 150, 80),
        (170, 130, 0),
        (70, 120, 210),
        (180, 80, 190),
        (0, 145, 165),
        (128, 128, 128),
    ],
)
TEXT = (
    "font-family: Menlo, 'DejaVu Sans Mono', Consolas, monospace; line-height: 1.3; white-space: pre; overflow-x: auto"
)


def in_notebook() -> bool:
    """Whether a Jupyter kernel runs this, which shows pictures; IPython in a terminal doesn't."""
    ipython = sys.modules.get("IPython")  # no kernel runs without it
    shell = None if ipython is None else ipython.get_ipython()
    return getattr(shell, "kernel", None) is not None


class NotebookView:
    """Takes the place of rich's `Live`: `draw` makes what is shown above the samples.

    What is printed to `console` stands below them.
    """

    def __init__(self, draw: Callable[[], RenderableType]) -> None:
        self._draw = draw
        self._printed = io.StringIO()
        # A kernel's environment claims colours, which the text of a page doesn't have.
        self.console = Console(
            file=self._printed, width=WIDTH, highlight=False, force_jupyter=False, force_terminal=False, no_color=True
        )
        self._samples = ""
        self._handle: Any = None

    def set_samples(self, images: Tensor) -> None:
        """uint8 [N, C, H, W]."""
        self._samples = _as_picture(images)

    def start(self) -> None:
        from IPython.display import HTML, display

        self._handle = display(HTML(self._html()), display_id=True)  # type: ignore[no-untyped-call]

    def refresh(self) -> None:
        from IPython.display import HTML

        if self._handle is not None:
            self._handle.update(HTML(self._html()))  # type: ignore[no-untyped-call]

    def stop(self) -> None:
        self.refresh()

    def _html(self) -> str:
        log = html.escape(self._printed.getvalue())
        return f'{as_html(self._draw())}{self._samples}<pre style="{TEXT}; opacity: 0.7">{log}</pre>'


def as_html(shown: RenderableType) -> str:
    """What rich would draw in a terminal, in the colours of the page."""
    console = Console(
        file=io.StringIO(), width=WIDTH, record=True, force_terminal=True, color_system="standard", force_jupyter=False
    )
    console.print(shown)
    return console.export_html(theme=COLOURS, inline_styles=True, code_format=f'<pre style="{TEXT}">{{code}}</pre>')


def _as_picture(images: Tensor) -> str:
    """A grid of the first images, enlarged without smoothing where they are small."""
    images = images[:MOST_IMAGES].cpu()
    rows = max(1, int(len(images) ** 0.5))
    columns = len(images) // rows
    picture = image_grid(images[: rows * columns], rows, columns)
    height, width = picture.shape[1:]
    source = base64.b64encode(encode_png(picture)).decode()
    size = f"height: {round(SIDE * height / max(height, width))}px"
    return f'<img alt="samples" src="data:image/png;base64,{source}" style="{size}; image-rendering: pixelated">'
