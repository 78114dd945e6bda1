"""The classes of the sample that have limbs: people, dogs and horse statues, each a parametric drawing.

A drawing is a list of `Part`, back to front, in metres: x to the right, y down, the foot of the object at y = 0.
Everything faces right; `campus_scenes.render_object` mirrors, scales and shades it. Colours are RGB, 0 to 255.
"""

import numpy as np
from shapes import Part, blob, box, disc, outline, pick, stroke, turned

SKIN = [(233, 194, 166), (214, 165, 130), (168, 112, 78), (112, 72, 50)]
HAIR = [(38, 28, 24), (82, 54, 34), (150, 104, 58), (205, 170, 110), (120, 118, 116)]
CLOTHES = [
    *[(190, 44, 48), (36, 62, 130), (40, 110, 70), (225, 222, 214), (48, 48, 54), (222, 170, 44)],
    *[(104, 60, 128), (92, 148, 196), (206, 112, 60), (118, 122, 128)],
]
TROUSERS = [(44, 58, 96), (38, 38, 44), (122, 104, 78), (92, 98, 104), (70, 90, 120)]
BRONZE = [(104, 76, 48), (74, 62, 50), (92, 128, 112), (150, 148, 142), (58, 56, 56)]
STONE = [(176, 170, 160), (146, 142, 138), (190, 178, 156), (126, 112, 104)]
COAT = [(132, 88, 52), (48, 42, 40), (214, 188, 146), (226, 220, 210), (168, 112, 64), (98, 92, 88)]


