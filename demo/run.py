"""``make demo``: an image goes from a signed store into a cloud, in front of your eyes.

It starts a cloud (moto's EC2 and S3), a store and the proxy, installs an image through signed
requests, asks the cloud what it got, and keeps all of it running until Ctrl-C. The store is
fakestoreapi.py, or with SOURCE=simplestreams a mirror that the demo publishes, signs and serves.
With ONCE=1 it ends by itself; the exit status is 0 only if everything held.
"""

from __future__ import annotations

import os
import secrets
import shlex
import shutil
import signal
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import urlencode, urlsplit

from demo import evidence
from demo.certificates import Credentials, make_credentials_directory
from demo.images import MIB
from demo.processes import START_S, StartError, free_port, running
from demo.stores import STORES, Store
from demo.words import say, short
from imagestoreproxy.client.catalogue import find_image
from imagestoreproxy.client.display import Bar, Display, Lines
from imagestoreproxy.client.requests import ClientError, Connection
from imagestoreproxy.client.watch import follow
from imagestoreproxy.model.signing import LIFETIME_S, signed_pairs

ROOT = Path(__file__).parents[1]
DATA = ROOT / "demo" / "data"
ACCESS_KEY = "DEMOADMINACCESSKEY"
SECRET_KEY = "not-a-secret-demo-key"
CLOUD_PORT, PROXY_PORT = 5000, 52780
INSTALL_S = 900
GLANCE_S = 0.1
LONG_LIFETIME_S = 14 * 60


class DemoError(Exception):
    """Something did not hold; says what."""


@dataclass(frozen=True)
class Stage:
    """All that runs."""

    store: Store
    credentials: Credentials
    cloud_url: str
    proxy: Connection


