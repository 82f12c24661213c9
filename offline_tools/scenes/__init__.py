# SPDX-License-Identifier: AGPL-3.0-only
"""Synthetic stereo scenes of Formula Student tracks with exact boxes, 3D positions and disparities.

A `SceneConfig` (layout, weather, surface, surroundings, seed) becomes a `Scene`; `render_view` draws it for a `Camera`
as linear radiance, with a `ConeView` for every cone; `develop` turns radiance into an 8-bit picture. On top of these
stand `write_training_set` (single pictures, YOLO labels), `drive` and `benchmark_frames` (stereo pairs), and
`write_sequence` (pairs on disk). Nothing is loaded from files: all of it is drawn with NumPy and OpenCV.
"""
