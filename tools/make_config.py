"""Writes what is made from the table of the configuration's keys, and from the daemon's options.

    python -m tools.make_config            writes them
    python -m tools.make_config --check    exit status 1 if one is not current

They are two parts of docs/configuration.md, the manual page docs/man/image-store-proxy.toml.5, and
docs/config.toml.example, which a package installs as /etc/image-store-proxy/config.toml.
"""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from imagestoreproxy.config.file import DEFAULT_CONFIG
from imagestoreproxy.config.keys import KINDS, SECTIONS, SOURCE, Example, Key, Section
from imagestoreproxy.config.settings import _parser as daemon_parser
from tools.made import write_or_check
from tools.roff import bold, escaped, head, literal, page, prose, sentence, tagged

DOCS = Path(__file__).parents[1] / "docs"
TOOL = "make_config.py"
END = "<!-- end -->"
COMMENT_CHARS = 96
MISTAKES = (
    f"{DEFAULT_CONFIG}:4: There is no key 'mirors' here (did you mean 'mirrors'?).",
    f"{DEFAULT_CONFIG}:5: 'keyring' names /etc/k.gpg, which cannot be read: No such file or"
    " directory.",
)
RELOAD = (
    "`systemctl reload image-store-proxy`, `service image-store-proxy reload` or SIGHUP make the"
    " proxy read the file again. Installs that run are not disturbed: they go on with the source"
    " that they began with. Sources that are as they were stay as they are. Images of a source that"
    " is gone disappear, unless they are installed."
)
REFUSED = (
    "A file with a mistake is refused as a whole. Each mistake is named with its line, at most 20."
    " At the start the proxy then ends with status 2. After SIGHUP the log says it, and nothing"
    " changes."
)


def begin(part: str) -> str:
    """Give the line over a part of docs/configuration.md that is made."""
    return f"<!-- made by tools/{TOOL}: {part} -->"


def reference() -> str:
    """Give the tables of docs/configuration.md that say what the file may hold."""
    parts = []
    for section in SECTIONS:
        times = f", at most {section.most} times" if section.most else ""
        parts.append(f"### `{section.header}`{times}\n\n{_capital(sentence(section.what))}\n")
        parts.append("\n".join(_rows(section)) + "\n")
    return "\n".join(parts)


def _rows(section: Section) -> Iterator[str]:
    for_whom = " for |" if section is SOURCE else ""
    yield f"| key | what | value |{for_whom} without it |"
    yield f"|---|---|---|{'---|' if for_whom else ''}---|"
    for key in section.keys:
        whom = f" {_for(key)} |" if for_whom else ""
        yield f"| `{key.name}` | {key.what} | {key.kind.words} |{whom} {_without(key)} |"


def _for(key: Key[Any]) -> str:
    return "all" if key.only == KINDS else ", ".join(f"`{kind}`" for kind in key.only)


def _without(key: Key[Any]) -> str:
    return "must be there" if key.required else key.without


def options() -> str:
    """Give the tables of docs/configuration.md that say what the daemon's options are."""
    parser = daemon_parser()
    parts = []
    for group in parser._action_groups:
        rows = [_option(parser, action) for action in group._group_actions]
        if not rows or group.title == "options":  # --help and --version
            continue
        parts.append(f"### {_capital(str(group.title))}\n")
        if group.description:
            parts.append(f"{group.description}\n")
        parts.append("\n".join(["| option | what |", "|---|---|", *rows]) + "\n")
    return "\n".join(parts)


def _option(parser: argparse.ArgumentParser, action: argparse.Action) -> str:
    value = "|".join(map(str, action.choices or ())) or str(action.metavar or action.dest.upper())
    shown = action.option_strings[-1] + (f"={value}" if action.nargs != 0 else "")
    said = parser._get_formatter()._expand_help(action) if action.help else ""
    cells = (f"`{shown}`", " ".join(said.split()))
    return "| {} | {} |".format(*(cell.replace("|", r"\|") for cell in cells))


