"""``image-store completion``: what makes a shell complete the commands and options."""

from __future__ import annotations

import argparse

import shtab

from imagestoreproxy.client.command import print_json
from imagestoreproxy.client.entry import DIRECTORY, FILE
from imagestoreproxy.client.parsing import parser


def completion(options: argparse.Namespace) -> None:
    """Write the script for a shell, made from the same parser as the help."""
    whole = parser({}, {FILE: shtab.FILE, DIRECTORY: shtab.DIRECTORY})
    script = shtab.complete(whole, shell=options.shell)
    if options.json:
        print_json({"shell": options.shell, "script": script})
    else:
        print(script)
