# SPDX-License-Identifier: AGPL-3.0-only
"""Background objects as flat pictures: trees, buildings, vehicles, tents, barriers, poles and people."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from offline_tools.scenes.light import linear

Colour = tuple[float, float, float]

_WALLS = (
    (190, 200, 205), (160, 170, 175), (205, 210, 214), (95, 112, 145), (140, 172, 190), (150, 138, 128), (90, 92, 98),
)  # fmt: skip
_COACHWORK = (
    (225, 225, 225), (40, 40, 42), (120, 118, 115), (40, 40, 150), (140, 80, 40), (190, 190, 192), (60, 60, 62),
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Sprite:
    """Premultiplied linear BGR + coverage (h, w, 4) float32, and its size in metres."""

    pixels: np.ndarray
    width: float
    height: float


class _Canvas:
    """An sRGB drawing with coverage, in metres, origin at the lower left."""

    def __init__(self, width: float, height: float, scale: float) -> None:
        self.width, self.height, self.scale = width, height, scale
        size = (max(2, round(height * scale)), max(2, round(width * scale)))
        self.bgr = np.zeros((*size, 3), np.uint8)
        self.alpha = np.zeros(size, np.uint8)

    def _pixel(self, points: np.ndarray) -> np.ndarray:
        flipped = np.asarray(points, float) * [1, -1] + [0, self.height]
        return np.round(flipped * self.scale * 16).astype(np.int32)

    def polygon(self, points: list[tuple[float, float]], colour: Colour) -> None:
        """Fills a polygon; metres."""
        pixel = [self._pixel(np.array(points))]
        cv2.fillPoly(self.bgr, pixel, colour, shift=4)
        cv2.fillPoly(self.alpha, pixel, 255.0, shift=4)

    def box(self, x: float, y: float, width: float, height: float, colour: Colour) -> None:
        """Fills a rectangle from its lower left corner; metres."""
        self.polygon([(x, y), (x + width, y), (x + width, y + height), (x, y + height)], colour)

    def disc(self, x: float, y: float, radius: float, colour: Colour) -> None:
        """Fills a circle; metres."""
        scale = self.scale * 16
        centre = (int(x * scale), int((self.height - y) * scale))
        size = max(8, int(radius * scale))
        cv2.circle(self.bgr, centre, size, colour, -1, shift=4)
        cv2.circle(self.alpha, centre, size, 255.0, -1, shift=4)

    def sprite(self, rng: np.random.Generator, grain: float = 4.0) -> Sprite:
        """The finished picture, with slight stains."""
        noise = cv2.resize(rng.normal(0, grain, (9, 9)).astype(np.float32), self.alpha.shape[::-1])
        noise += rng.normal(0, grain * 0.6, self.alpha.shape)
        colour = linear(np.clip(self.bgr + noise[..., None], 0, 255))
        alpha = (self.alpha.astype(np.float32) / 255)[..., None]
        return Sprite(np.concatenate([colour * alpha, alpha], axis=2), self.width, self.height)


def _shade(colour: Colour, factor: float) -> Colour:
    return min(colour[0] * factor, 255.0), min(colour[1] * factor, 255.0), min(colour[2] * factor, 255.0)


def _random_colour(rng: np.random.Generator, vivid: float = 0.45) -> Colour:
    """A colour as objects outdoors have them: mostly dull."""
    grey = rng.uniform(30, 225)
    blue, green, red = np.clip(grey + vivid * rng.uniform(-160, 160, 3), 8, 245).tolist()
    return blue, green, red


def _jitter(colour: Colour, rng: np.random.Generator, spread: float = 12) -> Colour:
    blue, green, red = np.clip(np.array(colour) + rng.normal(0, spread, 3), 0, 255).tolist()
    return blue, green, red


def tree(rng: np.random.Generator) -> Sprite:
    """A broad-leaved tree or a conifer, from many lit clumps of leaves."""
    height = rng.uniform(6, 13)
    conifer = rng.random() < 0.25
    width = height * (rng.uniform(0.35, 0.5) if conifer else rng.uniform(0.7, 1.15))
    canvas = _Canvas(width, height, 20)
    trunk = height * (0.12 if conifer else rng.uniform(0.12, 0.25))
    canvas.box(width / 2 - 0.02 * height, 0, 0.04 * height, trunk * 2, (28, 34, 42))
    base = _jitter((30, 62, 52) if rng.random() < 0.8 else (28, 80, 95), rng, 10)
    count = 900
    if conifer:
        level = rng.beta(1.1, 1.6, count)
        x = width / 2 + rng.normal(0, 0.2, count) * width * (1 - level)
        y = trunk + level * (height - trunk)
        lift = rng.uniform(0.3, 0.9, count)
    else:
        lobes = np.stack(
            [
                rng.uniform(0.25, 0.75, 11) * width,
                rng.uniform(0.38, 0.84, 11) * height,
                rng.uniform(0.13, 0.22, 11) * width,
            ],
            axis=1,
        )
        for lobe_x, lobe_y, radius in lobes:
            canvas.disc(lobe_x, lobe_y, radius * 0.85, _shade(base, 0.42))
        lobe = lobes[rng.integers(len(lobes), size=count)]
        angle, reach = rng.uniform(0, 6.28, count), lobe[:, 2] * np.sqrt(rng.random(count))
        x = lobe[:, 0] + 1.15 * reach * np.cos(angle)
        y = lobe[:, 1] + reach * np.sin(angle) * 0.9
        lift = np.clip(0.5 + 0.5 * (y - lobe[:, 1]) / lobe[:, 2], 0, 1)
    lift = lift * 0.8 + 0.3 * rng.random(count)
    size = rng.uniform(0.010, 0.024, count) * height
    tone = (0.35 + 1.05 * lift) * rng.uniform(0.75, 1.1, count)
    for i in np.argsort(lift):
        canvas.disc(x[i], max(y[i], trunk), size[i], _shade(base, tone[i]))
    return canvas.sprite(rng, 5)


def hedge(rng: np.random.Generator) -> Sprite:
    """A long line of distant trees or bushes."""
    width, height = 60.0, rng.uniform(3, 9)
    canvas = _Canvas(width, height, 10)
    base = _jitter((34, 62, 54), rng, 9)
    crest = height * (0.66 + 0.2 * np.interp(np.arange(61), np.arange(0, 61, 4), rng.normal(0, 1, 16).clip(-1.5, 1.5)))
    canvas.polygon(
        [(0.0, 0.0), *((float(x), float(crest[x] * 0.8)) for x in range(61)), (width, 0.0)], _shade(base, 0.45)
    )
    x, lift = rng.uniform(0, width, 2600), rng.random(2600) ** 0.7
    y = lift * crest[x.astype(int)]
    tone, size = 0.4 + 0.85 * lift * rng.uniform(0.5, 1.2, 2600), rng.uniform(0.12, 0.42, 2600)
    for i in np.argsort(lift + 0.3 * rng.random(2600)):
        canvas.disc(x[i], y[i], size[i], _shade(base, tone[i]))
    return canvas.sprite(rng, 4)


def building(rng: np.random.Generator) -> Sprite:
    """A hall, an office block or a house, with windows and doors."""
    width, storeys = rng.uniform(12, 45), int(rng.choice([1, 1, 2, 3, 4]))
    height = 3.4 * storeys + rng.uniform(0.6, 2)
    canvas = _Canvas(width, height + 2, 14)
    wall = _jitter(_WALLS[rng.integers(len(_WALLS))], rng, 10)
    canvas.box(0, 0, width, height, wall)
    if rng.random() < 0.4:
        canvas.polygon(
            [(0, height), (width, height), (width * 0.93, height + 1.8), (width * 0.07, height + 1.8)],
            _jitter((60, 75, 120), rng, 15),
        )
    else:
        canvas.box(0, height - 0.4, width, 0.5, _shade(wall, rng.uniform(0.5, 1.15)))
    pitch, share = rng.uniform(2.2, 4.5), rng.uniform(0.4, 0.85)
    for storey in range(storeys):
        band = rng.random() < 0.25
        for x in np.arange(0.8, width - 2, pitch):
            if band or rng.random() < 0.9:
                glass = _shade((112, 98, 82), rng.uniform(0.35, 1.3))
                canvas.box(x, 3.4 * storey + 1.1, pitch * (1.0 if band else share), 1.5, glass)
    for _ in range(rng.integers(0, 4)):
        x = rng.uniform(0, max(width - 4, 1))
        canvas.box(x, 0, 3.5, 2.9, _jitter((120, 120, 122), rng, 40))
    if rng.random() < 0.4:
        x = rng.uniform(0, width * 0.6)
        canvas.box(x, height - 1.6, width * 0.3, 1.1, _random_colour(rng, 0.8))
        _writing(canvas, x + 0.3, height - 1.35, width * 0.27, 0.6, (240, 240, 240), rng)
    return canvas.sprite(rng, 5)


def _writing(
    canvas: _Canvas, x: float, y: float, width: float, height: float, ink: Colour, rng: np.random.Generator
) -> None:
    end = x + width
    while x < end:
        step = rng.uniform(0.3, 0.8) * height
        if rng.random() < 0.85:
            canvas.box(x, y, step * 0.35, height, ink)
            canvas.box(x, y + rng.choice([0.0, 0.4, 0.8]) * height, step * 0.8, height * 0.2, ink)
        x += step


def vehicle(rng: np.random.Generator) -> Sprite:
    """A car, a van or a lorry seen from the side."""
    kind = rng.choice(["car", "van", "lorry"], p=[0.5, 0.3, 0.2])
    length = {"car": 4.4, "van": 5.6, "lorry": 10.0}[kind] * rng.uniform(0.9, 1.1)
    height = {"car": 1.5, "van": 2.4, "lorry": 3.7}[kind] * rng.uniform(0.95, 1.05)
    canvas = _Canvas(length, height, 36)
    paint, glass = _jitter(_COACHWORK[rng.integers(len(_COACHWORK))], rng), (62, 52, 45)
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
            0, 0.22 * height, length * 0.76, height * 0.78, _jitter(_COACHWORK[rng.integers(len(_COACHWORK))], rng)
        )
        if rng.random() < 0.7:
            _writing(canvas, 0.8, 0.55 * height, length * 0.55, 0.9, _random_colour(rng), rng)
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


def tent(rng: np.random.Generator) -> Sprite:
    """One or several pavilions."""
    bays = int(rng.integers(1, 6))
    canvas = _Canvas(3.2 * bays, 3.6, 26)
    roof = (232, 232, 230) if rng.random() < 0.65 else _jitter((110, 60, 50), rng, 60)
    for bay in range(bays):
        x = 3.2 * bay + 0.1
        if rng.random() < 0.5:
            canvas.box(x, 0, 3, 2.2, _shade(roof, rng.uniform(0.45, 0.8)))
        for _ in range(rng.integers(0, 6)):
            canvas.box(x + rng.uniform(0, 2.4), 0, rng.uniform(0.2, 0.8), rng.uniform(0.5, 1.7), _random_colour(rng))
        for leg in (0, 2.94):
            canvas.box(x + leg, 0, 0.06, 2.3, (150, 150, 150))
        canvas.polygon([(x - 0.08, 2.15), (x + 3.08, 2.15), (x + 1.5, 3.5)], roof)
        canvas.polygon([(x - 0.08, 2.15), (x + 1.2, 2.15), (x + 1.5, 3.5)], _shade(roof, 0.82))
        canvas.box(x - 0.08, 2.0, 3.16, 0.25, _shade(roof, 0.9))
    return canvas.sprite(rng, 3)


def barrier(rng: np.random.Generator) -> Sprite:
    """A long wall: concrete, red and white blocks, tyres, boards with writing, or a wire fence."""
    kind = rng.choice(["concrete", "blocks", "tyres", "boards", "fence"])
    length, height = 24.0, {"concrete": 1.0, "blocks": 0.8, "tyres": 1.0, "boards": 1.0, "fence": 2.2}[str(kind)]
    canvas = _Canvas(length, height, 24)
    if kind == "concrete":
        canvas.box(0, 0, length, height, _jitter((165, 172, 175), rng, 12))
        for x in np.arange(0, length, 3.0):
            canvas.box(x, 0, 0.08, height, (90, 95, 98))
    elif kind == "blocks":
        for number, x in enumerate(np.arange(0, length, 1.2)):
            canvas.box(x, 0, 1.15, height, _jitter((45, 45, 190) if number % 2 else (225, 225, 225), rng, 10))
    elif kind == "tyres":
        for x in np.arange(0.3, length, 0.6):
            for y in np.arange(0.12, height, 0.24):
                canvas.box(x - 0.3, y - 0.12, 0.58, 0.22, _jitter((34, 33, 33), rng, 6))
        if rng.random() < 0.5:
            canvas.box(0, height * 0.35, length, 0.3, _jitter((200, 200, 205), rng, 20))
    elif kind == "boards":
        for x in np.arange(0, length, 4.0):
            colour = _random_colour(rng, 0.7)
            canvas.box(x, 0.1, 3.95, height - 0.1, colour)
            ink = (240, 240, 240) if sum(colour) < 380 else (25, 25, 25)
            _writing(canvas, x + 0.4, 0.35, 2.8, 0.4, ink, rng)
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
    canvas = _Canvas(2.4, height, 20)
    grey = _jitter((125, 128, 130), rng, 20)
    canvas.box(1.14, 0, 0.12, height - 0.2, grey)
    kind = rng.integers(3)
    if kind == 0:
        canvas.box(0.3, height - 0.25, 1.8, 0.14, grey)
    elif kind == 1:
        canvas.box(1.25, height * 0.45, 0.8, height * 0.5, _random_colour(rng, 0.7))
    return canvas.sprite(rng, 3)


def person(rng: np.random.Generator) -> Sprite:
    """A standing person, often in a safety vest."""
    canvas = _Canvas(0.8, 1.8, 48)
    vest = rng.random() < 0.55
    coat = ((40, 230, 235) if rng.random() < 0.6 else (20, 110, 250)) if vest else _random_colour(rng)
    legs = _jitter((60, 45, 40), rng, 18)
    stride = rng.uniform(0.02, 0.14)
    for side in (-1, 1):
        canvas.polygon(
            [(0.4 + side * stride, 0), (0.4 + side * (stride + 0.12), 0), (0.4 + side * 0.18, 0.9), (0.4, 0.9)], legs
        )
    canvas.polygon([(0.2, 0.85), (0.6, 0.85), (0.64, 1.5), (0.16, 1.5)], coat)
    arm = _shade(coat, 0.75)
    canvas.polygon([(0.1, 0.8), (0.2, 0.8), (0.24, 1.48), (0.15, 1.48)], arm)
    canvas.polygon([(0.6, 0.8), (0.7, 0.8), (0.66, 1.48), (0.57, 1.48)], arm)
    canvas.disc(0.4, 1.64, 0.13, _jitter((110, 140, 190), rng, 20))
    canvas.disc(0.4, 1.69, 0.12, _jitter((40, 45, 55), rng, 15))
    return canvas.sprite(rng, 3)


def stand(rng: np.random.Generator) -> Sprite:
    """A grandstand with seats and spectators under a roof."""
    width, height = 40.0, 9.0
    canvas = _Canvas(width, height, 14)
    seat, wall = _jitter((60, 60, 170), rng, 50), _jitter((175, 180, 182), rng, 12)
    canvas.box(0, 0, width, 2.0, wall)
    for row in range(10):
        canvas.box(0, 2.0 + 0.5 * row, width, 0.5, _shade(seat, 0.6 + 0.05 * row))
        canvas.box(0, 2.0 + 0.5 * row, width, 0.16, _shade(wall, 0.7))
        for x in rng.uniform(0, width, rng.integers(4, 60)):
            canvas.disc(x, 2.4 + 0.5 * row, 0.16, _random_colour(rng))
    canvas.box(0, 7.0, width, 1.0, (52, 52, 55))
    canvas.box(0, 7.8, width, 1.1, _shade(wall, 1.1))
    for x in np.arange(0.5, width, 6):
        canvas.box(x, 2, 0.25, 6, _shade(wall, 0.8))
    return canvas.sprite(rng, 4)


def hill(rng: np.random.Generator) -> Sprite:
    """A wooded ridge on the horizon, softened by haze when it is placed far away."""
    width, height = 900.0, rng.uniform(18, 70)
    canvas = _Canvas(width, height, 0.9)
    turn = np.linspace(0, np.pi, 120)
    ridge = height * 0.6 * np.sin(turn) ** 0.6
    for order in (3, 5, 9, 17, 31):
        ridge += height * 0.25 / order**0.8 * np.sin(order * turn + rng.uniform(0, 6.28)) * np.sin(turn)
    ridge = np.maximum(ridge + rng.normal(0, 0.008 * height, 120), 0)
    ridge *= height / ridge.max()
    line = list(zip((turn / np.pi * width).tolist(), ridge.tolist(), strict=True))
    canvas.polygon([(0.0, 0.0), *line, (width, 0.0)], _jitter((58, 84, 72), rng, 10))
    return canvas.sprite(rng, 9)


def clutter(rng: np.random.Generator) -> Sprite:
    """A barrel, a box, a stack of tyres, a bollard or a board: small things that are no cones."""
    kind = rng.choice(["barrel", "box", "tyres", "bollard", "board"])
    vivid = [(40, 40, 190), (170, 80, 30), (30, 190, 220), (30, 110, 235), (60, 130, 50), (215, 215, 215)]
    paint = _jitter(vivid[rng.integers(len(vivid))], rng)
    if kind == "barrel":
        canvas = _Canvas(0.6, 0.9, 90)
        for strip in range(12):
            tone = 0.55 + 0.5 * np.sin((strip + 1.5) / 13 * np.pi)
            canvas.box(strip * 0.05, 0, 0.05, 0.9, _shade(paint, tone))
        canvas.box(0, rng.uniform(0.3, 0.6), 0.6, 0.05, _shade(paint, 0.5))
    elif kind == "box":
        canvas = _Canvas(rng.uniform(0.4, 1.2), rng.uniform(0.3, 0.8), 70)
        canvas.box(0, 0, canvas.width, canvas.height, paint)
        canvas.box(0, canvas.height * 0.85, canvas.width, canvas.height * 0.15, _shade(paint, 1.25))
    elif kind == "tyres":
        canvas = _Canvas(0.62, 0.88, 80)
        for level in range(4):
            shade = _jitter((40, 40, 40) if rng.random() < 0.7 else (200, 200, 205), rng, 6)
            canvas.box(0.02, 0.22 * level, 0.58, 0.2, shade)
    elif kind == "bollard":
        canvas = _Canvas(0.16, 1.0, 100)
        canvas.box(0.02, 0, 0.12, 1.0, (220, 220, 220))
        for height in (0.2, 0.6):
            canvas.box(0.02, height, 0.12, 0.2, paint)
    else:
        canvas = _Canvas(0.9, 1.1, 70)
        canvas.box(0.05, 0, 0.06, 0.5, (60, 60, 60))
        canvas.box(0.79, 0, 0.06, 0.5, (60, 60, 60))
        canvas.box(0, 0.4, 0.9, 0.7, paint)
        _writing(canvas, 0.1, 0.65, 0.7, 0.2, (235, 235, 235), rng)
    return canvas.sprite(rng, 4)


_MAKERS: dict[str, tuple[Callable[[np.random.Generator], Sprite], int]] = {
    "tree": (tree, 24), "hedge": (hedge, 10), "building": (building, 16), "vehicle": (vehicle, 18), "tent": (tent, 8),
    "barrier": (barrier, 12), "pole": (pole, 8), "person": (person, 14), "stand": (stand, 3), "hill": (hill, 8),
    "clutter": (clutter, 30),
}  # fmt: skip


def sprite(kind: str, number: int) -> Sprite:
    """One sprite of a kind; the same number always gives the same picture."""
    return _made(kind, number % _MAKERS[kind][1])


@lru_cache(maxsize=256)
def _made(kind: str, index: int) -> Sprite:
    return _MAKERS[kind][0](np.random.default_rng([index, *kind.encode()]))