def person(rng: np.random.Generator) -> list[Part]:
    """A person of about 1.75 m, standing or walking, seen from the front, the back or the side."""
    skin, top, hair = pick(rng, SKIN), pick(rng, CLOTHES, 20), pick(rng, HAIR, 8)
    trousers, shoes = pick(rng, TROUSERS), pick(rng, [(40, 38, 38), (225, 225, 225), (120, 70, 40)])
    view = rng.choice(["front", "back", "side"], p=[0.4, 0.2, 0.4])
    side, build = view == "side", rng.uniform(0.9, 1.2)
    long_sleeves, shorts = rng.random() < 0.6, rng.random() < 0.2
    stride = rng.uniform(0.08, 0.34) if side else rng.uniform(0.0, 0.05)
    hip, shoulder = (0.03, 0.05) if side else (0.10 * build, 0.19 * build)

    def leg(k: int) -> list[Part]:
        foot = k * (stride if side else hip + stride)
        knee = 0.5 * (k * hip + foot) + (0.07 if side else 0)
        lift = -0.07 if side and k < 0 else 0.0
        cut = -0.5 if shorts else -0.1
        lower = [(knee, -0.47, 0.082), (foot, -0.09 + lift, 0.062)]
        shoe = stroke((foot - 0.02, -0.05 + lift, 0.055), (foot + (0.14 if side else 0.03 * k), -0.045, 0.05))
        shade = 0.82 if k < 0 else 1.0
        cover = [(k * hip, -0.86, 0.115 * build), (knee, -0.47, 0.092)]
        if not shorts:
            cover.append((foot, cut + lift, 0.075))
        return [Part(stroke(*lower), skin * shade), Part(shoe, shoes * shade), Part(stroke(*cover), trousers * shade)]

    def arm(k: int) -> list[Part]:
        pose = rng.choice(["down", "bent", "raised"], p=[0.66, 0.26, 0.08])
        swing = -k * stride * 0.75 if side else k * rng.uniform(0.04, 0.14)
        x = k * shoulder
        elbow, hand = (x + 0.5 * swing, -1.14), (x + swing + (0.05 if side else 0), -0.88)
        if pose == "bent":
            hand = (elbow[0] + (0.22 if side else -0.16 * k), -1.24 if side else -1.08)
        elif pose == "raised":
            elbow, hand = (x + (0.2 if side else 0.2 * k), -1.42), (x + (0.25 if side else 0.26 * k), -1.72)
        shade = 0.85 if k < 0 else 0.95
        bare = stroke((*elbow, 0.05), (*hand, 0.042), smooth=False) + disc(*hand, 0.055)
        sleeve = [(x, -1.38, 0.07), (*elbow, 0.06)] + ([(*hand, 0.052)] if long_sleeves else [])
        return [Part(bare, skin), Part(stroke(*sleeve, smooth=False), top * shade)]

    if side:
        torso = blob(
            (-0.13, -1.4), (0.0, -1.47), (0.1, -1.42), (0.15, -1.18), (0.12, -0.85), (-0.13, -0.84), (-0.15, -1.2)
        )
        torso = [piece * (build, 1) for piece in torso]
    else:
        half = [(0.09, -1.47), (0.24, -1.4), (0.2, -1.12), (0.19, -0.84)]
        torso = blob(*[(x * build, y) for x, y in half], *[(-x * build, y) for x, y in half[::-1]])
    parts = arm(-1) if side else []
    parts += leg(-1) + leg(1)
    if rng.random() < 0.2:
        parts.append(Part(outline((-0.15, -0.98), (0.15, -0.98), (0.27, -0.5), (-0.27, -0.5)), pick(rng, CLOTHES)))
    bag = rng.random() < 0.3
    if bag and side:
        parts.append(Part(blob((-0.1, -1.44), (-0.1, -0.98), (-0.34, -0.98), (-0.32, -1.36)), pick(rng, CLOTHES)))
    parts.append(Part(torso, top, 0.5))
    if bag and view == "back":
        parts.append(Part(blob((-0.15, -1.4), (0.15, -1.4), (0.17, -0.98), (-0.17, -0.98)), pick(rng, CLOTHES), 0.6))
    elif view == "front" and rng.random() < 0.5:
        parts.append(Part(box(-0.1, -1.3, 0.1, -1.16), pick(rng, CLOTHES), 0.1))
    parts += arm(1) if side else arm(-1) + arm(1)
    long_hair = rng.random() < 0.4
    if long_hair and view != "back":
        back = -0.05 if side else 0.0
        parts.append(
            Part(
                blob((-0.13 + back, -1.66), (0, -1.77), (0.12 + back, -1.6), (0.13 + 2 * back, -1.38), (-0.14, -1.38)),
                hair,
            )
        )
    parts.append(Part(stroke((0, -1.52, 0.06), (0, -1.44, 0.065)), skin * 0.85))
    parts.append(Part(disc(0.015 if side else 0, -1.61, 0.105, 0.137), skin, 0.5))
    if view == "front":
        parts.append(
            Part(
                blob(
                    (-0.11, -1.6), (-0.1, -1.72), (0, -1.77), (0.1, -1.72), (0.11, -1.6), (0.06, -1.68), (-0.06, -1.68)
                ),
                hair,
            )
        )
        parts += [Part(disc(x, -1.615, 0.013), np.array((40.0, 30, 30)), 0) for x in (-0.042, 0.042)]
        parts.append(Part(disc(0, -1.54, 0.032, 0.01), np.array((150.0, 70, 70)), 0))
    elif view == "back":
        low = -1.38 if long_hair else -1.55
        parts.append(
            Part(blob((-0.115, -1.62), (-0.08, -1.74), (0.08, -1.74), (0.115, -1.62), (0.1, low), (-0.1, low)), hair)
        )
    else:
        parts.append(Part(disc(0.12, -1.6, 0.025), skin, 0.2))
        parts.append(
            Part(blob((0.1, -1.7), (0.0, -1.77), (-0.11, -1.7), (-0.11, -1.55), (-0.04, -1.55), (0, -1.67)), hair)
        )
    return parts


