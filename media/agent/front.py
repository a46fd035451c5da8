"""Reads the file of a playbook: its front matter as schema.Front, and where in the file each field stands."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from media.agent import schema
from media.agent.playbook import PlaybookError
from media.agent.yaml_lines import YamlFault, load_with_lines

_Part = TypeVar("_Part", bound=schema.Part)
_FENCE = "---"
_AT = re.compile(r" - at `\$\.?(?P<path>[^`]*)`$")
_UNKNOWN = re.compile(r"unknown field `(?P<name>[^`]+)`")


class FrontFile:
    """One file, read. Raises PlaybookError if it has no front matter of the right shape."""

    def __init__(self, path: Path, text: str) -> None:
        self.path = path
        self._text = text
        self._lines: dict[str, int] = {}
        self._faults: list[tuple[int, str]] = []
        self.front, self.body = self._parse()
        self.last_line = len(text.splitlines())

    def fault(self, where: str, message: str, line: int = 0) -> None:
        """Notes a mistake in the field ``where``."""
        self._faults.append((line or self._line(where), f"{where}: {message}"))

    def raise_faults(self) -> None:
        """Raises PlaybookError if mistakes were noted."""
        if self._faults:
            raise PlaybookError("\n".join(f"{self.path}:{line}: {message}" for line, message in sorted(self._faults)))

    def _parse(self) -> tuple[schema.Front, str]:
        lines = self._text.lstrip("\ufeff").splitlines()
        if not lines or lines[0].strip() != _FENCE:
            raise PlaybookError(f"{self.path}:1: expected front matter that begins with {_FENCE}")
        end = next((number for number, line in enumerate(lines[1:], 1) if line.strip() == _FENCE), None)
        if end is None:
            raise PlaybookError(f"{self.path}:1: the front matter has no closing {_FENCE}")
        try:
            value, self._lines = load_with_lines("\n".join(lines[1:end]))
        except YamlFault as fault:
            raise PlaybookError(f"{self.path}:{fault.line + 1}: {fault}") from fault
        front = self._convert(value or {}, schema.Front, "")
        steps = {name: self._read_step(f"steps.{name}", step) for name, step in front.steps.items()}
        return msgspec.structs.replace(front, steps=steps), "\n".join(lines[end + 1 :]).strip()

    def _read_step(self, path: str, value: Any) -> schema.Step:
        if not isinstance(value, dict):
            raise PlaybookError(f"{self.path}:{self._line(path)}: {path}: expected say, on, go, …, got {value!r}")
        read = dict(value)
        if isinstance(read.get("on"), dict):
            read["on"] = {name: self._read_branch(f"{path}.on.{name}", branch) for name, branch in read["on"].items()}
        if "otherwise" in read:
            read["otherwise"] = self._read_branch(f"{path}.otherwise", read["otherwise"])
        return self._convert(read, schema.Step, path)

    def _read_branch(self, path: str, value: Any) -> str | schema.Branch:
        return value if isinstance(value, str) else self._convert(value, schema.Branch, path)

    def _convert(self, value: Any, kind: type[_Part], path: str) -> _Part:
        """Raises PlaybookError with the line of what does not fit."""
        try:
            return msgspec.convert(value, kind)
        except msgspec.ValidationError as error:
            found = _AT.search(str(error))
            said = str(error)[: found.start()] if found else str(error)
            where = ".".join(filter(None, (path, found["path"] if found else "")))
            unknown = _UNKNOWN.search(said)
            line = self._line(f"{where}.{unknown['name']}".lstrip(".") if unknown else where)
            raise PlaybookError(f"{self.path}:{line}: {where or 'front matter'}: {said}") from error

    def _line(self, path: str) -> int:
        """The line of a field in the file; msgspec shows the keys of mappings as ``[...]``."""
        while path and path not in self._lines:
            path = re.sub(r"(\[[^\]]*\]|\.?[^.\[\]]+)$", "", path)
        return self._lines.get(path, 1) + 1
