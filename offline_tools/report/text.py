# SPDX-License-Identifier: AGPL-3.0-only
"""Prose of the report: words, figures, names from records, references, commands; never a bare number."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from offline_tools.report.values import Label, Value


class BareNumberError(ValueError):
    """A sentence with a number that carries no source."""


@dataclass(frozen=True)
class Cite:
    """A reference, by its key in `references`."""

    key: str


@dataclass(frozen=True)
class Code:
    """A command, a file name or a formula."""

    text: str


@dataclass(frozen=True)
class Strong:
    """Words that stand out."""

    text: str

    def __post_init__(self) -> None:
        check_words(self.text)


Part = str | Value | Label | Cite | Code | Strong
Parts = tuple[Part, ...]

# Digits that belong to names: YOLO11n, mAP50-95, INT8, H200, w_0; 640x384; 3D; the passes; the car's GPU.
_NAMES = re.compile(
    r"RTX (?:4060|3080)|FSOCO-12|ROS 2|IoU 0\.5|ZED 2i|\b[A-Za-z_][\w-]*|\b\d+x\d+\b|\b[23]D\b|\b(?:640|320)\b"
)

_TOKEN = re.compile(r"\{(\w+)\}|\*\*(.+?)\*\*|\[@(\w+)\]|`([^`]+)`")


def check_words(text: str) -> None:
    """Raises BareNumberError where a text holds a number that is no part of a name."""
    rest = _NAMES.sub("", text)
    if any(character.isdigit() for character in rest):
        raise BareNumberError(f"'{text}' holds a number without a source: pass it as a Value")


def prose(template: str, **found: Part | Parts) -> Parts:
    """A sentence with figures: {name} stands for a part, **words** stand out, [@key] cites, `text` is code.

    Raises BareNumberError where the words hold a number, KeyError where a name has no part or a part no name.
    """
    if unused := found.keys() - set(re.findall(r"\{(\w+)\}", template)):
        raise KeyError(f"{sorted(unused)} do not stand in '{template}'")
    said: list[Part] = []
    at = 0
    for match in _TOKEN.finditer(template):
        said.append(template[at : match.start()])
        name, strong, key, code = match.groups()
        if name:
            part = found[name]
            said += part if isinstance(part, tuple) else (part,)
        else:
            said.append(Strong(strong) if strong else Cite(key) if key else Code(code))
        at = match.end()
    said.append(template[at:])
    return parts(*(part for part in said if part != ""))


def parts(*found: Part) -> Parts:
    """Checks the words among the parts of a sentence. Raises BareNumberError."""
    for part in found:
        if isinstance(part, str):
            check_words(part)
        elif not isinstance(part, Value | Label | Cite | Code | Strong):
            raise BareNumberError(f"{part!r} is neither words nor a figure with a source")
    return found


def listed(items: Iterable[Part | Parts], last: str = " and ") -> Parts:
    """ "a, b and c" """
    all_items = [item if isinstance(item, tuple) else (item,) for item in items]
    found: list[Part] = []
    for number, item in enumerate(all_items):
        if number:
            found.append(last if number == len(all_items) - 1 else ", ")
        found += item
    return tuple(found)