def dog(rng: np.random.Generator) -> list[Part]:
    """A dog from the side, standing or sitting."""
    coat = pick(rng, COAT, 10)
    dark, patch = coat * 0.72, pick(rng, COAT, 10)
    sitting = rng.random() < 0.3
    leg, build, snout = rng.uniform(0.3, 0.42), rng.uniform(0.9, 1.2), rng.uniform(0.13, 0.2)
    back = leg + 0.27 * build
    pitch = rng.uniform(34, 44) if sitting else rng.uniform(-3, 5)
    pivot = (-0.3, -0.18 if sitting else -leg - 0.1)
    lower = leg + 0.1 - 0.18 if sitting else 0.0  # a sitting dog's rump comes down to its pivot

    def body(pieces: list[np.ndarray]) -> list[np.ndarray]:
        return turned([piece + (0, lower) for piece in pieces], pitch, *pivot)

    wag = rng.uniform(-0.05, 0.2)
    parts = []
    chest = float(body([np.array([(0.22, -leg - 0.08)])])[0][0, 0])
    chest_y = float(body([np.array([(0.22, -leg - 0.08)])])[0][0, 1])
    for far in (True, False):
        shade, shift = (dark, 0.09) if far else (coat, 0.0)
        step = rng.uniform(-0.07, 0.07)
        fore = stroke(
            (chest + shift * 0.6, chest_y, 0.09), (chest + shift, -0.2, 0.055), (chest + shift + step, -0.045, 0.052)
        )
        paw = stroke((chest + shift + step, -0.04, 0.045), (chest + shift + step + 0.07, -0.036, 0.036))
        if sitting:
            hind = stroke((-0.28, -0.2, 0.14), (-0.1, -0.2, 0.12), (-0.06, -0.1, 0.08)) + stroke(
                (-0.2, -0.05, 0.05), (0.04, -0.045, 0.045)
            )
        else:
            x = -0.32 + shift
            knee = [
                (x + 0.04, -leg - 0.08, 0.12),
                (x + 0.05, -leg * 0.62, 0.075),
                (x - 0.05 - step, -leg * 0.36, 0.055),
                (x - step, -0.045, 0.052),
            ]
            hind = stroke(*knee) + stroke((x - step, -0.04, 0.045), (x - step + 0.07, -0.036, 0.036))
        limbs = [Part(fore + paw, shade, 0.55), Part(hind, shade, 0.55)]
        if far:
            parts += limbs
            tail = [(-0.38, -back + 0.06, 0.05), (-0.54, -back - wag * 0.6, 0.048), (-0.64, -back - 0.06 - wag, 0.034)]
            if sitting:
                tail = [(-0.36, -0.12, 0.05), (-0.5, -0.06, 0.048), (-0.62, -0.1, 0.036)]
            parts.append(Part(stroke(*tail), dark))
            trunk = [
                (-0.42, -back + 0.07),
                (-0.28, -back),
                (0.1, -back + 0.01),
                (0.3, -back + 0.02),
                (0.36, -leg - 0.1),
            ]
            trunk += [(0.24, -leg + 0.01), (0.0, -leg - 0.02), (-0.24, -leg - 0.07), (-0.4, -leg - 0.08)]
            parts.append(Part(body(blob(*trunk)), coat, 0.7, 0.09))
            if rng.random() < 0.4:
                parts.append(Part(body(disc(rng.uniform(-0.2, 0.1), -back + 0.1, 0.13, 0.075)), patch, 0.2, 0.09))
        else:
            parts += limbs
    neck_x, neck_y = body([np.array([(0.27, -back + 0.1)])])[0][0]
    head_x, head_y = neck_x + (0.11 if sitting else 0.17), neck_y - (0.2 if sitting else 0.21)
    parts.append(Part(stroke((neck_x, neck_y, 0.13), (head_x, head_y, 0.1), smooth=False), coat, 0.5, 0.09))
    if rng.random() < 0.6:
        t = 0.55
        x, y = neck_x + t * (head_x - neck_x), neck_y + t * (head_y - neck_y)
        collar = stroke((x - 0.1, y - 0.045, 0.022), (x + 0.1, y + 0.045, 0.022), smooth=False)
        parts.append(Part(collar, pick(rng, CLOTHES), 0.3))
    parts.append(
        Part(
            stroke((head_x + 0.05, head_y + 0.02, 0.085), (head_x + 0.05 + snout, head_y + 0.05, 0.052), smooth=False),
            coat * 1.06,
            0.5,
        )
    )
    parts.append(Part(disc(head_x, head_y, 0.125, 0.118), coat, 0.5, 0.06))
    parts.append(Part(disc(head_x + 0.09 + snout, head_y + 0.025, 0.028, 0.024), np.array((24.0, 22, 22)), 0.2))
    parts.append(Part(disc(head_x + 0.06, head_y - 0.035, 0.018), np.array((22.0, 18, 16)), 0))
    if rng.random() < 0.5:
        ear = blob(
            (head_x - 0.08, head_y - 0.1),
            (head_x + 0.0, head_y - 0.09),
            (head_x - 0.02, head_y + 0.07),
            (head_x - 0.1, head_y + 0.1),
        )
    else:
        ear = outline((head_x - 0.11, head_y - 0.04), (head_x - 0.07, head_y - 0.23), (head_x + 0.03, head_y - 0.09))
    parts.append(Part(ear, dark, 0.3))
    return parts


