"""The unlabelled part of the sample's photos: sky, facades, walls, grounds, trees and street furniture.

Pictures are (480, 640, 3) float32, RGB, 0 to 255; every function paints into the picture it is given.
"""

import cv2
import numpy as np

WIDTH, HEIGHT = 640, 480
BRICKS = [(150, 84, 66), (168, 110, 84), (122, 76, 64), (176, 150, 122)]
PLASTER = [(206, 200, 186), (188, 176, 150), (168, 174, 178), (214, 206, 200), (176, 186, 170), (196, 158, 134)]
GRASS = [(98, 128, 58), (118, 140, 72), (84, 112, 62), (142, 140, 84)]
PAVING = [(158, 154, 148), (134, 132, 132), (172, 160, 140), (112, 112, 116)]
LEAVES = [(64, 96, 46), (86, 116, 52), (52, 82, 52), (126, 118, 52), (142, 92, 50)]
SKIES = [((104, 150, 208), (196, 214, 232)), ((152, 164, 178), (208, 212, 216)), ((128, 160, 200), (238, 214, 186))]


def choose(rng: np.random.Generator, palette: list, spread: float = 10) -> np.ndarray:
    """A colour (3,) float32 near one of the palette's: mostly lighter or darker, a little off in hue."""
    change = rng.normal(0, spread) + rng.normal(0, 0.3 * spread, 3)
    return (np.array(palette[rng.integers(len(palette))]) + change).clip(5, 250).astype(np.float32)


def noise(rng: np.random.Generator, height: int, width: int, cell: float, octaves: int = 3) -> np.ndarray:
    """Smooth noise (height, width) float32, about -1 to 1; its largest features are `cell` pixels wide."""
    field = np.zeros((height, width), np.float32)
    for octave in range(octaves):
        step = cell / 2**octave
        coarse = rng.standard_normal((int(height / step) + 2, int(width / step) + 2), np.float32)
        field += cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC) * (0.6 / 2**octave)
    return field


def fill(picture: np.ndarray, points: list, colour: np.ndarray) -> None:
    """Paint a polygon, its points (x, y) in pixels, with antialiased edges."""
    shape = np.round(np.array(points, float) * 16).astype(np.int32)
    cv2.fillPoly(picture, [shape], [float(c) for c in colour], cv2.LINE_AA, 4)


def rectangle(picture: np.ndarray, x0: float, y0: float, x1: float, y1: float, colour: np.ndarray) -> None:
    """Paint an upright rectangle."""
    fill(picture, [(x0, y0), (x1, y0), (x1, y1), (x0, y1)], colour)


def tint(picture: np.ndarray, colour: np.ndarray, field: np.ndarray) -> None:
    """Paint the whole picture in one colour, made brighter and darker by the field (height, width) around 1."""
    picture[:] = cv2.merge([field * value for value in colour])


def sky(picture: np.ndarray, rng: np.random.Generator) -> None:
    """A gradient with clouds."""
    top, low = (np.array(c, np.float32) for c in SKIES[rng.integers(len(SKIES))])
    height, width = picture.shape[:2]
    picture[:] = top + (low - top) * np.linspace(0, 1, height, dtype=np.float32)[:, None, None]
    clouds = np.clip(noise(rng, height, width, 150) - rng.uniform(0, 0.6), 0, 1) * 0.8
    picture += (245 - picture) * cv2.merge([clouds] * 3)


