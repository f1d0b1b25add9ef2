"""Whether the tools do the work: where they work, or where somebody says that they shall."""

from __future__ import annotations

from dataclasses import dataclass

from imagestoreproxy.clouds.euca2ools.tools import Tools, find_tools
from imagestoreproxy.model.errors import CloudError
from imagestoreproxy.ports import Stop
from imagestoreproxy.ports.programs import Programs


@dataclass(frozen=True, slots=True)
class Found:
    """What was found.

    Args:
        tools: None: they are not to do it.
        why: one sentence for people.
    """

    tools: Tools | None
    why: str


def euca2ools_found(choice: str, directory: str, programs: Programs, stop: Stop) -> Found:
    """Choose between the tools and asking the cloud directly. Blocks while they are asked.

    Args:
        choice: ``euca2ools``, or ``auto``: where they are installed and work; else never.
        directory: where they are; empty: where programs of the system are.

    Raises:
        CloudError: they shall do it, or somebody has said where they are, and they cannot.
    """
    if choice not in ("auto", "euca2ools"):
        return Found(None, "the cloud is asked directly")
    try:
        tools = find_tools(programs, directory, stop)
    except CloudError as error:
        if choice == "euca2ools" or directory:
            raise
        return Found(None, f"the cloud is asked directly: {error.message}")
    return Found(tools, f"euca2ools {tools.version} do the work")