def horse_statue(rng: np.random.Generator) -> list[Part]:
    """A horse of bronze or stone on a plinth: standing, with a raised foreleg, or rearing."""
    metal, stone = pick(rng, BRONZE, 7), pick(rng, STONE, 7)
    pose = rng.choice(["standing", "trotting", "rearing"], p=[0.35, 0.35, 0.3])
    tilt = {"standing": 0.0, "trotting": rng.uniform(0, 6), "rearing": rng.uniform(24, 40)}[pose]
    girth = rng.uniform(0.95, 1.12)

    def body(pieces: list[np.ndarray]) -> list[np.ndarray]:
        return turned(pieces, tilt, -0.6, -1.0)

    def hind(x: float, shade: float) -> Part:
        knee = x + (0.16 if pose == "rearing" else 0.04)
        leg = [
            (-0.58, -1.05, 0.22),
            (knee, -0.7, 0.14),
            (x - 0.1, -0.4, 0.09),
            (x, -0.08, 0.075),
            (x + 0.05, -0.02, 0.09),
        ]
        return Part(stroke(*leg), metal * shade, 0.6, 0.06)

    def fore(x: float, raised: bool, shade: float) -> Part:
        if raised:
            fold = rng.uniform(-0.05, 0.1)
            leg = [(0.46, -1.02, 0.18), (0.84, -0.86, 0.1), (0.78 + fold, -0.52, 0.075), (0.7 + fold, -0.42, 0.085)]
        else:
            leg = [(0.46, -1.0, 0.18), (x, -0.52, 0.1), (x - 0.01, -0.1, 0.075), (x + 0.03, -0.02, 0.09)]
        pieces = stroke(*leg)
        return Part(body(pieces) if pose == "rearing" else pieces, metal * shade, 0.6, 0.06)

    rearing = pose == "rearing"
    tail = [(-0.82, -1.28, 0.08), (-1.08, -1.12, 0.12), (-1.14, -0.7, 0.11), (-1.06, -0.42, 0.05)]
    parts = [hind(-0.52, 0.72), fore(0.52, rearing, 0.72), Part(stroke(*tail), metal * 0.8, 0.6, 0.1)]
    trunk = [
        (-0.86, -1.2),
        (-0.62, -1.44),
        (-0.1, -1.36),
        (0.36, -1.44),
        (0.66, -1.28),
        (0.66, -1.0),
        (0.4, -0.84),
        (-0.1, -0.86),
        (-0.55, -0.86),
    ]
    trunk = [(x, -1.15 + (y + 1.15) * girth) for x, y in trunk]
    neck = blob((0.16, -1.36), (0.5, -1.74), (0.74, -2.06), (0.98, -1.98), (0.9, -1.62), (0.72, -1.12), (0.4, -1.1))
    nod = rng.uniform(-14, 16)
    head = turned(stroke((0.84, -1.96, 0.15), (1.06, -1.74, 0.115), (1.22, -1.58, 0.095)), nod, 0.84, -1.96)
    ears = turned(outline((0.74, -2.04), (0.8, -2.26), (0.9, -2.06)), nod, 0.84, -1.96)
    mane = stroke((0.18, -1.42, 0.06), (0.5, -1.8, 0.085), (0.76, -2.1, 0.06))
    parts.append(Part(body(mane), metal * 0.7, 0.5, 0.14))
    parts.append(Part(body(blob(*trunk)), metal, 0.75, 0.06))
    parts.append(Part(body(neck), metal, 0.5, 0.06))
    parts.append(Part(body(head + ears), metal * 1.05, 0.6, 0.05))
    parts.append(Part(body(turned(disc(0.94, -1.92, 0.03), nod, 0.84, -1.96)), metal * 0.4, 0, 0))
    parts += [hind(-0.72, 1.0), fore(0.44, pose != "standing", 1.0)]
    height, half = rng.uniform(0.5, 1.05), rng.uniform(0.95, 1.15)
    centre = -0.35 if rearing else -0.1
    plinth = [
        (half * 1.06, 0.0, 0.14, 1.1),
        (half, 0.13, height - 0.16, 0.95),
        (half * 1.14, height - 0.17, height, 1.02),
    ]
    parts += [Part(box(centre - w, y0, centre + w, y1), stone * shade, 0.35, 0.1) for w, y0, y1, shade in plinth]
    middle = height / 2
    parts.append(Part(box(centre - 0.36, middle - 0.1, centre + 0.36, middle + 0.1), metal * 0.8 + 30, 0.3))
    return [part._replace(pieces=[piece - (0, height) for piece in part.pieces]) for part in parts]
