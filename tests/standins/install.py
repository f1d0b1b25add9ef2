"""Puts the stand-ins of one generation into a directory, as executables."""

from __future__ import annotations

import ast
import compileall
import marshal
import shutil
import sys
from functools import cache
from pathlib import Path
from typing import Any

from tests.standins.tool.arguments import TOOLS
from tests.standins.tool.generations import GENERATIONS

EUCA2OOLS = tuple(GENERATIONS)
_PROGRAM = Path(__file__).with_name("tool")
_LAUNCHER = """\
#!{python} -IS
import os
import sys

directory, tool = os.path.split(os.path.realpath(__file__))
sys.path.insert(0, f"{{directory}}/.standin")
from tool.main import main

main(f"{{directory}}/.standin", {generation!r}, tool)
"""


def install_standins(
    directory: Path, generation: str, *, python: str = sys.executable, **traps: Any
) -> Path:
    """Make ``directory`` (which may exist) hold the commands of one generation of euca2ools.

    They need no environment, and neither this tree nor the directory's present place.

    Args:
        generation: one of ``EUCA2OOLS``.
        python: the interpreter that runs them, 3.11 or later.
        traps: see ``set_traps``.

    Returns:
        The directory.
    """
    if generation not in EUCA2OOLS:
        raise ValueError(f"no stand-in of euca2ools {generation}: there are {EUCA2OOLS}")
    place = directory / ".standin"
    place.mkdir(parents=True, exist_ok=True)
    copy_compiled(_PROGRAM, place / "tool")
    for tool in TOOLS:
        path = directory / tool
        path.write_text(_LAUNCHER.format(python=python, generation=generation))
        path.chmod(0o755)
    set_traps(directory, **traps)
    return directory


def copy_compiled(program: Path, target: Path) -> None:
    """Copy a folder of Python with what the interpreter of this process has compiled of it.

    Each copy would be compiled anew else, which takes longer than a run.
    """
    _compile(program)
    shutil.copytree(program, target, dirs_exist_ok=True)


@cache
def _compile(program: Path) -> None:
    compileall.compile_dir(program, maxlevels=0, quiet=2)


def set_traps(directory: Path, **traps: Any) -> None:
    """Say anew what the stand-ins do wrong; without arguments, nothing.

    Each of the first group is ``True`` for all commands or a list of command names:

    - ``hang``: stop in the middle, for ever; ``mute_hang`` as well: before the first word.
    - ``slow``: rest for ``slow_s`` seconds (1) between steps.
    - ``leave_child``: start a child that holds the output open and outlives its parent.
    - ``silent``: do everything, say nothing, exit 0.
    - ``crash``: a traceback and exit 1.
    - ``refused_upload``: the bucket is not ours (1.x: a sentence and exit 0).
    - ``sent_nothing``: "Uploaded", having sent nothing; ``lost_part``: all but the last part.
    - ``no_id``: "IMAGE", a tab, and no id, exit 0, of an image that is registered.
    - ``invalid_user``: "Invalid user" and exit 0.
    - ``no_deprecations``: 3.x does not warn on stderr, as openssl 1.1 did not.
    - ``real_signatures``: EC2 requests are signed by version 2 up to 3.2, which moto does not take
      for EC2's unless something before it says so.

    ``error``: a table from a command's name to the code and message that its cloud answers.
    ``patience_s``: for how long 1.x and 2.x try a dead service again (70).
    """
    (directory / ".standin" / "traps").write_bytes(marshal.dumps(traps))


def calls(directory: Path) -> list[dict[str, Any]]:
    """What was run, in order: ``tool``, ``arguments``, ``environment`` (names only), ``home``
    (names in the home directory), ``directory``, ``process``, ``group``."""
    path = directory / ".standin" / "calls"
    if not path.exists():
        return []
    return [ast.literal_eval(line) for line in path.read_text().splitlines()]


def children(directory: Path) -> list[int]:
    """Process ids of the children that ``leave_child`` left."""
    path = directory / ".standin" / "children"
    return [int(line) for line in path.read_text().split()] if path.exists() else []
