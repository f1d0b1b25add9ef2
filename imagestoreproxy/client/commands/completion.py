"""``image-store completion``: what makes a shell complete the commands and options."""

from __future__ import annotations

import argparse

import shtab

from imagestoreproxy.client.command import print_json
from imagestoreproxy.client.entry import DIRECTORY, FILE, IMAGE_NAME
from imagestoreproxy.client.parsing import parser

ASK = "image-store --timeout 2 list --names 2>/dev/null"
# Not for bash: it takes each word of a title for a name.
IMAGES = {
    "bash": "",
    "zsh": "_image_store_images",
    "fish": f"({ASK})",
    "preamble": {
        "zsh": "_image_store_images() {\n"
        "  local -a names\n"
        f'  names=(${{(f)"$({ASK})"}})\n'
        "  compadd -a names\n"
        "}"
    },
}


def completion(options: argparse.Namespace) -> None:
    """Write the script for a shell, made from the same parser as the help."""
    whole = parser({}, {FILE: shtab.FILE, DIRECTORY: shtab.DIRECTORY, IMAGE_NAME: IMAGES})
    script = shtab.complete(whole, shell=options.shell)
    if options.json:
        print_json({"shell": options.shell, "script": script})
    else:
        print(script)
