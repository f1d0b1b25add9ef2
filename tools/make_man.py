"""Writes what is made from the command lines' own words: manual pages, and tables of the JSON.

    python -m tools.make_man            writes them
    python -m tools.make_man --check    exit status 1 if one is not current

The pages are docs/man/image-store.1 and docs/man/image-store-proxy.8; the tables are in
docs/command-line.md, the same as JSON Schema in docs/command-line.schema.json.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from imagestoreproxy.client import shapes
from imagestoreproxy.client.entry import FAMILIES, Entry
from imagestoreproxy.client.parsing import EXIT_STATUSES, parser
from imagestoreproxy.client.table import COMMANDS
from imagestoreproxy.config.settings import _parser as daemon_parser
from tools.made import write_or_check
from tools.roff import escaped, head, italic, page, prose, sentence, tagged

ROOT = Path(__file__).parents[1]
TOOL = "make_man.py"
CONFIG = ".BR image\\-store\\-proxy.toml (5)"
CLIENT_ENVIRONMENT = {
    "IMAGE_STORE_URL": "where the proxy listens.",
    "IMAGE_STORE_SECRET, IMAGE_STORE_CLIENT_ID": "what signs requests, before all other variables.",
    "EC2_ACCESS_KEY, EC2_SECRET_KEY, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY": "the same, as a "
    "cloud's credentials set them.",
    "NO_COLOR": "no colours, unless --color=always says otherwise.",
    "TERM": "no colours and no bars on one that is dumb.",
    "COLUMNS, LINES": "the size of the terminal, where it does not tell.",
}
CLIENT_EXAMPLES = {
    "image-store search server": "what is there?",
    "image-store plan 'Example Server'": "what would an install do?",
    "image-store install 'Example Server' 'Example Database'": "install both, with a bar for each.",
    "image-store --json status | jq -r '.states[].status'": "for a script.",
    "image-store completion fish > ~/.config/fish/completions/image-store.fish": "once.",
}
DAEMON_FILES = {
    "/etc/image-store-proxy/config.toml": "sources, mirrors, limits and updates; read again at "
    "SIGHUP. See image-store-proxy.toml(5).",
    "/etc/default/image-store-proxy": "with the package: options (`DAEMON_OPTS`), user "
    "(`EUCA_USER`) and environment of the service.",
    "/var/lib/image-store-proxy": "what is known, the keyring, verified files that are kept, and "
    "unfinished downloads.",
    "/usr/share/doc/image-store-proxy": "with the package: how it is operated, and what to do when "
    "something is wrong.",
}
DAEMON_ENVIRONMENT = {
    "http_proxy, https_proxy, all_proxy, no_proxy": "the HTTP proxy, without `--http-proxy` and "
    "`http-proxy` of a source; and the hosts that are reached without any.",
    "EC2_ACCESS_KEY, EC2_SECRET_KEY, EC2_URL, S3_URL, EC2_CERT, EC2_PRIVATE_KEY, EUCALYPTUS_CERT, "
    "EC2_USER_ID": "credentials of the cloud, without `--credentials-dir` and `--profile`; the "
    "names of AWS tools are taken, too.",
    "AWS_SHARED_CREDENTIALS_FILE": "where profiles are, instead of `~/.aws/credentials`.",
    "EUCALYPTUS": "below which a Eucalyptus of this machine is installed, without `--eucalyptus`.",
}
DAEMON_EXITS = {
    "0": "after a signal that stops it; with `--check`, where nothing is a problem.",
    "1": "it could not start, or could not go on, and says why; with `--check`, where something is "
    "a problem.",
    "2": "an option or the configuration is wrong.",
}
DAEMON_SIGNALS = {
    "SIGTERM, SIGINT": "stop; installs go on at the next start.",
    "SIGHUP": "read the configuration again.",
}
BEGIN, END = "<!-- made by tools/make_man.py -->", "<!-- end -->"


def client_page() -> str:
    """Give image-store.1."""
    whole = parser({})
    lines = head("image-store", "1", "look into an image store, and install its images", TOOL)
    lines += _synopsis(whole)
    lines += [".SH DESCRIPTION", *prose(f"{whole.description} It asks a running")]
    lines += [".BR image\\-store\\-proxy (8),", "by requests that are signed with your secret key."]
    lines += prose(
        "An image is named by its URI, or by a part of its title or URI that no other has."
    )
    lines.append(".SH COMMANDS")
    for family, what in FAMILIES.items():
        lines += [f".SS {escaped(family)}", *prose(what)]
        for entry in COMMANDS:
            if entry.family == family:
                lines += _command(whole, entry)
    lines.append(".SH OPTIONS")
    lines += prose("These stand before the command; --json and --color may also stand behind it.")
    lines += _groups(whole)
    lines.append(".SH EXIT STATUS")
    lines += tagged({str(number): f"{what}." for number, what in EXIT_STATUSES.items()})
    lines += [".SH ENVIRONMENT", *tagged(CLIENT_ENVIRONMENT)]
    lines += [".SH EXAMPLES", *tagged(CLIENT_EXAMPLES)]
    return page([*lines, ".SH SEE ALSO", ".BR image\\-store\\-proxy (8)"])


def daemon_page() -> str:
    """Give image-store-proxy.8."""
    whole = daemon_parser()
    lines = head(
        "image-store-proxy", "8", "bring images from signed image stores into a cloud", TOOL
    )
    lines += _synopsis(whole)
    lines += [".SH DESCRIPTION", *prose(str(whole.description))]
    lines += prose("It runs in the foreground, logs to standard error, and is driven by")
    lines += [
        ".BR image\\-store (1),",
        "by its page in a browser, or by the Store tab of the cloud.",
    ]
    lines += [".SH OPTIONS", *_groups(whole)]
    lines += [".SH SIGNALS", *tagged(DAEMON_SIGNALS)]
    lines += [".SH FILES", *tagged(DAEMON_FILES)]
    lines += [".SH ENVIRONMENT", *tagged(DAEMON_ENVIRONMENT)]
    lines += [".SH EXIT STATUS", *tagged(DAEMON_EXITS)]
    return page([*lines, ".SH SEE ALSO", ".BR image\\-store (1),", CONFIG])


def _synopsis(whole: argparse.ArgumentParser) -> list[str]:
    usage = "[options] COMMAND ..." if whole.prog == "image-store" else "[options]"
    return [".SH SYNOPSIS", f".B {escaped(whole.prog)}", escaped(usage)]


def _command(whole: argparse.ArgumentParser, entry: Entry) -> Iterator[str]:
    one = _subparser(whole, entry.name)
    words = " ".join(_invocation(action) for action in _shown(one) if not action.option_strings)
    yield ".TP"
    yield f"\\fB{escaped(entry.name)}\\fR {italic(words)}".rstrip()
    yield from prose(str(one.description))
    options = [action for action in _shown(one) if action.option_strings]
    if options:
        yield ".RS"
        for action in options:
            yield from _option(one, action)
        yield ".RE"


def _subparser(whole: argparse.ArgumentParser, name: str) -> argparse.ArgumentParser:
    (group,) = [a for a in whole._actions if isinstance(a, argparse._SubParsersAction)]
    found: argparse.ArgumentParser = group.choices[name]
    return found


def _shown(one: argparse.ArgumentParser) -> list[argparse.Action]:
    """Give what is a command's own: not what may stand before every one."""
    return [a for a in one._actions if a.dest not in {"help", "json", "color"}]


