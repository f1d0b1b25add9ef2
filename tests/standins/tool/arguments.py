"""What each generation's commands take on their command line, and how they refuse the rest.

Options are written ``x name=``: short letter (if any), long name, ``=`` when a value follows.
"""

from __future__ import annotations

from .generations import Family, Generation

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import NoReturn

    Options = list[tuple[str, str, bool]]

ARCHITECTURES = ("i386", "x86_64", "armhf")


class UsageError(Exception):
    """The arguments are not understood. ``str()`` is what to say, perhaps nothing."""


class Arguments:
    """What was given: values by long name (a flag's is ``""``), and the rest in order."""

    def __init__(self, values: Mapping[str, str] | None = None, rest: Sequence[str] = ()) -> None:
        self.values, self.rest = dict(values or {}), tuple(rest)

    def get(self, name: str) -> str:
        return self.values.get(name, "")


_BUNDLE_1 = (
    "i image=; c cert=; k privatekey=; u user=; p prefix=; kernel=; ramdisk=; "
    "B block-device-mapping=; d destination=; ec2cert=; r arch=; productcodes=; batch"
)
_UPLOAD_1 = "b bucket=; m manifest=; acl=; ec2cert=; d directory=; part=; skipmanifest"
_REGISTER_2 = (
    "b block-device-mapping=; d description=; n name=; a architecture=; kernel=; ramdisk=; "
    "root-device-name=; s snapshot="
)
_DELETE_1 = "b bucket=; m manifest=; p prefix=; clear"

_SCRIPTS = {
    "euca-bundle-image": _BUNDLE_1,
    "euca-upload-bundle": _UPLOAD_1,
    "euca-register": _REGISTER_2,
    "euca-deregister": "",
    "euca-delete-bundle": _DELETE_1,
    "euca-describe-images": "a all; o owner=; x executable-by=",
    "euca-version": "",
}
_ROBOTO = _SCRIPTS | {
    "euca-bundle-image": _BUNDLE_1.replace("B block", "b block").replace(
        "productcodes", "product-codes"
    ),
    "euca-upload-bundle": _UPLOAD_1 + "; location=",
    "euca-describe-images": "a all; o owner=; x executable-by=; filter=",
}
_ROBOTO_REQUIRED = {
    "euca-bundle-image": ("image",),
    "euca-upload-bundle": ("bucket", "manifest"),
    "euca-delete-bundle": ("bucket",),
}
_ROBOTO_CHOICES = {
    ("euca-bundle-image", "arch"): ARCHITECTURES,
    ("euca-register", "architecture"): ARCHITECTURES,
}

_BUNDLE_3 = (
    "i image=; p prefix=; d destination=; r arch=; k privatekey=; c cert=; ec2cert=; u user=; "
    "kernel=; ramdisk=; B block-device-mappings=; productcodes=; image-type=; part-size=; batch; "
    "region=; progress; no-progress; porcelain"
)
_S3_3 = "U url=; region=; I access-key-id=; S secret-key="
_UPLOAD_3 = (
    "b bucket=; m manifest=; acl=; d directory=; part=; location=; retry; skipmanifest; "
    "progress; no-progress; porcelain; " + _S3_3
)
_EC2_3 = "U url=; region=; I access-key-id=; S secret-key=; show-empty-fields"
_REGISTER_3 = (
    "n name=; d description=; a architecture=; kernel=; ramdisk=; root-device-name=; "
    "s snapshot=; b block-device-mapping=; virtualization-type=; platform=; " + _EC2_3
)
_REQUESTS = {
    "euca-bundle-image": _BUNDLE_3,
    "euca-upload-bundle": _UPLOAD_3,
    "euca-register": _REGISTER_3,
    "euca-deregister": _EC2_3,
    "euca-delete-bundle": "b bucket=; m manifest=; p prefix=; clear; " + _S3_3,
    "euca-describe-images": "a all; o owner=; x executable-by=; filter=; " + _EC2_3,
}
_REQUIRED_3 = {
    "euca-bundle-image": ("image", "arch"),
    "euca-upload-bundle": ("bucket", "manifest"),
    "euca-register": ("name",),
    "euca-delete-bundle": ("bucket",),
}
_CHOICES_3 = {
    ("euca-bundle-image", "arch"): ARCHITECTURES,
    ("euca-bundle-image", "image-type"): ("machine", "kernel", "ramdisk"),
    ("euca-register", "architecture"): ARCHITECTURES,
    ("euca-register", "virtualization-type"): ("paravirtual", "hvm"),
    ("euca-register", "platform"): ("windows",),
    ("euca-upload-bundle", "acl"): ("public-read", "aws-exec-read", "ec2-bundle-read"),
}
_POSITIONAL_3 = {"euca-register": "?", "euca-deregister": "1", "euca-describe-images": "*"}

