"""Fixed class colours: the same class has the same colour in every picture, on every run."""

import colorsys

# Picked by eye: neighbours in the list differ most, none is near black, white or grey.
PICKED = (
    (230, 25, 75),  # red
    (60, 180, 75),  # green
    (0, 130, 240),  # blue
    (255, 215, 0),  # yellow
    (240, 50, 230),  # magenta
    (0, 210, 220),  # cyan
    (245, 130, 30),  # orange
    (145, 60, 220),  # violet
    (175, 240, 40),  # lime
    (255, 130, 160),  # pink
    (0, 128, 110),  # teal
    (165, 105, 40),  # brown
    (130, 160, 255),  # periwinkle
    (150, 0, 60),  # wine
    (120, 255, 180),  # mint
    (40, 60, 170),  # navy
    (130, 130, 0),  # olive
    (225, 150, 255),  # lavender
    (255, 185, 110),  # apricot
    (0, 95, 30),  # forest
)
GOLDEN_RATIO = 0.618033988749895  # steps of it spread hues evenly, however many are drawn
SHADES = ((0.70, 0.95), (0.95, 0.75), (0.50, 0.90), (0.80, 0.55), (0.60, 0.75))  # (saturation, value) in HSV


def hex_color(color: tuple[int, int, int]) -> str:
    """An (r, g, b) as web pages write it, for example "#e6194b"."""
    return "#{:02x}{:02x}{:02x}".format(*color)


def class_colors(n: int) -> list[tuple[int, int, int]]:
    """The colours of classes 0 … n - 1.

    A longer list begins with the shorter one, so a class keeps its colour when others are added after it.

    Args:
        n: how many colours.

    Returns:
        n distinct (r, g, b) with channels of 0 … 255, never black and never near grey.
    """
    colors = list(PICKED[:n])
    seen = set(colors)
    step = 0
    while len(colors) < n:
        saturation, value = SHADES[step % len(SHADES)]
        rgb = colorsys.hsv_to_rgb(step * GOLDEN_RATIO % 1.0, saturation, value)
        color = tuple(round(255 * channel) for channel in rgb)
        if color not in seen:
            seen.add(color)
            colors.append(color)
        step += 1
    return colors