def _groups(whole: argparse.ArgumentParser) -> Iterator[str]:
    for group in whole._action_groups:
        options = [action for action in group._group_actions if action.option_strings]
        if not options:
            continue
        title = str(group.title)
        yield f".SS {escaped(title[0].upper() + title[1:])}"
        if group.description:
            yield from prose(group.description)
        for action in options:
            yield from _option(whole, action)


def _option(one: argparse.ArgumentParser, action: argparse.Action) -> Iterator[str]:
    yield ".TP"
    names = ", ".join(f"\\fB{escaped(name)}\\fR" for name in action.option_strings)
    yield f"{names} {italic(_metavar(action))}".rstrip()
    help_text = one._get_formatter()._expand_help(action) if action.help else ""
    yield from prose(sentence(help_text))


def _metavar(action: argparse.Action) -> str:
    if action.nargs == 0:
        return ""
    if action.choices and not action.metavar:
        return "|".join(map(str, action.choices))
    return str(action.metavar or action.dest.upper())


def _invocation(action: argparse.Action) -> str:
    name = str(action.metavar or action.dest)
    if action.choices:
        name = "|".join(map(str, action.choices))
    return {"?": f"[{name}]", "*": f"[{name} ...]", "+": f"{name} ..."}.get(str(action.nargs), name)


