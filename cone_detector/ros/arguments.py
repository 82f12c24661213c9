# SPDX-License-Identifier: Apache-2.0
"""Launch arguments are text: here they become checked parameters, and settings become arguments."""

from __future__ import annotations

from cone_detector.settings import BY_NAME, Setting, SettingError, Value


def overrides(texts: dict[str, str]) -> dict[str, Value]:
    """Arguments as parameters of their own types, checked. Raises SettingError."""
    return {name: BY_NAME[name].check(from_text(BY_NAME[name], text)) for name, text in sorted(texts.items())}


def remappings(text: str) -> list[tuple[str, str]]:
    """The pairs of 'from:=to from:=to'. Raises SettingError where a word is no pair."""
    pairs = [tuple(word.split(":=")) for word in text.split()]
    for pair in pairs:
        if len(pair) != 2 or not all(pair):
            raise SettingError(f"remap holds '{':='.join(pair)}', must be from:=to")
    return [(old, new) for old, new in pairs]


def to_text(value: Value) -> str:
    """A value as YAML and the command line write it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def from_text(setting: Setting, text: str) -> Value:
    """The value that `text` is for this setting. Raises SettingError."""
    kind = type(setting.default)
    try:
        return {"true": True, "false": False}[text.lower()] if kind is bool else kind(text)
    except (KeyError, ValueError):
        raise SettingError(f"{setting.name} is '{text}', must be {kind.__name__}") from None


def describe(setting: Setting) -> str:
    """Meaning and range, for `ros2 launch --show-args`."""
    if setting.low is None or setting.high is None:
        return setting.doc
    return f"{setting.doc} ({setting.low:g} to {setting.high:g})"