def manual() -> str:
    """Give image-store-proxy.toml.5."""
    lines = head("image-store-proxy.toml", "5", "where images come from, and limits", TOOL)
    lines += [".SH SYNOPSIS", bold(str(DEFAULT_CONFIG))]
    lines += [".SH DESCRIPTION"]
    lines += prose("This file, or the one that `--config` names, tells")
    lines += [
        ".BR image\\-store\\-proxy (8)",
        *prose(
            "where images come from, and some limits. It is TOML, in UTF-8, of at most 1 MiB. It"
            " need not exist. Relative paths begin where the file lies. A path may begin with `~/`."
        ),
    ]
    for section in SECTIONS:
        lines.append(f".SH {escaped(section.header)}")
        lines += prose(_capital(sentence(section.what)))
        if section.most:
            lines += prose(f"It may stand there {section.most} times.")
        lines += tagged({key.name: _told(key) for key in section.keys})
    lines += [".SH EXAMPLES", *_examples()]
    lines += [".SH CHANGES", *prose(RELOAD)]
    lines += [".SH DIAGNOSTICS", *prose(REFUSED)]
    lines += [*prose("Like this:"), *literal(MISTAKES)]
    lines += [".SH SEE ALSO", ".BR image\\-store\\-proxy (8),", ".BR image\\-store (1)"]
    return page(lines)


def _told(key: Key[Any]) -> str:
    parts = [_capital(sentence(key.what)), _capital(sentence(key.kind.words))]
    if key.only != KINDS:
        parts.append(f"Only for a source of type {' or '.join(f'`{one}`' for one in key.only)}.")
    if key.required:
        parts.append("It must be there.")
    elif key.without:
        parts.append(f"Without it: {sentence(key.without)}")
    return " ".join(parts)


def _examples() -> Iterator[str]:
    examples = [(section, example) for section in SECTIONS for example in section.examples]
    for number, (section, example) in enumerate(examples):
        if number:
            yield ".PP"
        yield from prose(_capital(sentence(example.what or section.what)))
        yield from literal(list(_toml(section, example)))


def _toml(section: Section, example: Example) -> Iterator[str]:
    yield section.header
    for name, value in example.values.items():
        yield f"{name} = {value}"


def sample() -> str:
    """Give config.toml.example: everything in comments, and so without effect."""
    lines = [
        "# Image Store Proxy: where images come from, and limits; see image-store-proxy.toml(5).",
        "# Everything here is a comment: without a change, the images that Ubuntu releases are"
        " offered.",
        "# After a change: service image-store-proxy reload, and look into the log.",
    ]
    known: set[str] = set()
    for section in SECTIONS:
        lines += ["", *_comment(sentence(f"{section.header}: {section.what}"))]
        for example in section.examples:
            lines.append("")
            if example.what:
                lines += _comment(_capital(sentence(example.what)))
            lines.append(f"#{section.header}")
            for key in section.keys:
                if key.name in example.values:
                    if key.name not in known:
                        lines += _comment(_told(key).replace("`", ""))
                    known.add(key.name)
                    lines.append(f"#{key.name} = {example.values[key.name]}")
    return "\n".join(lines) + "\n"


def _comment(text: str) -> list[str]:
    return [f"# {line}" for line in textwrap.wrap(text.replace("`", ""), COMMENT_CHARS)]


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def made() -> dict[Path, str]:
    """Give all that is made, by file."""
    guide = DOCS / "configuration.md"
    text = guide.read_text()
    for part, content in (("keys", reference()), ("options", options())):
        before, _, rest = text.partition(begin(part))
        text = f"{before}{begin(part)}\n\n{content}\n{END}{rest.partition(END)[2]}"
    return {
        guide: text,
        DOCS / "man" / "image-store-proxy.toml.5": manual(),
        DOCS / "config.toml.example": sample(),
    }


if __name__ == "__main__":
    raise SystemExit(write_or_check(made()))
