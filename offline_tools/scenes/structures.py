# SPDX-License-Identifier: AGPL-3.0-only
"""Buildings, tents, barriers, poles and grandstands of the background."""

from __future__ import annotations

import numpy as np

from offline_tools.scenes.canvas import Canvas, Sprite, jitter, random_colour, shaded, writing

_WALLS = (
    (190, 200, 205), (160, 170, 175), (205, 210, 214), (95, 112, 145), (140, 172, 190), (150, 138, 128), (90, 92, 98),
)  # fmt: skip


def building(rng: np.random.Generator) -> Sprite:
    """A hall, an office block or a house, with windows and doors."""
    width, storeys = rng.uniform(12, 45), int(rng.choice([1, 1, 2, 3, 4]))
    height = 3.4 * storeys + rng.uniform(0.6, 2)
    canvas = Canvas(width, height + 2, 14)
    wall = jitter(_WALLS[rng.integers(len(_WALLS))], rng, 10)
    canvas.box(0, 0, width, height, wall)
    if rng.random() < 0.4:
        canvas.polygon(
            [(0, height), (width, height), (width * 0.93, height + 1.8), (width * 0.07, height + 1.8)],
            jitter((60, 75, 120), rng, 15),
        )
    else:
        canvas.box(0, height - 0.4, width, 0.5, shaded(wall, rng.uniform(0.5, 1.15)))
    pitch, share = rng.uniform(2.2, 4.5), rng.uniform(0.4, 0.85)
    for storey in range(storeys):
        band = rng.random() < 0.25
        for x in np.arange(0.8, width - 2, pitch):
            if band or rng.random() < 0.9:
                glass = shaded((112, 98, 82), rng.uniform(0.35, 1.3))
                canvas.box(x, 3.4 * storey + 1.1, pitch * (1.0 if band else share), 1.5, glass)
    for _ in range(rng.integers(0, 4)):
        x = rng.uniform(0, max(width - 4, 1))
        canvas.box(x, 0, 3.5, 2.9, jitter((120, 120, 122), rng, 14))
    if rng.random() < 0.4:
        x = rng.uniform(0, width * 0.6)
        canvas.box(x, height - 1.6, width * 0.3, 1.1, random_colour(rng, 0.8))
        writing(canvas, x + 0.3, height - 1.35, width * 0.27, 0.6, (240, 240, 240), rng)
    return canvas.sprite(rng, 5)


def tent(rng: np.random.Generator) -> Sprite:
    """One or several pavilions."""
    bays = int(rng.integers(1, 6))
    canvas = Canvas(3.2 * bays, 3.6, 26)
    roof = (232, 232, 230) if rng.random() < 0.65 else jitter((110, 60, 50), rng, 60)
    for bay in range(bays):
        x = 3.2 * bay + 0.1
        if rng.random() < 0.5:
            canvas.box(x, 0, 3, 2.2, shaded(roof, rng.uniform(0.45, 0.8)))
        for _ in range(rng.integers(0, 6)):
            canvas.box(x + rng.uniform(0, 2.4), 0, rng.uniform(0.2, 0.8), rng.uniform(0.5, 1.7), random_colour(rng))
        for leg in (0, 2.94):
            canvas.box(x + leg, 0, 0.06, 2.3, (150, 150, 150))
        canvas.polygon([(x - 0.08, 2.15), (x + 3.08, 2.15), (x + 1.5, 3.5)], roof)
        canvas.polygon([(x - 0.08, 2.15), (x + 1.2, 2.15), (x + 1.5, 3.5)], shaded(roof, 0.82))
        canvas.box(x - 0.08, 2.0, 3.16, 0.25, shaded(roof, 0.9))
    return canvas.sprite(rng, 3)


def barrier(rng: np.random.Generator) -> Sprite:
    """A long wall: concrete, red and white blocks, tyres, boards with writing, or a wire fence."""
    kind = rng.choice(["concrete", "blocks", "tyres", "boards", "fence"])
    length, height = 24.0, {"concrete": 1.0, "blocks": 0.8, "tyres": 1.0, "boards": 1.0, "fence": 2.2}[str(kind)]
    canvas = Canvas(length, height, 24)
    if kind == "concrete":
        canvas.box(0, 0, length, height, jitter((165, 172, 175), rng, 12))
        for x in np.arange(0, length, 3.0):
            canvas.box(x, 0, 0.08, height, (90, 95, 98))
    elif kind == "blocks":
        for number, x in enumerate(np.arange(0, length, 1.2)):
            canvas.box(x, 0, 1.15, height, jitter((45, 45, 190) if number % 2 else (225, 225, 225), rng, 10))
    elif kind == "tyres":
        for x in np.arange(0.3, length, 0.6):
            for y in np.arange(0.12, height, 0.24):
                canvas.box(x - 0.3, y - 0.12, 0.58, 0.22, jitter((34, 33, 33), rng, 6))
        if rng.random() < 0.5:
            canvas.box(0, height * 0.35, length, 0.3, jitter((200, 200, 205), rng, 20))
    elif kind == "boards":
        for x in np.arange(0, length, 4.0):
            colour = random_colour(rng, 0.7)
            canvas.box(x, 0.1, 3.95, height - 0.1, colour)
            ink = (240, 240, 240) if sum(colour) < 380 else (25, 25, 25)
            writing(canvas, x + 0.4, 0.35, 2.8, 0.4, ink, rng)
    else:
        sprite_pixels = canvas.alpha
        canvas.bgr[:] = (120, 122, 122)
        sprite_pixels[::6] = 90
        sprite_pixels[:, ::6] = 90
        for x in np.arange(0, length, 2.5):
            canvas.box(x, 0, 0.07, height, (128, 130, 130))
        canvas.box(0, height - 0.05, length, 0.05, (128, 130, 130))
    return canvas.sprite(rng, 5)


def pole(rng: np.random.Generator) -> Sprite:
    """A lamp post, a flag or a light tower."""
    height = rng.uniform(5, 14)
    canvas = Canvas(2.4, height, 20)
    grey = jitter((125, 128, 130), rng, 20)
    canvas.box(1.14, 0, 0.12, height - 0.2, grey)
    kind = rng.integers(3)
    if kind == 0:
        canvas.box(0.3, height - 0.25, 1.8, 0.14, grey)
    elif kind == 1:
        canvas.box(1.25, height * 0.45, 0.8, height * 0.5, random_colour(rng, 0.7))
    return canvas.sprite(rng, 3)


def stand(rng: np.random.Generator) -> Sprite:
    """A grandstand with seats and spectators under a roof."""
    width, height = 40.0, 9.0
    canvas = Canvas(width, height, 14)
    seat, wall = jitter((60, 60, 170), rng, 50), jitter((175, 180, 182), rng, 12)
    canvas.box(0, 0, width, 2.0, wall)
    for row in range(10):
        canvas.box(0, 2.0 + 0.5 * row, width, 0.5, shaded(seat, 0.6 + 0.05 * row))
        canvas.box(0, 2.0 + 0.5 * row, width, 0.16, shaded(wall, 0.7))
        for x in rng.uniform(0, width, rng.integers(4, 60)):
            canvas.disc(x, 2.4 + 0.5 * row, 0.16, random_colour(rng))
    canvas.box(0, 7.0, width, 1.0, (52, 52, 55))
    canvas.box(0, 7.8, width, 1.1, shaded(wall, 1.1))
    for x in np.arange(0.5, width, 6):
        canvas.box(x, 2, 0.25, 6, shaded(wall, 0.8))
    return canvas.sprite(rng, 4)
