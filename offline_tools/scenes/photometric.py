# SPDX-License-Identifier: AGPL-3.0-only
"""From radiance to an 8-bit picture: exposure, white balance, optics, motion, sensor noise, tone curve, compression."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import cv2
import numpy as np


@dataclass(frozen=True)
class Sensor:
    """How a camera turns radiance into a picture.

    Args:
        exposure: stops above (+) or below (-) the automatic exposure.
        white_balance: gains of blue, green, red.
        contrast: strength of the S curve, 0 to 1.
        saturation: 1 leaves colours as they are.
        vignette: light lost in the corners, 0 to 0.6.
        defocus: Gaussian blur in pixels.
        motion: length of the motion blur in pixels.
        motion_angle: its direction in radians.
        bloom: share of the brightest light that spreads.
        noise: deviation of the noise at mid-grey, in 8-bit steps.
        smear: 0 to 1, colour blurred as video codecs and denoisers do.
        sharpen: overshoot at edges, 0 to 1.
        detail: resolution that survives the video pipeline, 1 all.
        jpeg: quality of an earlier compression, 0 for none.
    """

    exposure: float = 0.0
    white_balance: tuple[float, float, float] = (1.0, 1.0, 1.0)
    contrast: float = 0.3
    saturation: float = 1.1
    vignette: float = 0.1
    defocus: float = 0.0
    motion: float = 0.0
    motion_angle: float = 0.0
    bloom: float = 0.02
    noise: float = 1.5
    smear: float = 0.2
    sharpen: float = 0.3
    detail: float = 1.0
    jpeg: int = 0

    def scaled(self, factor: float) -> Sensor:
        """The same optics on an image resized by `factor`."""
        return replace(self, defocus=self.defocus * factor, motion=self.motion * factor)


def sample_sensor(rng: np.random.Generator, weather: str) -> Sensor:
    """Draws a camera as teams use them: from a clean industrial one to a helmet camera's compressed video."""
    dark = weather == "dusk"
    quality = rng.random()
    return Sensor(
        exposure=float(np.clip(rng.normal(0.05, 0.5), -1.3, 0.9)),
        white_balance=(float(np.exp(rng.normal(0, 0.06))), 1.0, float(np.exp(rng.normal(0, 0.06)))),
        contrast=float(rng.uniform(0.0, 0.8)),
        saturation=float(rng.uniform(0.75, 1.4)),
        vignette=float(rng.choice([0.0, rng.uniform(0, 0.5)])),
        defocus=float(rng.choice([0.0, 0.3, rng.uniform(0.3, 1.6)], p=[0.4, 0.3, 0.3])),
        motion=float(rng.choice([0.0, rng.uniform(1, 9)], p=[0.6, 0.4])),
        motion_angle=float(rng.choice([0.0, np.pi / 2, rng.uniform(0, np.pi)])),
        bloom=float(rng.uniform(0.0, 0.06)),
        noise=float(rng.gamma(2.0, 0.9) * (2.2 if dark else 1.0)),
        smear=float(rng.uniform(0, 1)),
        sharpen=float(rng.uniform(0, 0.9)),
        detail=float(rng.uniform(0.45, 1.0) if quality < 0.4 else 1.0),
        jpeg=int(rng.uniform(28, 80)) if quality < 0.5 else 0,
    )


