"""Pictures that stand in a page itself: how charts are made."""

import base64
import contextlib
import io
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DOTS = 96  # CSS pixels an inch
LONGEST = 24  # letters of a name
STYLE = {
    "svg.fonttype": "none",  # letters stay letters
    "svg.hashsalt": "campus_seg",  # the same chart is the same file
    "text.parse_math": False,  # a class may be called $x$
    "font.size": 9.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.3,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
}


@dataclass(frozen=True)
class Picture:
    """A picture that stands in the page itself.

    Attributes:
        uri: a data URI.
        alt: what it shows, for those who do not see it.
        width: in CSS pixels, where there is room.
        height: likewise.
    """

    uri: str
    alt: str
    width: int
    height: int


@contextlib.contextmanager
def draw_axes(width: float = 5.4, height: float = 4.0) -> Iterator[tuple["Figure", "Axes"]]:
    """A figure with one pair of axes, in STYLE as long as it is drawn and saved.

    Args:
        width: in inches.
        height: likewise.
    """
    import matplotlib as mpl  # slow to import, and only needed here
    from matplotlib.figure import Figure

    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        yield figure, figure.subplots()


def svg_picture(figure: "Figure", alt: str) -> Picture:
    """A figure as SVG, at its own size; `alt` is what it shows."""
    stream = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # the browser's fonts will have it
        figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None})
    content = base64.b64encode(stream.getvalue()).decode("ascii")
    width, height = (round(DOTS * inches) for inches in figure.get_size_inches())
    return Picture(f"data:image/svg+xml;base64,{content}", alt, width, height)


def short_name(name: str) -> str:
    """A name as a chart can show it: not too long, nothing that XML forbids, no "_" first, which legends leave out."""
    name = "".join(letter if letter.isprintable() else "?" for letter in name)
    name = f" {name}" if name.startswith("_") else name
    return name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…"
