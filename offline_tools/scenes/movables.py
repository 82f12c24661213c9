# SPDX-License-Identifier: AGPL-3.0-only
"""Vehicles, people and small things that are no cones."""

from __future__ import annotations

import numpy as np

from offline_tools.scenes.canvas import Canvas, Sprite, jitter, random_colour, shaded, writing

_COACHWORK = (
    (225, 225, 225), (40, 40, 42), (120, 118, 115), (40, 40, 150), (140, 80, 40), (190, 190, 192), (60, 60, 62),
)  # fmt: skip


def vehicle(rng: np.random.Generator) -> Sprite:
    """A car, a van or a lorry seen from the side."""
    kind = rng.choice(["car", "van", "lorry"], p=[0.5, 0.3, 0.2])
    length = {"car": 4.4, "van": 5.6, "lorry": 10.0}[kind] * rng.uniform(0.9, 1.1)
    height = {"car": 1.5, "van": 2.4, "lorry": 3.7}[kind] * rng.uniform(0.95, 1.05)
    canvas = Canvas(length, height, 36)
    paint, glass = jitter(_COACHWORK[rng.integers(len(_COACHWORK))], rng), (62, 52, 45)
    if kind == "car":
        roof = [
            (0.02, 0.25),
            (0.03, 0.55),
            (0.2, 0.62),
            (0.33, 0.98),
            (0.72, 0.98),
            (0.9, 0.62),
            (0.99, 0.52),
            (0.99, 0.22),
        ]
        window = [(0.26, 0.64), (0.36, 0.92), (0.70, 0.92), (0.83, 0.64)]
    elif kind == "van":
        roof = [(0.01, 0.18), (0.01, 0.98), (0.75, 0.98), (0.87, 0.62), (0.99, 0.5), (0.99, 0.18)]
        window = [(0.68, 0.6), (0.68, 0.88), (0.75, 0.88), (0.84, 0.6)]
    else:
        canvas.box(
            0, 0.22 * height, length * 0.76, height * 0.78, jitter(_COACHWORK[rng.integers(len(_COACHWORK))], rng)
        )
        if rng.random() < 0.7:
            writing(canvas, 0.8, 0.55 * height, length * 0.55, 0.9, random_colour(rng), rng)
        roof = [(0.78, 0.16), (0.78, 0.82), (0.95, 0.82), (0.99, 0.45), (0.99, 0.16)]
        window = [(0.86, 0.5), (0.86, 0.74), (0.94, 0.74), (0.97, 0.5)]
    canvas.polygon([(x * length, y * height) for x, y in roof], paint)
    canvas.polygon([(x * length, y * height) for x, y in window], glass)
    low = min(y for _, y in roof)
    canvas.box(0.03 * length, low * height * 0.6, 0.94 * length, 0.12 * height, (24, 24, 24))
    for x in (0.19, 0.80):
        canvas.disc(x * length, 0.34, 0.34, (22, 22, 22))
        canvas.disc(x * length, 0.34, 0.19, (130, 130, 130))
    return canvas.sprite(rng, 4)


def person(rng: np.random.Generator) -> Sprite:
    """A standing person, often in a safety vest."""
    canvas = Canvas(0.8, 1.8, 48)
    vest = rng.random() < 0.55
    coat = ((40, 230, 235) if rng.random() < 0.6 else (20, 110, 250)) if vest else random_colour(rng)
    legs = jitter((60, 45, 40), rng, 18)
    stride = rng.uniform(0.02, 0.14)
    for side in (-1, 1):
        canvas.polygon(
            [(0.4 + side * stride, 0), (0.4 + side * (stride + 0.12), 0), (0.4 + side * 0.18, 0.9), (0.4, 0.9)], legs
        )
    canvas.polygon([(0.2, 0.85), (0.6, 0.85), (0.64, 1.5), (0.16, 1.5)], coat)
    arm = shaded(coat, 0.75)
    canvas.polygon([(0.1, 0.8), (0.2, 0.8), (0.24, 1.48), (0.15, 1.48)], arm)
    canvas.polygon([(0.6, 0.8), (0.7, 0.8), (0.66, 1.48), (0.57, 1.48)], arm)
    canvas.disc(0.4, 1.64, 0.13, jitter((110, 140, 190), rng, 20))
    canvas.disc(0.4, 1.69, 0.12, jitter((40, 45, 55), rng, 15))
    return canvas.sprite(rng, 3)


def clutter(rng: np.random.Generator) -> Sprite:
    """A barrel, a box, a stack of tyres, a bollard or a board: small things that are no cones."""
    kind = rng.choice(["barrel", "box", "tyres", "bollard", "board"])
    vivid = [(40, 40, 190), (170, 80, 30), (30, 190, 220), (30, 110, 235), (60, 130, 50), (215, 215, 215)]
    paint = jitter(vivid[rng.integers(len(vivid))], rng)
    if kind == "barrel":
        canvas = Canvas(0.6, 0.9, 90)
        for strip in range(12):
            tone = 0.55 + 0.5 * np.sin((strip + 1.5) / 13 * np.pi)
            canvas.box(strip * 0.05, 0, 0.05, 0.9, shaded(paint, tone))
        canvas.box(0, rng.uniform(0.3, 0.6), 0.6, 0.05, shaded(paint, 0.5))
    elif kind == "box":
        canvas = Canvas(rng.uniform(0.4, 1.2), rng.uniform(0.3, 0.8), 70)
        canvas.box(0, 0, canvas.width, canvas.height, paint)
        canvas.box(0, canvas.height * 0.85, canvas.width, canvas.height * 0.15, shaded(paint, 1.25))
    elif kind == "tyres":
        canvas = Canvas(0.62, 0.88, 80)
        for level in range(4):
            shade = jitter((40, 40, 40) if rng.random() < 0.7 else (200, 200, 205), rng, 6)
            canvas.box(0.02, 0.22 * level, 0.58, 0.2, shade)
    elif kind == "bollard":
        canvas = Canvas(0.16, 1.0, 100)
        canvas.box(0.02, 0, 0.12, 1.0, (220, 220, 220))
        for height in (0.2, 0.6):
            canvas.box(0.02, height, 0.12, 0.2, paint)
    else:
        canvas = Canvas(0.9, 1.1, 70)
        canvas.box(0.05, 0, 0.06, 0.5, (60, 60, 60))
        canvas.box(0.79, 0, 0.06, 0.5, (60, 60, 60))
        canvas.box(0, 0.4, 0.9, 0.7, paint)
        writing(canvas, 0.1, 0.65, 0.7, 0.2, (235, 235, 235), rng)
    return canvas.sprite(rng, 4)