def auto_exposure(radiance: np.ndarray) -> float:
    """Gain that puts the geometric mean of the lower two thirds of the picture at 0.2."""
    part = radiance[len(radiance) // 3 :: 8, ::8].mean(axis=2)
    return float(0.2 / np.exp(np.log(part + 1e-3).mean()))


def develop(radiance: np.ndarray, sensor: Sensor, gain: float, rng: np.random.Generator) -> np.ndarray:
    """The picture of a radiance image.

    Args:
        radiance: (H, W, 3) float32 linear BGR; not changed.
        gain: of the automatic exposure, see `auto_exposure`.
        rng: of the noise.

    Returns:
        (H, W, 3) uint8 BGR.
    """
    height, width = radiance.shape[:2]
    light = radiance * (np.array(sensor.white_balance, np.float32) * np.float32(gain * 2.0**sensor.exposure))
    np.minimum(light, np.float32(12.0), out=light)
    if sensor.bloom > 0:
        small = cv2.resize(np.maximum(light - 1.0, 0), (width // 8, height // 8), interpolation=cv2.INTER_AREA)
        glow = cv2.GaussianBlur(small, (0, 0), width / 100) + 0.6 * cv2.GaussianBlur(small, (0, 0), width / 35)
        light += np.float32(sensor.bloom * 2) * cv2.resize(glow, (width, height), interpolation=cv2.INTER_LINEAR)
    light = _blurred(light, sensor)
    if sensor.vignette:
        y = np.linspace(-1, 1, height, dtype=np.float32)[:, None] ** 2
        x = np.linspace(-1, 1, width, dtype=np.float32)[None, :] ** 2
        light *= (1.0 - np.float32(sensor.vignette) * ((x + y) / 2) ** 1.3)[..., None]
    coded = _tone(light, sensor)
    if sensor.noise:
        coded += _noise(coded, sensor, rng)
    if sensor.smear > 0.05 or sensor.saturation != 1.0:
        coded = _chroma(coded, sensor)
    if sensor.sharpen:
        coded += np.float32(sensor.sharpen) * (coded - cv2.GaussianBlur(coded, (0, 0), max(0.8, width / 900)))
    picture = np.clip(coded + np.float32(0.5), 0, 255).astype(np.uint8)
    if sensor.detail < 1:
        size = (round(width * sensor.detail), round(height * sensor.detail))
        picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    if sensor.jpeg:
        packed = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, sensor.jpeg])[1]
        picture = np.asarray(cv2.imdecode(packed, cv2.IMREAD_COLOR))
    if sensor.detail < 1:
        picture = cv2.resize(picture, (width, height), interpolation=cv2.INTER_CUBIC)
    return picture


def _blurred(light: np.ndarray, sensor: Sensor) -> np.ndarray:
    if sensor.motion > 1:
        size = int(sensor.motion) | 1
        kernel = np.zeros((size, size), np.float32)
        reach = np.array([np.cos(sensor.motion_angle), np.sin(sensor.motion_angle)]) * (size - 1) / 2
        middle = (size - 1) / 2
        start, end = np.round((middle - reach) * 16).astype(int), np.round((middle + reach) * 16).astype(int)
        cv2.line(kernel, start.tolist(), end.tolist(), 1.0, 1, cv2.LINE_8, 4)
        light = cv2.filter2D(light, -1, kernel / kernel.sum())
    if sensor.defocus > 0.2:
        light = cv2.GaussianBlur(light, (0, 0), sensor.defocus)
    return light


_STEPS = 4096


def _tone(light: np.ndarray, sensor: Sensor) -> np.ndarray:
    """8-bit values as float32, through a table: filmic shoulder, sRGB-like gamma, S curve."""
    x = np.linspace(0, 1, _STEPS, dtype=np.float64) ** 2 * 6.0
    y = x * (1 + x / 9.0) / (0.85 + x)
    y = np.clip(y * 1.08, 0, 1) ** (1 / 2.2)
    curve = y * y * (3 - 2 * y)
    table = ((1 - sensor.contrast) * y + sensor.contrast * curve) * 255
    index = np.sqrt(np.clip(light * np.float32(1 / 6.0), 0, 1)) * np.float32(_STEPS - 1)
    return table.astype(np.float32)[index.astype(np.int16)]


_SLACK = 512


@lru_cache(maxsize=2)
def _noise_bank(height: int, width: int) -> np.ndarray:
    """A field of normal deviates larger than the picture: windows of it cost nothing and look independent."""
    return np.random.default_rng(5).standard_normal((height + _SLACK, width + _SLACK), dtype=np.float32)


def _noise(coded: np.ndarray, sensor: Sensor, rng: np.random.Generator) -> np.ndarray:
    height, width = coded.shape[:2]
    bank = _noise_bank(height, width)
    planes = [
        bank[top : top + height, left : left + width]
        for top, left in zip(rng.integers(0, _SLACK, 4), rng.integers(0, _SLACK, 4), strict=True)
    ]
    grey, colour = planes[0], cv2.merge(planes[1:])
    # Shot noise, seen through the tone curve: the shadows show more of it than the lights.
    strength = np.float32(sensor.noise) * (0.55 + 0.9 * np.sqrt(np.clip(1.0 - coded[..., 1] / 300.0, 0, 1)))
    colour *= np.float32(0.5)
    colour += np.float32(0.8) * grey[..., None]
    colour *= strength[..., None]
    return colour


def _chroma(coded: np.ndarray, sensor: Sensor) -> np.ndarray:
    height, width = coded.shape[:2]
    luma = (coded @ np.array([0.114, 0.587, 0.299], np.float32))[..., None]
    colour = coded - luma
    if sensor.smear > 0.05:
        factor = 1.0 + 2.0 * sensor.smear
        size = (round(width / factor), round(height / factor))
        colour = cv2.resize(
            cv2.resize(colour, size, interpolation=cv2.INTER_AREA), (width, height), interpolation=cv2.INTER_LINEAR
        )
    return luma + colour * np.float32(sensor.saturation)
