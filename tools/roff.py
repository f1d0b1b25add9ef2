"""What manual pages are written with: roff of man(7)."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence

from imagestoreproxy import __version__

# Of the pages: set by hand, for two who make them must get the same.
DATE = "2026-11-29"
MANUAL = "Image Store Proxy"
LINE_CHARS = 70


def head(name: str, section: str, what: str, tool: str) -> list[str]:
    """Give how a page begins; ``tool`` is what made it."""
    return [
        f".\\\" Made by tools/{tool} from the program's own words.",
        f'.TH {escaped(name.upper())} {section} {DATE} "{escaped(__version__)}" "{MANUAL}"',
        ".SH NAME",
        f"{escaped(name)} \\- {escaped(what)}",
    ]


def page(lines: Sequence[str]) -> str:
    """Give the text of a page."""
    return "\n".join(lines) + "\n"


def sentence(text: str) -> str:
    """Give a text its full stop, where it has none."""
    text = " ".join(text.split())
    return text if not text or text.endswith((".", "?")) else f"{text}."


def tagged(rows: Mapping[str, str]) -> Iterator[str]:
    """Give words, each with what it means."""
    for tag, what in rows.items():
        yield ".TP"
        yield bold(tag)
        yield from prose(what)


def prose(text: str) -> list[str]:
    """Give sentences: each begins a line, and none is long; what stands in `` ` `` is bold."""
    joined = re.sub(r"`[^`]*`", lambda code: code[0].replace(" ", "\0"), " ".join(text.split()))
    return [
        _marked(line)
        for one in re.split(r"(?<=[.?]) +", joined)
        for line in textwrap.wrap(one, LINE_CHARS, break_long_words=False, break_on_hyphens=False)
    ]


def literal(lines: Sequence[str]) -> list[str]:
    """Give lines as they stand."""
    return [".RS", ".EX", *(escaped(line) for line in lines), ".EE", ".RE"]


def bold(text: str) -> str:
    """Give a text in bold."""
    return f"\\fB{escaped(text)}\\fR"


def italic(text: str) -> str:
    """Give a text in italics, or nothing for none."""
    return f"\\fI{escaped(text)}\\fR" if text else ""


def escaped(text: str) -> str:
    """Escape: a minus that can be copied, no command at the beginning of a line."""
    plain = (
        text.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq").replace('"', "\\(dq")
    )
    return f"\\&{plain}" if plain.startswith(".") else plain


def _marked(line: str) -> str:
    parts = line.replace("\0", " ").split("`")
    return "".join(bold(part) if number % 2 else escaped(part) for number, part in enumerate(parts))