_MOST_3 = {None: 0, "?": 1, "1": 1, "*": 1 << 30}

TOOLS = tuple(_SCRIPTS)


def read_arguments(generation: Generation, tool: str, argv: Sequence[str]) -> Arguments:
    """Read a command line as the generation does.

    Raises:
        UsageError: an option is unknown, lacks its value, or a required one is missing.
        SystemExit: help or the version was asked for and has been printed.
    """
    if generation.family is Family.REQUESTS:
        return _read_argparse(generation, tool, argv)
    return _read_getopt(generation, tool, argv)


def _options(text: str) -> Options:
    found = []
    for part in filter(None, (part.strip() for part in text.split(";"))):
        short, _, name = part.rpartition(" ")
        found.append((short, name.rstrip("="), name.endswith("=")))
    return found


def _read_getopt(generation: Generation, tool: str, argv: Sequence[str]) -> Arguments:
    roboto = generation.family is Family.ROBOTO
    text = (_ROBOTO if roboto else _SCRIPTS)[tool]
    if generation.name == "1.2" and tool == "euca-register":
        text = ""
    own = _options(text)
    taken = {short for short, _, _ in own}
    # Where a command has -a or -s of its own, the common ones are capitals.
    capital = bool(taken & {"a", "s"}) and tool != "euca-upload-bundle"
    access, secret = ("A", "S") if capital else ("a", "s")
    common = f"{access} access-key=; {secret} secret-key=; U url=; h help; version; debug; config="
    if roboto:
        common += "; debugger; region=; euca-auth"
    options = own + _options(common)
    values, rest = _plain(options, argv) or _by_getopt(options, argv)
    if "help" in values:
        print(f"{tool}: see the manual page")
        raise SystemExit(1 if generation.name == "1.2" else 0)
    if "version" in values:
        print(generation.version)
        raise SystemExit(0)
    if roboto:
        _check_roboto(tool, values, rest)
    elif generation.family is Family.SCRIPTS:
        _check_scripts(tool, values)
    return Arguments(values, tuple(rest))


def _plain(options: Options, argv: Sequence[str]) -> tuple[dict[str, str], list[str]] | None:
    """Read what getopt and argparse read alike, for they take long to load; else nothing."""
    by_flag = {f"--{name}": (name, valued) for _, name, valued in options}
    by_flag |= {f"-{short}": (name, valued) for short, name, valued in options if short}
    values: dict[str, str] = {}
    rest: list[str] = []
    left = list(argv)
    while left:
        flag, equals, value = left.pop(0).partition("=")
        if flag[:1] != "-":
            rest.append(flag + equals + value)
            if not flag or (left and left[0][:1] == "-"):
                return None  # what follows it may be read in several ways
            continue
        name, valued = by_flag.get(flag, ("", False))
        if not name or (equals and (not valued or flag[:2] != "--")):
            return None
        if valued and not equals:
            value = left.pop(0) if left else "-"
            if value[:1] == "-":
                return None
        values[name] = value
    return values, rest