def main() -> int:
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _leave)
    _shut_the_door()
    once = os.environ.get("ONCE", "") not in {"", "0"}
    with ExitStack() as stack:
        try:
            stage = _start(stack)
            state = _install(stage)
            _show_cloud(stage, state)
            print("\nAll of it held.", flush=True)
            if not once:
                _show_what_next(stage)
                _stay()
        except (DemoError, StartError, ClientError, RuntimeError) as error:
            print(f"\nThe demo failed: {error}", file=sys.stderr)
            print(f"The logs are in {short(DATA / 'run')}/.", file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            print("\nStopping ...", flush=True)
            return 1 if once else 0
    return 0


def _shut_the_door() -> None:
    """Forget what this machine's user has set for other clouds and for the way out."""
    for name in list(os.environ):
        if name.startswith(("AWS_", "EC2_", "S3_", "IMAGE_STORE_")):
            del os.environ[name]
    os.environ["AWS_CONFIG_FILE"] = os.devnull
    # All that the demo starts is on this machine, and no HTTP proxy leads there.
    os.environ["no_proxy"] = os.environ["NO_PROXY"] = "localhost,127.0.0.1"


def _leave(number: int, _: object) -> NoReturn:
    # Raised in the main thread, so that everything that was started is stopped on the way out.
    raise SystemExit(128 + number)


def _start(stack: ExitStack) -> Stage:
    wanted = os.environ.get("SOURCE") or "store"
    if wanted not in STORES:
        raise DemoError(f"SOURCE must be one of {', '.join(STORES)}, not '{wanted}'.")
    make_store = STORES[wanted]
    print("Image Store Proxy: an image goes from a signed store into a cloud.\n", flush=True)
    run = DATA / "run"
    shutil.rmtree(run, ignore_errors=True)
    DATA.mkdir(exist_ok=True)
    run.mkdir(mode=0o700)
    python = [sys.executable]

    port = free_port(CLOUD_PORT)
    cloud_url = f"http://127.0.0.1:{port}"
    command = [*python, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    stack.enter_context(running("moto", command, f"{cloud_url}/moto-api/", run / "cloud.log"))
    evidence.load(cloud_url, ACCESS_KEY, SECRET_KEY)
    say("Cloud", f"{cloud_url}  (EC2 and S3, played by moto)")

    store = make_store(stack, run)
    say("Store", f"{store.url}  ({store.program})")

    credentials = make_credentials_directory(
        run / "credentials", cloud_url, cloud_url, ACCESS_KEY, SECRET_KEY
    )
    port = free_port(PROXY_PORT)
    proxy_url = f"http://localhost:{port}"
    command = [
        *(*python, str(ROOT / "bin" / "image-store-proxy"), "--cloud=ec2"),
        *(f"--credentials-dir={credentials.directory}", f"--data-dir={run / 'data'}"),
        *store.options,
        f"--listen=tcp:{port}:interface=127.0.0.1",
    ]
    stack.enter_context(running("The proxy", command, f"{proxy_url}/healthz", run / "proxy.log"))
    say("Proxy", f"{proxy_url}  (bin/image-store-proxy)")
    _show_page(proxy_url)
    return Stage(store, credentials, cloud_url, Connection(proxy_url, ACCESS_KEY, SECRET_KEY))


def _show_page(proxy_url: str) -> None:
    """Tell where the page is, and with what to log in: keys of the demo's own cloud alone."""
    print(f"\nOpen {proxy_url}/ in a browser on this machine, and log in with", flush=True)
    say("  Access key", ACCESS_KEY)
    say("  Secret key", SECRET_KEY)


def _install(stage: Stage) -> dict[str, Any]:
    """Click on Install and watch; give the state of the image at the end."""
    title = stage.store.title
    _wait_for_the_catalogue(stage.proxy)
    found = find_image(stage.proxy, title)
    print(f"\nInstalling '{title}' {found.info['version']} from {found.uri}", flush=True)
    began_s = time.monotonic()

    def wait(_: float) -> None:
        if time.monotonic() > began_s + INSTALL_S:
            raise DemoError(f"it is not installed after {INSTALL_S} seconds.")
        time.sleep(GLANCE_S)

    action = urlsplit(found.state["actions"]["install"]).path
    state = stage.proxy.post(action)["state"]
    display: Display = Bar(sys.stdout) if sys.stdout.isatty() else Lines(sys.stdout)
    state = follow(stage.proxy, found.uri, state, display, sleep=wait)
    if state["status"] != "installed":
        raise DemoError(state.get("error-message") or f"the image is {state['status']}.")
    print(f"Installed in {time.monotonic() - began_s:.1f} seconds:", flush=True)
    for word, key in (("machine image", "emi"), ("kernel", "eki"), ("ramdisk", "eri")):
        if key in state:
            say(f"  {word}", state[key])
    return dict(state)


def _wait_for_the_catalogue(proxy: Connection) -> None:
    """The proxy answers before the store has; what that gave, or why it gave nothing, is known."""
    ends_s = time.monotonic() + START_S
    while time.monotonic() < ends_s:
        sources = proxy.get("/api/sources")["sources"]
        if all("fetched-at" in one or "problem" in one for one in sources):
            return
        time.sleep(GLANCE_S)


def _show_cloud(stage: Stage, state: dict[str, Any]) -> None:
    """Ask EC2 and S3 what they have, without the proxy."""
    ec2, s3 = evidence.clients(stage.cloud_url, ACCESS_KEY, SECRET_KEY)
    ids = [state[key] for key in ("eki", "eri", "emi") if key in state]
    entries = evidence.registered(ec2, ids)
    print("\nEC2 says (DescribeImages):", flush=True)
    for image_id in ids:
        if image_id not in entries:
            raise DemoError(f"EC2 does not know {image_id}.")
        print(f"  {image_id}  {entries[image_id]['State']}  {entries[image_id]['Name']}")
    print("\nS3 holds (fetched back, opened with the cloud's key, compared with the source):")
    try:
        bundles = evidence.stored(s3, stage.credentials, stage.store.contents)
    except AssertionError as error:
        raise DemoError(f"a bundle in S3 cannot be opened: {error}") from error
    for bundle in bundles:
        word = "the same bytes" if bundle.same else "DIFFERENT BYTES"
        parts = f"{bundle.parts} part{'' if bundle.parts == 1 else 's'}"
        size = f"{bundle.image_bytes / MIB:.1f} MiB, {bundle.stored_bytes / MIB:.1f} in {parts}"
        say(f"  {bundle.kind}", f"{word}: {size}")
        say("", bundle.location)
    if sorted(bundle.kind for bundle in bundles) != sorted(stage.store.contents):
        raise DemoError(f"S3 does not hold one of each: {', '.join(stage.store.contents)}.")
    if not all(bundle.same for bundle in bundles):
        raise DemoError("what S3 holds is not what the store offered.")


def _show_what_next(stage: Stage) -> None:
    program = short(Path(sys.executable).with_name("image-store"))
    tool = f"{program} --credentials-dir {short(stage.credentials.directory)}"
    if stage.proxy.url != f"http://localhost:{PROXY_PORT}":
        tool += f" --url {stage.proxy.url}"
    until = time.strftime("%H:%M", time.localtime(time.time() + LONG_LIFETIME_S))
    print(
        f"""
Everything keeps running, and the page at {stage.proxy.url}/ shows it; the logs are in
{short(DATA / "run")}/. In another terminal:

  {tool} list
  {tool} sources
{stage.store.what_next.format(tool=tool, program=program)}
A request as the Store tab signs it (good until {until}):

  {_curl_line(stage.proxy.url, "/api/dashboard")}

Ctrl-C ends all of it.""",
        flush=True,
    )


def _curl_line(url: str, path: str) -> str:
    """Give a command that asks for a page, with the longest life that a proxy accepts."""
    pairs = signed_pairs(
        SECRET_KEY,
        ACCESS_KEY,
        "GET",
        urlsplit(url).netloc,
        path,
        [],
        now_s=time.time() + LONG_LIFETIME_S - LIFETIME_S,
        nonce=str(secrets.randbits(63)),
    )
    return f"curl {shlex.quote(f'{url}{path}?{urlencode(pairs)}')}"


def _stay() -> None:
    while True:
        signal.pause()


if __name__ == "__main__":
    sys.exit(main())
