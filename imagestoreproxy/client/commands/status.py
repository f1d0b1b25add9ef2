"""The commands that show what goes on."""

from __future__ import annotations

from imagestoreproxy.client import text
from imagestoreproxy.client.catalogue import find_image, objects, state_of
from imagestoreproxy.client.command import Command, print_json, status_line
from imagestoreproxy.client.watch import is_working


def status(command: Command) -> None:
    """Show images in progress and in error, or those that are named."""
    named = [find_image(command.connection, name).uri for name in command.options.images]
    content = command.connection.post("/api/states", [("image-uri", uri) for uri in named])
    states = [state_of(content, uri) for uri in named] if named else objects(content, "states")
    if command.options.json:
        print_json({"states": [state for state in states if state]})
        return
    if not states:
        print("No install is going on, and none has failed.")
    for state in states:
        shown = text.progress(state) if is_working(state) else status_line(state)
        print(f"{text.plain(state.get('image-uri', ''))}  {shown}")
        if message := state.get("error-message"):
            print(f"  {text.plain(message)}")