def tables() -> str:
    """Give the tables of ``docs/command-line.md``."""
    parts = []
    first: dict[str, str] = {}
    for family in FAMILIES:
        parts.append(f"### {family}\n")
        for entry in COMMANDS:
            if entry.family == family:
                same = first.setdefault(entry.shape, entry.name) if entry.shape else ""
                parts.append(f"**`image-store {entry.name}`** {_said(entry, same)}\n")
                if same == entry.name:
                    parts.append(_table(shapes.SHAPES[entry.shape]))
    parts.append("### A failure\n")
    parts.append("Exit status 1, 2 or 3.\n")
    parts.append(_table(shapes.SHAPES["failure"]))
    parts.append("### The objects in them\n")
    for name, (what, keys) in shapes.OBJECTS.items():
        parts.append(f'<a id="{name}"></a>**{what}**\n')
        parts.append(_table(keys))
    return "\n".join(parts)


def _said(entry: Entry, same: str) -> str:
    what = f"{entry.what[0].upper()}{entry.what[1:]}."
    if not same:
        return f"{what} It has no JSON."
    return what if same == entry.name else f"{what} As `{same}`."


def _table(keys: shapes.Keys) -> str:
    rows = [
        f"| `{key.removesuffix('?')}` | {_type(what)}{', or missing' if key.endswith('?') else ''} "
        f"| {said} |"
        for key, (what, said) in keys.items()
    ]
    return "\n".join(["| key | value | what |", "|---|---|---|", *rows]) + "\n"


def _type(what: dict[str, Any]) -> str:
    if "$ref" in what:
        name = what["$ref"].rpartition("/")[2]
        return f"[{name}](#{name})"
    if "enum" in what:
        return ", ".join(f"`{one}`" for one in what["enum"])
    if "anyOf" in what:
        return f"{_type(what['anyOf'][0])} or null"
    if what.get("type") == "array":
        return f"list of {_type(what['items'])}"
    if what is shapes.TIME:
        return "time, as `2026-11-29T13:00:00Z`"
    names = {"string": "text", "integer": "whole number", "boolean": "true or false"}
    return names.get(str(what.get("type")), str(what.get("type")))


def schemas() -> str:
    """Give the JSON Schema of all shapes, each under the name of its commands."""
    definitions = shapes.schema("failure")["$defs"]
    named = {f"image-store {entry.name}": entry.shape for entry in COMMANDS if entry.shape}
    for name, shape in {**named, "failure": "failure"}.items():
        definitions[name] = {
            key: value for key, value in shapes.schema(shape).items() if not key.startswith("$")
        }
    content = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "description": "What image-store --json writes: see $defs, by the name of the command, "
        "or failure where it fails.",
        "$defs": definitions,
    }
    return json.dumps(content, indent=1) + "\n"


def made() -> dict[Path, str]:
    """Give all that is made, by file."""
    docs = ROOT / "docs"
    guide = docs / "command-line.md"
    before, _, rest = guide.read_text().partition(BEGIN)
    after = rest.partition(END)[2]
    return {
        docs / "man" / "image-store.1": client_page(),
        docs / "man" / "image-store-proxy.8": daemon_page(),
        guide: f"{before}{BEGIN}\n\n{tables()}\n{END}{after}",
        docs / "command-line.schema.json": schemas(),
    }


if __name__ == "__main__":
    raise SystemExit(write_or_check(made()))
