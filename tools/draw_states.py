"""Writes the page of the states: python tools/draw_states.py > docs/states.md"""

from __future__ import annotations

import sys

from imagestoreproxy.model.installs import ACTIVE, STATUS, TRANSITIONS, State

HEAD = """\
# The states of an image

Drawn from the table in `imagestoreproxy/model/installs.py` by `tools/draw_states.py`; a test keeps
the two in step. The same words are in the database. Whatever is not drawn is refused with 409.

```mermaid
stateDiagram-v2
    [*] --> uninstalled
"""


def page() -> str:
    """Give the whole page."""
    arrows = [
        f"    {before} --> {after}: {event}\n" for (before, event), after in TRANSITIONS.items()
    ]
    rows = [
        f"| `{state}` | `{STATUS[state]}` | {'yes' if state in ACTIVE else ''} |\n"
        for state in State
    ]
    return "".join(
        [
            HEAD,
            *arrows,
            "```\n\n| state | what the Store tab is told | begun, not over |\n|---|---|---|\n",
            *rows,
        ]
    )


if __name__ == "__main__":
    sys.stdout.write(page())
