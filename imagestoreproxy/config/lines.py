"""Where in a TOML file each key stands: ``tomllib`` tells what a file says, and not in which line.

Only for text that ``tomllib`` has read, so that its syntax (https://toml.io/en/v1.0.0) is right.
"""

from __future__ import annotations

import re
import tomllib

Path = tuple[str | int, ...]

_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_KEY = re.compile(r"[ \t]*(\"(?:[^\"\\\n]|\\.)*\"|'[^'\n]*'|[A-Za-z0-9_-]+)[ \t]*")
_STRING = re.compile(
    r'"""(?:[^"\\]|\\.|"(?!""))*"{3,5}'
    r"|'''(?:[^']|'(?!''))*'{3,5}"
    r'|"(?:[^"\\\n]|\\.)*"'
    r"|'[^'\n]*'",
    re.DOTALL,
)
_BARE = re.compile(r"[^,\]}\n#]*")


def key_lines(text: str) -> dict[Path, int]:
    """Give the line, from 1, of every table, key and element of an array.

    A path has the names of keys, and for an array (also one of tables) the number, from 0.
    """
    return _Scan(text).lines


class _Scan:
    def __init__(self, text: str) -> None:
        self.lines: dict[Path, int] = {}
        self._text = text
        self._position = 0
        self._line = 1
        self._counted = 0
        self._numbers: dict[Path, int] = {}
        self._walk()

    def _walk(self) -> None:
        table: Path = ()
        self._match(_BLANK)
        while self._position < len(self._text):
            if self._text[self._position] == "[":
                table = self._header()
            else:
                self._pair(table)
            self._match(_BLANK)

    def _header(self) -> Path:
        is_array = self._text.startswith("[[", self._position)
        self._position += 2 if is_array else 1
        names = self._names()
        self._position += 2 if is_array else 1
        path: Path = ()
        for name in names[:-1]:
            path += (name,)
            if path in self._numbers:
                path += (self._numbers[path],)
        path += (names[-1],)
        self._note(path)
        if is_array:
            self._numbers[path] = self._numbers.get(path, -1) + 1
            path += (self._numbers[path],)
            self._note(path)
        return path

    def _pair(self, table: Path) -> None:
        path = table
        for name in self._names():
            path += (name,)
            self._note(path)
        self._position += 1  # the "="
        self._match(_BLANK)
        self._value(path)

    def _names(self) -> list[str]:
        names = [self._name()]
        while self._text.startswith(".", self._position):
            self._position += 1
            names.append(self._name())
        return names

    def _name(self) -> str:
        name = self._match(_KEY).strip(" \t")
        quoted = name[:1] in ("'", '"')
        return str(tomllib.loads(f"name = {name}")["name"]) if quoted else name

    def _value(self, path: Path) -> None:
        begins = self._text[self._position]
        if begins == "[":
            self._elements(path, "]")
        elif begins == "{":
            self._elements(path, "}")
        elif begins in ('"', "'"):
            self._match(_STRING)
        else:
            self._match(_BARE)

    def _elements(self, path: Path, end: str) -> None:
        self._position += 1
        number = 0
        self._match(_BLANK)
        while not self._text.startswith(end, self._position):
            if end == "}":
                self._pair(path)
            else:
                self._note((*path, number))
                self._value((*path, number))
                number += 1
            self._match(_BLANK)
            if self._text.startswith(",", self._position):
                self._position += 1
                self._match(_BLANK)
        self._position += 1

    def _note(self, path: Path) -> None:
        self._line += self._text.count("\n", self._counted, self._position)
        self._counted = self._position
        self.lines.setdefault(path, self._line)

    def _match(self, pattern: re.Pattern[str]) -> str:
        found = pattern.match(self._text, self._position)
        if found is None:
            raise ValueError(f"not TOML at {self._position}")
        self._position = found.end()
        return found[0]
