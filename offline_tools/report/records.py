# SPDX-License-Identifier: AGPL-3.0-only
"""Records of runs: JSON (or CSV, or YAML) files that a tool wrote, and the way to a figure in them."""

from __future__ import annotations

import csv
import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from offline_tools.report.values import Kind, Label, Source, Value

Step = str | int
_PLAIN = re.compile(r"[\w-]+")


class RecordError(ValueError):
    """A record that lacks what the report needs of it; the message names file, key and the command that writes it."""


@dataclass(frozen=True)
class Record:
    """One file. command: what writes it. sha256: of the file as it was read."""

    name: str
    kind: Kind
    command: str
    sha256: str
    content: Any

    @classmethod
    def read(cls, file: Path, name: str, kind: Kind, command: str) -> Record:
        """Reads a JSON, YAML or CSV file. Raises RecordError where it is damaged."""
        raw = file.read_bytes()
        try:
            content = _READERS[file.suffix](raw.decode())
        except (ValueError, yaml.YAMLError, csv.Error) as error:
            raise RecordError(f"{name} cannot be read ({error}): write it anew with {command}") from error
        return cls(name, kind, command, hashlib.sha256(raw).hexdigest(), content)

    @property
    def root(self) -> Node:
        """The whole content."""
        return Node(self, (), self.content)


@dataclass(frozen=True)
class Node:
    """A place in a record."""

    record: Record
    path: tuple[Step, ...]
    content: Any

    def at(self, *steps: Step) -> Node:
        """The place below. Raises RecordError where there is none."""
        node = self
        for step in steps:
            try:
                node = Node(self.record, (*node.path, step), node.content[step])
            except (KeyError, IndexError, TypeError) as error:
                raise RecordError(
                    f"{self.record.name} lacks {_key((*node.path, step))}: write it anew with {self.record.command}"
                ) from error
        return node

    def find(self, *steps: Step) -> Node | None:
        """The place below, or None where there is none or nothing stands there."""
        try:
            node = self.at(*steps)
        except RecordError:
            return None
        return None if node.content is None else node

    def value(self, digits: int = 3, unit: str = "", kind: Kind | None = None) -> Value:
        """The number that stands here; kind: where it is another than the record's.

        Raises RecordError where no number stands here.
        """
        number = self.content
        if isinstance(number, str):  # CSV
            try:
                number = float(number)
            except ValueError:
                number = None
        if isinstance(number, bool) or not isinstance(number, int | float):
            raise RecordError(
                f"{self.record.name}: {_key(self.path)} is {self.content!r}, not a number: "
                f"write it anew with {self.record.command}"
            )
        source = self.source if kind is None else replace(self.source, kind=kind)
        return Value(float(number), (source,), digits, unit)

    def count(self) -> Value:
        """How many entries stand here."""
        return Value(float(len(self.content)), (self.source,), 0, how=f"entries of {_key(self.path)}")

    def label(self) -> Label:
        """The word that stands here."""
        return Label(str(self.content), self.source)

    def __iter__(self) -> Iterator[Node]:
        keys = self.content if isinstance(self.content, Mapping) else range(len(self.content))
        return (self.at(key) for key in keys)

    @property
    def name(self) -> str:
        """The last step of the path: a key of a mapping."""
        return str(self.path[-1])

    @property
    def named(self) -> Label:
        """That key as a label."""
        return Label(self.name, self.source)

    @property
    def source(self) -> Source:
        """Where this place is."""
        return Source(self.record.name, _key(self.path), self.record.kind)


def follow(content: Any, key: str) -> Any:
    """The content at a key as `Source.key` writes it; the inverse, by which printed figures are checked."""
    path = json.loads("[" + key + "]") if key else []
    for step in path:
        content = content[step]
    return content


def readable(key: str) -> str:
    """A key as people write it: models[4].map50."""
    shown = ""
    for step in json.loads("[" + key + "]"):
        shown += f"[{step}]" if isinstance(step, int) else f".{step}" if _PLAIN.fullmatch(step) else f'["{step}"]'
    return shown.lstrip(".")


def _key(path: tuple[Step, ...]) -> str:
    """The path as JSON without brackets: keys of records hold dots, brackets and commas of their own."""
    return ", ".join(json.dumps(step, ensure_ascii=False) for step in path)


_READERS = {
    ".json": json.loads,
    ".yaml": yaml.safe_load,
    ".csv": lambda text: [
        {key.strip(): value for key, value in row.items()} for row in csv.DictReader(text.splitlines())
    ],
}
