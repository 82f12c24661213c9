# SPDX-License-Identifier: AGPL-3.0-only
"""What lies between a scene and a training picture: drops and dirt on the lens, and a video editor's graphics."""

from __future__ import annotations

import cv2
import numpy as np

_WORDS = ("LAP 3", "Mapping", "KM/H 43", "00:12.481", "REC", "cam 2", "Trackdrive", "v 8.2 m/s", "Autocross", "0.87")


def soil_lens(image: np.ndarray, rng: np.random.Generator, wet: bool) -> np.ndarray:
    """A picture (H, W, 3) uint8 through a lens with drops of water, or with specks of dirt that dim it."""
    height, width = image.shape[:2]
    mask = np.zeros((height, width), np.uint8)
    for _ in range(rng.integers(3, 16 if wet else 9)):
        centre = (int(rng.uniform(0, width)), int(rng.uniform(0, height)))
        radius = rng.uniform(0.006, 0.03 if wet else 0.02) * width
        axes = (int(radius) + 1, int(radius * rng.uniform(0.8, 1.4)) + 1)
        cv2.ellipse(mask, centre, axes, 0, 0, 360, float(rng.uniform(90, 230 if wet else 150)), -1)
    share = cv2.GaussianBlur(mask, (0, 0), width / 250).astype(np.float32)[..., None] / 255
    smeared = cv2.GaussianBlur(image, (0, 0), width / 90).astype(np.float32)
    smeared = smeared * 1.08 if wet else smeared * 0.55 + 12
    return np.clip(image + share * (smeared - image), 0, 255).astype(np.uint8)


def add_graphics(image: np.ndarray, rng: np.random.Generator) -> None:
    """Draws captions and a track map into a picture (H, W, 3) uint8, in place, as onboard videos have them."""
    height, width = image.shape[:2]
    scale = width / 640
    for _ in range(rng.integers(0, 4)):
        place = (int(rng.uniform(0.02, 0.8) * width), int(rng.choice([0.08, 0.14, 0.9, 0.96]) * height))
        ink = (255, 255, 255) if rng.random() < 0.7 else (0, 0, 0)
        word = _WORDS[rng.integers(len(_WORDS))]
        font = int(rng.choice([cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_DUPLEX, cv2.FONT_HERSHEY_PLAIN]))
        cv2.putText(image, word, place, font, rng.uniform(0.4, 0.8) * scale, ink, max(1, int(scale)), cv2.LINE_AA)
    if rng.random() < 0.6:
        turn = np.linspace(0, 2 * np.pi, 90)
        radius = 1 + 0.35 * np.sin(2 * turn + rng.uniform(0, 6)) + 0.2 * np.sin(3 * turn + rng.uniform(0, 6))
        shape = np.stack([np.cos(turn) * radius, np.sin(turn) * radius * 0.7], axis=1)
        middle = np.array([rng.choice([0.15, 0.85]) * width, 0.17 * height])
        colours = ((255, 255, 255), (60, 200, 60), (40, 160, 250), (255, 120, 40), (60, 220, 240))
        for ring in rng.permutation(3):
            points = middle + shape * 0.085 * width * (0.8 + 0.1 * ring)
            ink = colours[rng.integers(len(colours))]
            cv2.polylines(image, [(points * 16).astype(np.int32)], True, ink, 1, cv2.LINE_AA, 4)
            if rng.random() < 0.5:
                for point in points[:: rng.integers(4, 9)].astype(int).tolist():
                    cv2.circle(image, point, 1, colours[rng.integers(len(colours))], -1, cv2.LINE_AA)