def brick_wall(picture: np.ndarray, rng: np.random.Generator) -> None:
    """Courses of bricks, each with its own tone, and mortar."""
    height, width = picture.shape[:2]
    course = rng.uniform(9, 20)
    length, joint = course * rng.uniform(2.2, 3), max(1.0, course * 0.12)
    y, x = np.arange(height), np.arange(width) + np.array([[0], [length / 2]])  # every second course is shifted
    row, column = (y // course).astype(int), (x // length).astype(int)
    tones = rng.normal(1, 0.09, (row.max() + 1, column.max() + 1)).astype(np.float32)
    tint(picture, choose(rng, BRICKS), tones[row[:, None], column[row % 2]])
    mortar = (y % course < joint)[:, None] | (x % length < joint)[row % 2]
    picture[mortar] = choose(rng, [(176, 168, 158), (120, 112, 106), (200, 190, 176)])
    picture *= cv2.merge([1 + 0.07 * noise(rng, height, width, 120, 4)] * 3)


def plaster_wall(picture: np.ndarray, rng: np.random.Generator) -> None:
    """A plain wall with stains and sometimes panel joints."""
    height, width = picture.shape[:2]
    tint(picture, choose(rng, PLASTER), 1 + 0.05 * noise(rng, height, width, 160, 5))
    if rng.random() < 0.4:
        pitch = rng.uniform(70, 160)
        for at in np.arange(rng.uniform(0, pitch), width, pitch):
            rectangle(picture, at, 0, at + 1.5, height, picture[0, 0] * 0.75)
        if rng.random() < 0.5:
            for at in np.arange(rng.uniform(0, pitch), height, pitch):
                rectangle(picture, 0, at, width, at + 1.5, picture[0, 0] * 0.75)


def windows(picture: np.ndarray, rng: np.random.Generator) -> None:
    """Rows of windows with frames, panes and reflections over the whole wall."""
    height, width = picture.shape[:2]
    w, h = rng.uniform(26, 60), rng.uniform(34, 70)
    gap_x, gap_y = w * rng.uniform(0.5, 1.2), h * rng.uniform(0.5, 0.9)
    frame, glass = (
        choose(rng, [(225, 225, 222), (70, 66, 62), (120, 96, 76)]),
        choose(rng, [(70, 84, 98), (96, 108, 116)]),
    )
    for y in np.arange(rng.uniform(-h, gap_y), height - h * 0.6, h + gap_y):
        for x in np.arange(rng.uniform(-w, gap_x), width, w + gap_x):
            rectangle(picture, x - 3, y - 3, x + w + 3, y + h + 3, frame)
            rectangle(picture, x, y, x + w, y + h, glass * rng.uniform(0.7, 1.25))
            if rng.random() < 0.5:
                fill(
                    picture, [(x, y + h * 0.7), (x + w * 0.7, y), (x + w, y), (x, y + h)], glass * rng.uniform(1.1, 1.6)
                )
            rectangle(picture, x + w / 2 - 1, y, x + w / 2 + 1, y + h, frame)
            rectangle(picture, x - 5, y + h + 3, x + w + 5, y + h + 6, frame * 0.8)


def wall(picture: np.ndarray, rng: np.random.Generator) -> None:
    """A wall of brick or plaster."""
    (brick_wall if rng.random() < 0.5 else plaster_wall)(picture, rng)


def ground(picture: np.ndarray, rng: np.random.Generator, grass: bool) -> None:
    """A lawn, or paving in perspective; the picture's top row is the farthest."""
    height, width = picture.shape[:2]
    near = np.linspace(0.2, 1, height, dtype=np.float32)[:, None]
    rough = noise(rng, height, width, 90, 4) * 0.08 + rng.standard_normal((height, width), np.float32) * 0.05 * near
    tint(picture, choose(rng, GRASS if grass else PAVING), 1 + rough * (1.5 if grass else 0.8))
    if not grass and rng.random() < 0.7:
        joint = picture[0, 0] * 0.78
        vanish = rng.uniform(0.1, 0.9) * width
        for x in np.arange(-2.5, 3.5, rng.uniform(0.12, 0.3)) * width:
            a, b = (vanish + (x - vanish) * 0.25, 0), (x, height)
            fill(picture, [a, (a[0] + 0.6, 0), (b[0] + 2, height), b], joint)
        for depth in 1 / np.arange(1, 4, rng.uniform(0.12, 0.3)):
            y = height * (depth - 0.25) / 0.75
            rectangle(picture, 0, y, width, y + 0.5 + 1.5 * depth, joint)


def path(picture: np.ndarray, rng: np.random.Generator) -> None:
    """A path that comes towards the camera."""
    height, width = picture.shape[:2]
    far, near, half = rng.uniform(0, width), rng.uniform(-0.2, 1.2) * width, rng.uniform(0.12, 0.35) * width
    t = np.linspace(0, 1, 24)
    centre = far + (near - far) * t**1.6
    left, right = centre - half * (0.12 + t**1.3), centre + half * (0.12 + t**1.3)
    colour = choose(rng, PAVING)
    shape = [*zip(left, t * height, strict=True), *zip(right[::-1], t[::-1] * height, strict=True)]
    stone = picture.copy()
    fill(stone, shape, colour)
    picture[:] = stone * cv2.merge([1 + 0.05 * noise(rng, height, width, 40, 4)] * 3)


def foliage(picture: np.ndarray, rng: np.random.Generator, x: float, y: float, rx: float, ry: float) -> None:
    """A tree's crown or a bush: leaves in an ellipse with a ragged rim, lit from above."""
    x0, x1 = max(0, int(x - 1.3 * rx)), min(picture.shape[1], int(x + 1.3 * rx))
    y0, y1 = max(0, int(y - 1.3 * ry)), min(picture.shape[0], int(y + 1.3 * ry))
    if x1 - x0 < 4 or y1 - y0 < 4:
        return
    v, u = np.mgrid[y0:y1, x0:x1].astype(np.float32)
    u, v = (u - x) / rx, (v - y) / ry
    leaves = noise(rng, y1 - y0, x1 - x0, max(12.0, rx * 0.4), 4)
    alpha = np.clip((1 - u * u - v * v + 0.45 * leaves) * 7, 0, 1)[..., None]
    light = 0.85 - 0.3 * v + 0.3 * leaves + 0.12 * rng.standard_normal(leaves.shape, np.float32)
    view = picture[y0:y1, x0:x1]
    view += (choose(rng, LEAVES) * np.clip(light, 0.25, 1.7)[..., None] - view) * alpha


def tree(picture: np.ndarray, rng: np.random.Generator, x: float, foot: float, size: float) -> None:
    """A trunk and its crown, `size` pixels tall."""
    bark, half = choose(rng, [(96, 76, 58), (78, 66, 56), (134, 122, 108)]), size * rng.uniform(0.025, 0.045)
    shape = [
        (x - half * 1.5, foot),
        (x - half, foot - size * 0.6),
        (x + half, foot - size * 0.6),
        (x + half * 1.5, foot),
    ]
    fill(picture, shape, bark)
    fill(picture, [(x, foot), (x, foot - size * 0.6), *shape[2:]], bark * 0.7)
    foliage(picture, rng, x, foot - size * 0.68, size * rng.uniform(0.22, 0.36), size * 0.34)


def furniture(picture: np.ndarray, rng: np.random.Generator, x: float, foot: float, size: float) -> None:
    """One unlabelled thing: a lamp post, a bin, bollards, a cycle rack, a planter, a sign, a box hedge."""
    kind = rng.integers(7)
    tone = choose(rng, [(60, 64, 68), (110, 112, 112), (52, 84, 66), (150, 146, 138)])
    half = size * 0.16
    if kind == 0:
        rectangle(picture, x - size * 0.02, foot - size * 1.8, x + size * 0.02, foot, tone)
        fill(
            picture,
            [(x - half, foot - size * 1.72), (x, foot - size * 1.86), (x + half, foot - size * 1.72)],
            tone * 1.3,
        )
    elif kind == 1:
        for step in range(8):
            x0 = x - half + step * half / 4
            rectangle(picture, x0, foot - size * 0.55, x0 + half / 4 + 1, foot, tone * (1.2 - abs(step - 2.5) * 0.09))
        rectangle(picture, x - half * 1.12, foot - size * 0.6, x + half * 1.12, foot - size * 0.53, tone * 0.6)
    elif kind == 2:
        for k in range(3):
            at = x + k * size * 0.5
            rectangle(picture, at - size * 0.04, foot - size * 0.5, at + size * 0.04, foot, tone)
            rectangle(
                picture, at - size * 0.04, foot - size * 0.44, at + size * 0.04, foot - size * 0.38, tone * 0.3 + 170
            )
    elif kind == 3:
        for k in range(4):
            centre = (round((x + k * size * 0.3) * 16), round((foot - size * 0.3) * 16))
            axes = (round(size * 0.1 * 16), round(size * 0.14 * 16))
            cv2.ellipse(picture, centre, axes, 0, 180, 360, [float(c) for c in tone], 2, cv2.LINE_AA, 4)
            for side in (-1, 1):
                at = x + k * size * 0.3 + side * size * 0.1
                rectangle(picture, at - 1, foot - size * 0.3, at + 1, foot, tone)
    elif kind == 4:
        foliage(picture, rng, x, foot - size * 0.42, half * 1.7, size * 0.24)
        fill(
            picture,
            [
                (x - half * 1.5, foot - size * 0.3),
                (x + half * 1.5, foot - size * 0.3),
                (x + half * 1.2, foot),
                (x - half * 1.2, foot),
            ],
            tone,
        )
    elif kind == 5:
        rectangle(picture, x - size * 0.02, foot - size * 1.1, x + size * 0.02, foot, tone)
        board = choose(rng, [(40, 80, 150), (200, 40, 40), (230, 228, 220), (40, 120, 80)])
        rectangle(picture, x - half, foot - size * 1.15, x + half, foot - size * 0.85, board)
        rectangle(picture, x - half * 0.7, foot - size * 1.03, x + half * 0.7, foot - size * 0.97, 255 - board)
    else:
        foliage(picture, rng, x, foot - size * 0.2, size * rng.uniform(0.4, 0.9), size * rng.uniform(0.2, 0.32))


def on_the_wall(picture: np.ndarray, rng: np.random.Generator, foot: float) -> None:
    """A door, posters, a notice board, a pipe or a red alarm box, on a wall that ends at `foot`."""
    for _ in range(int(rng.integers(1, 5))):
        x, kind = rng.uniform(0, WIDTH), rng.integers(4)
        tone = choose(rng, [(120, 84, 58), (70, 90, 110), (170, 170, 166), (60, 96, 80), (186, 60, 50)])
        if kind == 0:
            w, h = rng.uniform(80, 120), rng.uniform(190, 250)
            rectangle(picture, x - 5, foot - h - 5, x + w + 5, foot, tone * 0.6)
            rectangle(picture, x, foot - h, x + w, foot, tone)
            for y in (0.1, 0.55):
                rectangle(picture, x + w * 0.15, foot - h * (1 - y), x + w * 0.85, foot - h * (0.65 - y), tone * 0.87)
            rectangle(picture, x + w * 0.86, foot - h * 0.5, x + w * 0.93, foot - h * 0.46, tone * 0.2 + 180)
        elif kind == 1:
            w, h, y = rng.uniform(30, 110), rng.uniform(36, 90), foot - rng.uniform(130, 260)
            rectangle(picture, x, y, x + w, y + h, tone * 0.3 + 165)
            for line in np.arange(0.15, 0.9, 0.15):
                rectangle(picture, x + w * 0.1, y + h * line, x + w * rng.uniform(0.4, 0.9), y + h * line + 3, tone)
        elif kind == 2:
            rectangle(picture, x, 0, x + 7, foot, tone * 0.8)
            rectangle(picture, x, 0, x + 2.5, foot, tone * 1.15)
        else:
            w, y = rng.uniform(14, 26), foot - rng.uniform(110, 200)
            rectangle(picture, x, y, x + w, y + w * 1.1, np.array((190.0, 36, 34)))
            rectangle(picture, x + w * 0.25, y + w * 0.3, x + w * 0.75, y + w * 0.8, np.array((232.0, 228, 220)))


def backdrop(rng: np.random.Generator) -> tuple[np.ndarray, float, bool]:
    """Paint a place without objects.

    Returns:
        The picture (480, 640, 3) float32 RGB; the row, in pixels, where the ground begins; and whether there is a wall
        down to that row that things can hang on.
    """
    picture = np.zeros((HEIGHT, WIDTH, 3), np.float32)
    close_wall = rng.random() < 0.5
    line = int(rng.uniform(270, 350) if close_wall else rng.uniform(180, 260))
    if close_wall:
        wall(picture[:line], rng)
        if rng.random() < 0.45:
            windows(picture[: line - int(rng.uniform(90, 150))], rng)
        on_the_wall(picture, rng, line)
        rectangle(picture, 0, line - rng.uniform(5, 14), WIDTH, line, picture[line - 3, 3] * rng.uniform(0.5, 0.8))
    else:
        sky(picture[:line], rng)
        x = rng.uniform(-120, 60)
        while x < WIDTH:
            w, top = rng.uniform(120, 330), int(line - rng.uniform(60, line * 0.95))
            x0, x1 = int(max(0, x)), int(min(WIDTH, x + w))
            if x1 - x0 > 40 and rng.random() < 0.75:
                house = picture[top:line, x0:x1].copy()
                wall(house, rng)
                windows(house, rng)
                picture[top:line, x0:x1] = house * rng.uniform(0.8, 1.1)
                rectangle(picture, x0, top - 4, x1, top, house[0, 0] * 0.5)
            x += w + rng.uniform(0, 90)
        for _ in range(int(rng.integers(1, 6))):
            tree(picture, rng, rng.uniform(0, WIDTH), line + rng.uniform(0, 12), rng.uniform(80, 230))
    grass = rng.random() < (0.25 if close_wall else 0.6)
    ground(picture[line:], rng, grass)
    if grass and rng.random() < 0.7:
        path(picture[line:], rng)
    for _ in range(int(rng.integers(0, 4))):
        depth = rng.uniform(0, 0.45)
        furniture(
            picture, rng, rng.uniform(0, WIDTH), line + depth * (HEIGHT - line), rng.uniform(70, 130) * (1 + depth)
        )
    return picture, float(line), close_wall
