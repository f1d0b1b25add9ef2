"""``image-store completion``: what makes a shell complete the commands and options."""

from __future__ import annotations

import argparse

import shtab

from imagestoreproxy.client.command import print_json
from imagestoreproxy.client.entry import DIRECTORY, FILE, IMAGE_NAME
from imagestoreproxy.client.parsing import parser

ASK = "image-store --timeout 2 list --names 2>/dev/null"
# A title is a store's text: what is offered within quotes must mean nothing to the shell there.
BASH = r"""
_image_store_images() {
  local typed=$1 start=${1//\\/} name
  [[ $typed == [\"\']* ]] && start=${typed:1}
  while IFS= read -r name; do
    [[ $name == "$start"* ]] || continue
    if [[ $typed != [\"\']* ]]; then
      printf '%q\n' "$name"
    elif [[ $name != *[\"\'\`\$\\!]* ]]; then
      printf '%s\n' "$name"
    fi
  done < <(ASK)
}"""
ZSH = """
_image_store_images() {
  local -a names
  names=(${(f)"$(ASK)"})
  compadd -a names
}"""
IMAGES = {
    "bash": "_image_store_images",
    "zsh": "_image_store_images",
    "fish": f"({ASK})",
    "preamble": {"bash": BASH.replace("ASK", ASK), "zsh": ZSH.replace("ASK", ASK)},
}


def completion(options: argparse.Namespace) -> None:
    """Write the script for a shell, made from the same parser as the help."""
    whole = parser({}, {FILE: shtab.FILE, DIRECTORY: shtab.DIRECTORY, IMAGE_NAME: IMAGES})
    script = shtab.complete(whole, shell=options.shell)
    if options.json:
        print_json({"shell": options.shell, "script": script})
    else:
        print(script)
