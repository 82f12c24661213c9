# SPDX-License-Identifier: AGPL-3.0-only
"""Trees, hedges and hills of the background."""

from __future__ import annotations

import numpy as np

from offline_tools.scenes.canvas import Canvas, Sprite, jitter, shaded


def tree(rng: np.random.Generator) -> Sprite:
    """A broad-leaved tree or a conifer, from many lit clumps of leaves."""
    height = rng.uniform(6, 13)
    conifer = rng.random() < 0.25
    width = height * (rng.uniform(0.35, 0.5) if conifer else rng.uniform(0.7, 1.15))
    canvas = Canvas(width, height, 20)
    trunk = height * (0.12 if conifer else rng.uniform(0.12, 0.25))
    canvas.box(width / 2 - 0.02 * height, 0, 0.04 * height, trunk * 2, (28, 34, 42))
    base = jitter((30, 62, 52) if rng.random() < 0.8 else (28, 80, 95), rng, 10)
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
            canvas.disc(lobe_x, lobe_y, radius * 0.85, shaded(base, 0.42))
        lobe = lobes[rng.integers(len(lobes), size=count)]
        angle, reach = rng.uniform(0, 6.28, count), lobe[:, 2] * np.sqrt(rng.random(count))
        x = lobe[:, 0] + 1.15 * reach * np.cos(angle)
        y = lobe[:, 1] + reach * np.sin(angle) * 0.9
        lift = np.clip(0.5 + 0.5 * (y - lobe[:, 1]) / lobe[:, 2], 0, 1)
    lift = lift * 0.8 + 0.3 * rng.random(count)
    size = rng.uniform(0.010, 0.024, count) * height
    tone = (0.35 + 1.05 * lift) * rng.uniform(0.75, 1.1, count)
    for i in np.argsort(lift):
        canvas.disc(x[i], max(y[i], trunk), size[i], shaded(base, tone[i]))
    return canvas.sprite(rng, 5)


def hedge(rng: np.random.Generator) -> Sprite:
    """A long line of distant trees or bushes."""
    width, height = 60.0, rng.uniform(3, 9)
    canvas = Canvas(width, height, 10)
    base = jitter((34, 62, 54), rng, 9)
    crest = height * (0.66 + 0.2 * np.interp(np.arange(61), np.arange(0, 61, 4), rng.normal(0, 1, 16).clip(-1.5, 1.5)))
    canvas.polygon(
        [(0.0, 0.0), *((float(x), float(crest[x] * 0.8)) for x in range(61)), (width, 0.0)], shaded(base, 0.45)
    )
    x, lift = rng.uniform(0, width, 2600), rng.random(2600) ** 0.7
    y = lift * crest[x.astype(int)]
    tone, size = 0.4 + 0.85 * lift * rng.uniform(0.5, 1.2, 2600), rng.uniform(0.12, 0.42, 2600)
    for i in np.argsort(lift + 0.3 * rng.random(2600)):
        canvas.disc(x[i], y[i], size[i], shaded(base, tone[i]))
    return canvas.sprite(rng, 4)


def hill(rng: np.random.Generator) -> Sprite:
    """A wooded ridge on the horizon, softened by haze when it is placed far away."""
    width, height = 900.0, rng.uniform(18, 70)
    canvas = Canvas(width, height, 0.9)
    turn = np.linspace(0, np.pi, 120)
    ridge = height * 0.6 * np.sin(turn) ** 0.6
    for order in (3, 5, 9, 17, 31):
        ridge += height * 0.25 / order**0.8 * np.sin(order * turn + rng.uniform(0, 6.28)) * np.sin(turn)
    ridge = np.maximum(ridge + rng.normal(0, 0.008 * height, 120), 0)
    ridge *= height / ridge.max()
    line = list(zip((turn / np.pi * width).tolist(), ridge.tolist(), strict=True))
    canvas.polygon([(0.0, 0.0), *line, (width, 0.0)], jitter((58, 84, 72), rng, 10))
    return canvas.sprite(rng, 9)
