"""A process that has loaded our programs, and forks one whenever a test wants it.

A daemon spends a second of the processor on loading its modules, and a test needs a tenth of that
for what it looks at; some hundred tests start some hundred daemons. What is forked here has loaded
the modules and nothing more: no thread, no reactor, no file but those that are handed to it.
"""

from __future__ import annotations

import gc
import json
import os
import runpy
import select
import signal
import socket
import sys
from contextlib import suppress
from importlib import import_module
from typing import Any, NoReturn

# Not twisted.internet.reactor: to import that is to make one, with open files.
MODULES = (
    "imagestoreproxy.main",
    "twisted.internet.epollreactor",
    "imagestoreproxy.client.cli",
    "boto3",
    "fakestoreapi",
)
ORDER_BYTES = 1 << 18
FAILED = 70


def main() -> None:
    """Fork at orders that come over the socket whose number is the argument; end when it does."""
    orders = socket.socket(fileno=int(sys.argv[1]))
    for name in MODULES:
        import_module(name)
    # What is here stays for good; the collector of a fork need not look at it.
    gc.collect()
    gc.freeze()
    woken, wake = os.pipe()
    for end in (woken, wake):
        os.set_blocking(end, False)
    signal.set_wakeup_fd(wake)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    awaited: list[Any] = [orders, woken]
    with suppress(KeyboardInterrupt):
        while True:
            ready = select.select(awaited, [], [])[0]
            if woken in ready:
                os.read(woken, 1 << 10)
                _tell_who_ended(orders)
            if orders in ready:
                text, files, _, _ = socket.recv_fds(orders, ORDER_BYTES, 2)
                if not text:
                    return
                pid = os.fork()
                if not pid:
                    _become(json.loads(text), files)
                for file in files:
                    os.close(file)
                orders.send(json.dumps({"born": pid}).encode())


def _tell_who_ended(orders: socket.socket) -> None:
    with suppress(ChildProcessError):
        while (ended := os.waitpid(-1, os.WNOHANG))[0]:
            status = os.waitstatus_to_exitcode(ended[1])
            orders.send(json.dumps({"ended": ended[0], "status": status}).encode())


def _become(order: dict[str, Any], outputs: list[int]) -> NoReturn:
    """Be the program, as if it had just been started; never comes back."""
    status = FAILED
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        nothing = os.open(os.devnull, os.O_RDONLY)
        for number, end in enumerate((nothing, *outputs)):
            os.dup2(end, number)
        os.closerange(3, 1 << 10)
        os.environ.clear()
        os.environ.update(order["environment"])
        os.chdir(order["directory"])
        sys.argv = order["command"]
        status = _run(sys.argv[0])
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _run(script: str) -> int:
    try:
        if script.endswith("fakestoreapi.py"):
            return int(import_module("fakestoreapi").main())
        runpy.run_path(script, run_name="__main__")
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            return end.code or 0
        sys.stderr.write(f"{end.code}\n")
        return 1
    return 0


if __name__ == "__main__":
    main()
