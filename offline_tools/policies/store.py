# SPDX-License-Identifier: AGPL-3.0-only
"""An engine that runs each pass over each frame once and remembers: a sweep then costs no network."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cone_detector.engine.contract import ROWS, Engine, PassTimes
from cone_detector.engine.manifest import Manifest
from cone_detector.frames import Frame
from cone_detector.letterbox import Letterbox, LetterboxWriter

# Rows below are never asked for: the lowest confidence that a setting allows.
_FLOOR = 0.01


class RowStore:
    """A `cone_detector.engine.contract.Engine` over the real one, with a memory by frame, pass and strip."""

    def __init__(self, engine: Engine, file: Path | None = None) -> None:
        """file: keeps the rows from run to run; it must belong to this engine and these frames."""
        self._engine = engine
        self._file = file
        self._kept: dict[str, NDArray[np.float32]] = {}
        if file is not None and file.exists():
            with np.load(file) as found:
                self._kept = dict(found)
        self._known = len(self._kept)
        self._writer = LetterboxWriter()
        self._frame = ""
        self._read: Callable[[], tuple[Frame, Frame]] | None = None
        self._frames: tuple[Frame, ...] = ()
        self._boxes: dict[int, Letterbox] = {}
        self.manifests: Mapping[str, Manifest] = engine.manifests
        self.slots = engine.slots
        # The store writes close-ups itself, from frames that it decodes only where it must.
        self.close_ups: Mapping[str, NDArray[np.uint8]] = {}
        self.times = PassTimes()
        self.device = engine.device
        self.off_cpu = engine.off_cpu
        self.notes: tuple[str, ...] = ()

    def show(self, frame: str, read: Callable[[], tuple[Frame, Frame]]) -> None:
        """Makes `frame` the one that `infer` sees. read: decodes it, called only where rows are not known yet."""
        self._frame, self._read = frame, read

    def infer(self, name: str, slot: int, fresh: bool = True, top: tuple[int, int] = (0, 0)) -> NDArray[np.float32]:
        key = f"{self._frame}|{name}|{top[0]}|{top[1]}"
        if key not in self._kept:
            self._look()
            if name in self._engine.close_ups:
                self._look_closer(name, top)
            rows = self._engine.infer(name, 0, True, top)
            count = int((rows[:, :, 4] >= _FLOOR).sum(axis=1).max())
            self._kept[key] = rows[:, :count].copy()
        kept = self._kept[key]
        rows = np.zeros((2, ROWS, 6), np.float32)
        rows[:, : kept.shape[1]] = kept
        return rows

    def _look(self) -> None:
        """Letterboxes the shown frame, once for all passes."""
        if self._read is not None:
            self._frames = self._read()
            for side, frame in enumerate(self._frames):
                self._boxes[side] = self._writer.write(frame, self._engine.slots[0][side])
            self._read = None

    def _look_closer(self, name: str, top: tuple[int, int]) -> None:
        strip, close_up = self.manifests[name].strip, self._engine.close_ups[name]
        for side, frame in enumerate(self._frames):
            self._writer.write_close_up(frame, self._boxes[side], top[side], strip, close_up[side])

    def save(self) -> None:
        """Writes the rows to the file, in one step, where any are new."""
        if self._file is None or len(self._kept) == self._known:
            return
        self._file.parent.mkdir(parents=True, exist_ok=True)
        temporary = self._file.with_name(self._file.name + ".tmp.npz")
        np.savez(temporary, **self._kept)  # type: ignore[arg-type]
        os.replace(temporary, self._file)
        self._known = len(self._kept)

    def close(self) -> None:
        self._engine.close()
