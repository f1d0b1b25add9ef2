"""The stores of the demo: the fake one, and a simplestreams mirror as a site publishes its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from demo.images import MIB, make_samples
from demo.processes import StartError, free_port, running
from demo.words import say, short

ROOT = Path(__file__).parents[1]
DATA = ROOT / "demo" / "data"
PORT = 52781
IMAGE_MIB = 256
KEY = "Image Store Demo <demo@example.org>"


@dataclass(frozen=True)
class Store:
    """A store that runs.

    Args:
        program: what plays it.
        options: of the proxy.
        title: of the image to install.
        contents: what the cloud must get, by kind; files in .gz are unpacked for that.
        what_next: lines for people, with ``{tool}`` for the command line with its login, and
            ``{program}`` for it without.
    """

    url: str
    program: str
    options: Sequence[str]
    title: str
    contents: Mapping[str, Path]
    what_next: str = ""


def fake_store(stack: ExitStack, run: Path) -> Store:
    """Run ``fakestoreapi.py`` with a kernel, a ramdisk and a file system."""
    samples = make_samples(DATA / "images", IMAGE_MIB)
    sizes = [path.stat().st_size / MIB for path in (samples.kernel, samples.ramdisk, samples.image)]
    say("Images", "kernel {:.1f} MiB, ramdisk {:.1f} MiB,".format(*sizes[:2]))
    say("", f"ext4 file system {sizes[2]:.1f} MiB ({IMAGE_MIB} MiB unpacked)")
    port = free_port(PORT)
    url = f"http://localhost:{port}/api"
    command = [sys.executable, str(ROOT / "fakestoreapi.py"), str(samples.directory)]
    command.append(f"--port={port}")
    log = run / "store.log"
    stack.enter_context(running("fakestoreapi.py", command, f"{url}/dashboard", log))
    control = url.replace("/api", "/control")
    return Store(
        url,
        "fakestoreapi.py",
        [f"--api-url={url}", f"--keyring={ROOT / 'fake-pubring.gpg'}"],
        "Example Server",
        {"kernel": samples.kernel, "ramdisk": samples.ramdisk, "image": samples.image},
        f"""  {{tool}} install 'Example Web Server'

A newer version of one image appears, or the store misbehaves:

  curl {control} -d '{{{{"newer": true}}}}'
  curl {control} -d '{{{{"fault": "slow", "rate": 5000000}}}}'
""",
    )


def mirror(stack: ExitStack, run: Path) -> Store:
    """Make a disk with qemu-img, publish it with ``image-store publish``, and serve it."""
    directory = DATA / "mirror"
    raw = _make_disk(directory)
    disk = directory / "example-server.qcow2"
    say("Image", f"qcow2 disk {disk.stat().st_size / MIB:.1f} MiB ({IMAGE_MIB} MiB converted)")
    home = _make_key(stack, run)
    port = free_port(PORT)
    url = f"http://localhost:{port}/"
    tool = str(ROOT / "bin" / "image-store")
    publish = [tool, "publish", str(directory), f"--key={KEY}", f"--gnupg-home={home}"]
    publish += ["--format=simplestreams", f"--url={url}"]
    _run([sys.executable, *publish], run / "publish.log")
    serve = [sys.executable, tool, "serve", str(directory)]
    serve.append(f"--listen=tcp:{port}:interface=127.0.0.1")
    index = f"{url}streams/v1/index.sjson"
    stack.enter_context(running("image-store serve", serve, index, run / "store.log"))
    keyring = run / "mirror.gpg"
    exported = ["gpg", "--homedir", str(home), "--batch", "--yes", "--output", str(keyring)]
    _run([*exported, "--export", KEY], run / "gpg.log")
    config = run / "config.toml"
    config.write_text(
        f'[[source]]\nname = "demo"\ntitle = "The demo\'s mirror"\ntype = "simplestreams"\n'
        f'url = "{url}"\nkeyring = "{keyring}"\nrefresh-minutes = 1\n'
    )
    shown = " ".join(
        ["{program}", "publish", short(directory), *(f"'{one}'" for one in publish[3:])]
    )
    return Store(
        url,
        "published by image-store publish, served by image-store serve",
        [f"--config={config}"],
        "Example Server",
        {"image": raw},
        f"""
A newer version: change {short(disk)}, and publish again:

  {shown}
""",
    )


STORES: Mapping[str, Callable[[ExitStack, Path], Store]] = {
    "store": fake_store,
    "simplestreams": mirror,
}


def _make_disk(directory: Path) -> Path:
    """Make a compressed qcow2 from the sample's file system; give what it converts to."""
    samples = make_samples(DATA / "disk", IMAGE_MIB, ending="")
    directory.mkdir(parents=True, exist_ok=True)
    disk, raw = directory / "example-server.qcow2", DATA / "disk" / "converted.raw"
    convert = ["qemu-img", "convert"]
    log = DATA / "disk" / "qemu-img.log"
    if not disk.exists():
        _run([*convert, "-c", "-O", "qcow2", str(samples.image), f"{disk}.new"], log)
        Path(f"{disk}.new").replace(disk)
    _run([*convert, "-O", "raw", str(disk), str(raw)], log)
    (directory / "store.toml").write_text(
        """title = "The demo's mirror"

[image.example-server]
title = "Example Server"
summary = "A disk made by qemu-img; it boots nothing."
architecture = "x86_64"
"""
    )
    return raw


def _make_key(stack: ExitStack, run: Path) -> Path:
    """Make a key that signs for the demo, in a GnuPG home of its own."""
    # Not below the project: the agent's socket must have a short name.
    home = Path(f"/tmp/image-store-demo-{os.getpid()}")
    home.mkdir(mode=0o700)
    stack.callback(shutil.rmtree, home, ignore_errors=True)
    kill = ["gpgconf", "--homedir", str(home), "--kill", "all"]
    stack.callback(subprocess.run, kill, check=False, capture_output=True, timeout=20)
    make = ["gpg", "--homedir", str(home), "--batch", "--passphrase", "", "--quick-gen-key"]
    _run([*make, KEY, "ed25519", "sign", "1y"], run / "gpg.log")
    return home


def _run(command: Sequence[str], log: Path) -> None:
    with log.open("ab") as output:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            timeout=300,
            check=False,
        )
    if done.returncode:
        raise StartError(f"{Path(command[0]).name} failed; what it said is in {short(log)}.")