def _by_getopt(options: Options, argv: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    import getopt

    try:
        given, rest = getopt.gnu_getopt(
            list(argv),
            "".join(short + (":" if valued else "") for short, _, valued in options if short),
            [name + ("=" if valued else "") for _, name, valued in options],
        )
    except getopt.GetoptError as error:
        raise UsageError(str(error)) from None
    by_flag = {f"-{short}": name for short, name, _ in options if short}
    return {by_flag.get(flag, flag.removeprefix("--")): value for flag, value in given}, rest


def _check_roboto(tool: str, values: dict[str, str], rest: Sequence[str]) -> None:
    for name, value in values.items():
        choices = _ROBOTO_CHOICES.get((tool, name))
        if choices and value not in choices:
            raise UsageError(f"Value must be one of: {'|'.join(choices)}")
    missing = [name for name in _ROBOTO_REQUIRED.get(tool, ()) if name not in values]
    if missing:
        raise UsageError(f"These required options are missing: {','.join(missing)}")
    only = {"euca-deregister": "image_id", "euca-register": "image_location"}.get(tool)
    if tool == "euca-deregister" and not rest:
        raise UsageError("Argument (image_id) was not provided")
    if only and len(rest) > 1:
        raise UsageError(f"Only 1 argument ({only}) permitted")


def _check_scripts(tool: str, values: dict[str, str]) -> None:
    for name in {
        "euca-upload-bundle": ("bucket", "manifest"),
        "euca-delete-bundle": ("bucket",),
    }.get(tool, ()):
        if not values.get(name):
            raise UsageError(f"{name} must be specified.")


def _read_argparse(generation: Generation, tool: str, argv: Sequence[str]) -> Arguments:
    if tool == "euca-version":
        return Arguments()
    options = _options(f"version; debug; debugger; {_REQUESTS[tool]}")
    if tool == "euca-bundle-image" and generation.name != "3.0":
        options.append(("", "image-size", True))
    if tool == "euca-delete-bundle" and generation.name != "3.0":
        options.append(("", "local-manifest", True))
    if generation.name == "3.0":
        # Kept until 3.2 for what scripts of 2.x pass; a secret on the command line all the same.
        options.append(("", "config", True))
    found = _plain(options, argv)
    if found is None or not _is_valid(tool, *found):
        found = _by_argparse(tool, options, argv)
    values, rest = found
    if "version" in values:
        return Arguments(values)
    # In the words of the argparse of their time.
    for short, name, _ in options:
        if name in _REQUIRED_3.get(tool, ()) and name not in values:
            flag = f"-{short}/--{name}" if short else f"--{name}"
            raise _wrong(tool, f"argument {flag} is required")
    if _POSITIONAL_3.get(tool) == "1" and not rest:
        raise _wrong(tool, "too few arguments")
    if tool == "euca-delete-bundle":
        which = [name for name in ("manifest", "prefix", "local-manifest") if name in values]
        if len(which) != 1:
            raise _wrong(tool, "one of the arguments -m/--manifest -p/--prefix is required")
    return Arguments(values, rest)


def _is_valid(tool: str, values: Mapping[str, str], rest: Sequence[str]) -> bool:
    """Whether argparse takes each of these."""
    if "image-size" in values or len(rest) > _MOST_3[_POSITIONAL_3.get(tool)]:
        return False
    return all(value in _CHOICES_3.get((tool, name), (value,)) for name, value in values.items())


def _by_argparse(
    tool: str, options: Options, argv: Sequence[str]
) -> tuple[dict[str, str], list[str]]:
    import argparse

    class Parser(argparse.ArgumentParser):
        def error(self, message: str) -> NoReturn:
            raise _wrong(tool, message)

    parser = Parser(prog=tool)
    for short, name, valued in options:
        flags = [f"-{short}"] * bool(short) + [f"--{name}"]
        if not valued:
            parser.add_argument(*flags, action="store_true", dest=name)
            continue
        kind = int if name == "image-size" else str
        parser.add_argument(*flags, dest=name, type=kind, choices=_CHOICES_3.get((tool, name)))
    count = _POSITIONAL_3.get(tool)
    if count:
        parser.add_argument("rest", nargs="?" if count == "1" else count)
    found = vars(parser.parse_args(list(argv)))
    positional = found.pop("rest", None)
    rest = positional if isinstance(positional, list) else [positional] if positional else []
    values = {
        name: "" if value is True else str(value)
        for name, value in found.items()
        if value is not None and value is not False
    }
    return values, rest


def _wrong(tool: str, message: str) -> UsageError:
    return UsageError(f"usage: {tool} [...]\n{tool}: error: {message}")
