# SPDX-License-Identifier: AGPL-3.0-only
"""Sky radiance: gradient, sun glow and a layer of clouds, for any direction."""

from __future__ import annotations

import numpy as np

from offline_tools.scenes.light import Light
from offline_tools.scenes.noise import sample


def render_sky(rays: np.ndarray, light: Light, seed: int) -> np.ndarray:
    """Radiance of the sky.

    Args:
        rays: (H, W, 3) float32 world directions, any length.

    Returns:
        (H, W, 3) float32 linear BGR.
    """
    unit = rays / np.sqrt((rays * rays).sum(axis=2, keepdims=True))
    up = np.clip(unit[..., 2], 0.0, 1.0)
    blend = np.exp(-up * np.float32(4.0))[..., None]
    zenith, horizon = light.zenith.astype(np.float32), light.horizon.astype(np.float32)
    sky = zenith + blend * (horizon - zenith)
    toward = np.maximum(unit @ light.sun_direction.astype(np.float32), 0.0)
    shine = np.float32(0.25) * toward**6 + np.float32(0.5) * toward**40 + np.float32(1.5) * toward**400
    if light.cloud_cover < 0.8:
        shine += np.float32(30.0) * np.clip((toward - np.float32(0.99972)) * 5000, 0, 1)
    sky += shine[..., None] * (light.sun * 0.5).astype(np.float32)
    if light.cloud_cover > 0:
        _add_clouds(sky, unit, up, toward, light, seed)
    return sky


def _add_clouds(sky: np.ndarray, unit: np.ndarray, up: np.ndarray, toward: np.ndarray, light: Light, seed: int) -> None:
    scale = 1.0 / (up + np.float32(0.10))
    x, y = unit[..., 0] * scale, unit[..., 1] * scale
    density = np.zeros(x.shape, np.float32)
    for octave, amplitude in enumerate((1.0, 0.5, 0.3, 0.18, 0.1)):
        density += np.float32(amplitude) * sample("smooth", x, y, 2.6 / 2.1**octave, seed + octave)
    grey = (light.sky * 0.9).astype(np.float32)
    if light.cloud_cover >= 0.8:
        # A closed cover: only its thickness varies.
        deck = grey * (np.float32(1.0) - np.float32(0.16) * np.clip(density, -1.6, 1.6))[..., None]
        deck += (np.exp(-up * 6) * np.float32(0.25))[..., None] * light.horizon.astype(np.float32)
        sky += np.float32(light.cloud_cover) * (deck - sky)
        return
    threshold = np.float32(1.25 - 2.2 * light.cloud_cover)
    cover = np.clip((density - threshold) * np.float32(0.8), 0, 1)
    cover = cover * cover * (3 - 2 * cover) * np.clip(up * 22, 0, 1)
    thick = np.clip((density - threshold - np.float32(0.5)) * np.float32(0.6), 0, 1)
    bright = (grey + light.sun * 0.32 + light.zenith * 0.15).astype(np.float32)
    lit = bright * (np.float32(1.0) - np.float32(0.38) * thick)[..., None]
    lit += (toward**8 * (1 - thick))[..., None] * (light.sun * 0.25).astype(np.float32)
    sky += (cover * np.float32(0.92))[..., None] * (lit - sky)
