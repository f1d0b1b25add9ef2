"""The commands that bring images into the cloud, hold that up, or stop it."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from imagestoreproxy.client import text
from imagestoreproxy.client.catalogue import Found, find_images, in_version, told_apart
from imagestoreproxy.client.command import Command, actions, print_json, status_line
from imagestoreproxy.client.commands.listing import print_run
from imagestoreproxy.client.display import Board, SilentBoard, board_for
from imagestoreproxy.client.failure import FAILED, MISUSED, ClientError
from imagestoreproxy.client.watch import follow_all, is_working

Json = Mapping[str, Any]


@dataclass(slots=True)
class Work:
    """One of the images that are worked on, and what came of it.

    Args:
        problem: a sentence; empty as long as there is none.
        hints: what to type then.
    """

    found: Found
    state: Json = field(default_factory=dict)
    problem: str = ""
    hints: Sequence[str] = ()


def install(command: Command) -> None:
    """Install images, and follow them to their end."""
    found = find_images(command.connection, command.options.images)
    if version := command.options.version:
        if len(found) > 1:
            raise ClientError("--version is for one image.", MISUSED)
        found = [in_version(command.connection, found[0], version)]
    _to_the_end(command, [_begun(command, one, "install") for one in found], "install")


def retry(command: Command) -> None:
    """Try failed installs again from what is kept, and follow them to their end."""
    found = find_images(command.connection, command.options.images)
    _to_the_end(command, [_begun(command, one, "retry") for one in found], "install")


def resume(command: Command) -> None:
    """Let paused installs go on, and follow them to their end."""
    found = find_images(command.connection, command.options.images)
    _to_the_end(command, [_begun(command, one, "resume") for one in found], "install")


def _begun(command: Command, found: Found, what: str) -> Work:
    """Begin an install, or join it; where that cannot be, say why."""
    try:
        return Work(found, _accepted(command, found, what))
    except ClientError as error:
        if error.exit_status != FAILED:
            raise
        return Work(found, found.state, error.message, error.hints)


def _accepted(command: Command, found: Found, what: str) -> Json:
    state = found.state
    # What is paused offers no "install": it goes on.
    tried = ("install", "resume") if what == "install" else (what,)
    if action := next((one for one in tried if one in actions(state)), ""):
        return command.act(found, action)
    if what == "resume" and not is_working(state):
        raise command.impossible(found, "is not paused.", "status")
    if is_working(state) or (what == "install" and state.get("status") == "installed"):
        return state
    if refused := found.info.get("refused"):
        raise command.impossible(found, f"is not for this cloud: {refused}")
    if what == "retry":
        raise command.impossible(found, "has no failed install to try again.", "install")
    raise command.impossible(found, "cannot be installed: no store offers it now.")


def _to_the_end(command: Command, works: Sequence[Work], what: str) -> None:
    if not command.options.no_wait:
        _wait(command, [work for work in works if not work.problem], what)
    if len(works) == 1:
        _tell_one(command, works[0])
    else:
        _tell_all(command, works)


def _wait(command: Command, works: Sequence[Work], what: str) -> None:
    if len(works) == 1:
        (work,) = works
        work.state = command.follow(work.found, work.state, what)
        _judge(command, work)
        return
    by_uri = {work.found.uri: work for work in works}
    names = told_apart({uri: work.found.title for uri, work in by_uri.items()})
    board: Board = SilentBoard() if command.options.json else board_for(sys.stdout, command.paint)

    def ended(uri: str, state: Json) -> None:
        work = by_uri[uri]
        work.state = state
        _judge(command, work)
        style = "bad" if work.problem else "good"
        board.tell(names[uri], work.problem or status_line(state), style)

    try:
        follow_all(
            command.connection,
            {uri: work.state for uri, work in by_uri.items()},
            names,
            board,
            ended=ended,
            sleep=command.sleep,
            monotonic=command.monotonic,
        )
    except KeyboardInterrupt:
        print(f"All goes on in the proxy. To watch: {command.again('watch')}", file=sys.stderr)
        raise


def _judge(command: Command, work: Work) -> None:
    """Say what is wrong with how an install ended."""
    uri, state = work.found.uri, work.state
    name = work.found.called or uri
    if message := state.get("error-message"):
        again = "retry" if "retry" in actions(state) else "install"
        work.problem = f"The install of {uri} failed: {message}"
        work.hints = [command.again("history", name), command.again(again, name)]
    elif state.get("status") != "installed" and not is_working(state):
        work.problem = f"The install of {uri} was cancelled."
        work.hints = [command.again("install", name)]


def _tell_one(command: Command, work: Work) -> None:
    content = {"installs": [_described(command, work)]}
    if work.problem:
        raise ClientError(work.problem, FAILED, hints=work.hints, content=content)
    state = work.state
    if command.options.json:
        run = content["installs"][0].get("run-command")
        print_json({"state": state, **({"run-command": run} if run else {}), **content})
        return
    print(f"{work.found.title}: {status_line(state)}")
    print_run(command, state, work.found.info)


def _tell_all(command: Command, works: Sequence[Work]) -> None:
    content = {"installs": [_described(command, work) for work in works]}
    failed = [work for work in works if work.problem]
    if not command.options.json:
        for work in works:
            if command.options.no_wait and not work.problem:
                print(f"{work.found.title}: {status_line(work.state)}")
            elif work.problem and not work.state.get("error-message"):
                print(text.plain(work.problem), file=sys.stderr)
    if failed:
        hints = list(dict.fromkeys(hint for work in failed for hint in work.hints))
        message = f"{len(failed)} of {len(works)} images could not be installed."
        raise ClientError(message, FAILED, hints=hints, content=content)
    if command.options.json:
        print_json(content)
    elif any("emi" in work.state for work in works):
        print(f"To run one of them: {command.again('show', works[0].found.called)}")


def _described(command: Command, work: Work) -> dict[str, Any]:
    content: dict[str, Any] = {"image-uri": work.found.uri, "state": work.state or None}
    if "emi" in work.state:
        content["run-command"] = command.login.run_line(str(work.state["emi"]), work.found.info)
    if work.problem:
        content["error-message"] = work.problem
    return content


def pause(command: Command) -> None:
    """Hold installs up; what was fetched and uploaded is kept."""
    _act_on_all(command, "pause", "cannot be paused: it is not being installed.", "Paused")


def cancel(command: Command) -> None:
    """Stop installs."""
    _act_on_all(
        command,
        "cancel",
        "has nothing going on that can be cancelled.",
        "Cancelled; the proxy removes what there is of",
    )


def clear_error(command: Command) -> None:
    """Forget why installs failed, and the files kept for another try."""
    _act_on_all(command, "clear-error", "has no error that can be cleared.", "Cleared the error of")


def _act_on_all(command: Command, action: str, why_not: str, done: str) -> None:
    """Do something with each image, or with none where it is not possible with one."""
    all_found = find_images(command.connection, command.options.images)
    for found in all_found:
        if action not in actions(found.state):
            raise command.impossible(found, why_not, "status")
    states = []
    for found in all_found:
        states.append(command.act(found, action))
        if not command.options.json:
            title = text.plain(found.info.get("title") or "")
            print(f"{done} {title} ({text.plain(found.uri)}).")
    if command.options.json:
        print_json({**({"state": states[0]} if len(states) == 1 else {}), "states": states})
    elif action == "pause":
        print(f"To go on: {command.again('resume', *command.options.images)}")
