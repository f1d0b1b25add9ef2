"""A published directory: signed by gpg, served to curl, installed by the daemon; all are real."""

from __future__ import annotations

import fcntl
import gzip
import hashlib
import io
import json
import os
import random
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tarfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from imagestoreproxy.client.shapes import schema
from imagestoreproxy.model.images import ImageDocument
from imagestoreproxy.outside.background import Threads
from imagestoreproxy.outside.gpg import GpgVerifier
from imagestoreproxy.sources.document import read_document
from imagestoreproxy.sources.storeapi import read_listing, read_search
from imagestoreproxy.web.published import CONNECTIONS_OF_ONE
from tests.functional import warm
from tests.functional.gpg_home import Signer, fresh_home
from tests.functional.ports import free_port
from tests.functional.reactor_thread import in_reactor, running_reactor
from tests.functional.rig import ROOT, SECRET, Daemon, Process, wait_for

pytestmark = pytest.mark.skipif(shutil.which("gpg") is None, reason="gpg is not installed")

PROGRAM = str(ROOT / "bin" / "image-store")
KEY = "store@example.org"
LONG_AGO_S = 1_700_000_000


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Signer]:
    with fresh_home(tmp_path_factory.getbasetemp()) as home:
        home.make(KEY)
        yield home


def tarball(**members: bytes) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz", compresslevel=1) as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name.replace("_", "."))
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return made.getvalue()


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """A trio in a subdirectory, a bootable disk, and a tarball."""
    noise = random.Random(3)
    directory = tmp_path / "images"
    trio = directory / "web-2.1"
    trio.mkdir(parents=True)
    (trio / "vmlinuz").write_bytes(noise.randbytes(100_000))
    (trio / "initrd.img").write_bytes(gzip.compress(noise.randbytes(50_000)))
    (trio / "image.gz").write_bytes(gzip.compress(noise.randbytes(300_000)))
    (directory / "disk.img").write_bytes(noise.randbytes(200_000))
    (directory / "uec.tar.gz").write_bytes(
        tarball(x_vmlinuz=noise.randbytes(9_000), x_initrd=b"r" * 4_000, x_img=b"i" * 70_000)
    )
    for path in directory.rglob("*"):
        if path.is_file():
            os.utime(path, (LONG_AGO_S, LONG_AGO_S))
    return directory


class Publisher:
    """Runs the program."""

    def __init__(self, directory: Path, keys: Signer, url: str) -> None:
        self.directory = directory
        self.public = directory / "public"
        self.url = url
        self.options = ["--key", KEY, "--gnupg-home", str(keys.home), "--url", url]

    def command(self, *options: str) -> list[str]:
        return [sys.executable, PROGRAM, "publish", str(self.directory), *self.options, *options]

    def run(self, *options: str) -> subprocess.CompletedProcess[str]:
        # Without a home and a login: it must not look for any.
        environment = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
        return warm.run(self.command(*options), environment, timeout_s=60)

    def publish(self, *options: str) -> dict[str, Any]:
        done = self.run("--json", *options)
        assert done.returncode == 0, done.stdout + done.stderr
        content = dict(json.loads(done.stdout))
        jsonschema_rs.validator_for(schema("publish", closed=True)).validate(content)
        return content

    def refused(self, *options: str) -> str:
        """Publish in vain; see that nothing has changed, and give the reason."""
        before = tree_of(self.public)
        done = self.run(*options)
        assert done.returncode in (1, 2), done.stdout
        assert tree_of(self.public) == before
        assert not list((self.directory / ".published").glob("*.new"))
        return done.stderr

    def document(self, name: str, verifier: GpgVerifier) -> ImageDocument:
        """Read an image's document as the proxy does."""
        message = (self.public / "api" / "images" / name).read_bytes()
        signed = in_reactor(verifier.verify, message)
        uri = f"{self.url}/api/images/{name}"
        return read_document(signed, message, uri, time.time())


def tree_of(public: Path) -> dict[str, bytes]:
    files = (path for path in public.resolve().rglob("*") if path.is_file())
    return {str(path.relative_to(public.resolve())): path.read_bytes() for path in files}


def check_whole(public: Path) -> int:
    """See that every file and document of a publication is there; give its serial."""
    tree = tree_of(public)
    for line in tree["SHA256SUMS"].decode().splitlines():
        digest, path = line.split("  ")
        assert hashlib.sha256(tree[path]).hexdigest() == digest
    documents = {path: text for path, text in tree.items() if path.startswith("api/images/")}
    listed = {image["uri"].rpartition("/")[2] for image in json.loads(tree["api/search"])["images"]}
    assert {f"api/images/{name}" for name in listed} == set(documents)
    serials = set()
    for text in documents.values():
        assert text.endswith(b"-----END PGP SIGNATURE-----\n")
        content = json.loads(text.split(b"\n\n", 1)[1].split(b"-----BEGIN")[0])
        serials.add(content["serial"])
        for file in content["files"]:
            assert f"files/{file['sha256']}/{file['url'].rpartition('/')[2]}" in tree
    assert len(serials) == 1
    return int(serials.pop())


@pytest.fixture
def publisher(images: Path, keys: Signer) -> Publisher:
    return Publisher(images, keys, f"http://127.0.0.1:{free_port()}")


@pytest.fixture
def verifier(publisher: Publisher, tmp_path: Path) -> Iterator[GpgVerifier]:
    threads = Threads(running_reactor(), size=2)
    yield GpgVerifier(threads, publisher.public / "keyring.gpg", tmp_path / "verifying")
    threads.close()


@contextmanager
def serving(publisher: Publisher, *options: str) -> Iterator[Process]:
    port = publisher.url.rpartition(":")[2]
    command = [sys.executable, PROGRAM, "serve", str(publisher.directory), *options]
    command.append(f"--listen=tcp:{port}:interface=127.0.0.1")
    server = Process(command, publisher.directory.parent / "serve.log")
    server.start()
    try:
        wait_for("the server", lambda: server.log.exists() and "listening on" in server.said())
        yield server
    finally:
        assert server.running
        if server.running.poll() is None:
            assert server.end() == 0
        assert "Traceback" not in server.said()


def curl(*options: str) -> tuple[int, dict[str, str], bytes]:
    done = subprocess.run(
        ["curl", "-s", "-i", "--path-as-is", "--noproxy", "*", "-m", "20", *options],
        capture_output=True,
    )
    assert done.returncode == 0, done
    head, _, body = done.stdout.partition(b"\r\n\r\n")
    status, *lines = head.decode().split("\r\n")
    fields = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
    return int(status.split()[1]), fields, body


def test_what_is_published_is_believed_by_the_proxys_own_readers(
    publisher: Publisher, verifier: GpgVerifier, keys: Signer
) -> None:
    report = publisher.publish("--title", "Ours", "--expires-days", "5")
    assert report["images"] == 3
    assert report["new-or-changed"] == ["disk", "uec", "web-2.1"]
    assert report["url"] == f"{publisher.url}/api"
    assert report["fingerprint"] == keys.fingerprint(KEY)
    web = publisher.document("web-2.1", verifier)
    assert [file.kind for file in web.files] == ["kernel", "ramdisk", "image"]
    assert web.version == "2.1"
    assert web.fingerprint == keys.fingerprint(KEY)
    assert 4 * 86400 < web.expires_s - time.time() <= 5 * 86400
    uec = publisher.document("uec", verifier)
    assert dict(uec.files[0].members) == {
        "kernel": "x.vmlinuz",
        "ramdisk": "x.initrd",
        "image": "x.img",
    }
    assert uec.version == "20231114"
    disk = publisher.document("disk", verifier)
    assert (disk.virtualization, disk.files[0].format) == ("hvm", "raw")
    listing = read_listing((publisher.public / "api" / "dashboard").read_bytes())
    assert {image.uri for image in listing.images} == {web.uri, uec.uri, disk.uri}
    assert listing.sections[0].title == "Ours"
    assert read_search((publisher.public / "api" / "search").read_bytes())[1]
    sums = ["gpgv", "--keyring", str(publisher.public / "keyring.gpg")]
    sums += [str(publisher.public / f"SHA256SUMS{end}") for end in (".gpg", "")]
    assert subprocess.run(sums, capture_output=True).returncode == 0


def test_published_files_are_the_same_files_for_everybody_and_the_state_is_for_nobody(
    publisher: Publisher,
) -> None:
    (publisher.directory / "disk.img").chmod(0o600)
    before = os.umask(0o077)
    try:
        publisher.publish()
    finally:
        os.umask(before)
    disk = next(publisher.public.glob("files/*/disk.img"))
    assert disk.stat().st_ino == (publisher.directory / "disk.img").stat().st_ino
    for path in publisher.public.resolve().rglob("*"):
        wanted = 0o755 if path.is_dir() else 0o444
        assert stat.S_IMODE(path.stat().st_mode) & wanted == wanted, path
    state = publisher.directory / ".published" / "state.json"
    assert stat.S_IMODE(state.stat().st_mode) == 0o600


def test_what_has_not_changed_is_not_read_again_and_serials_grow(publisher: Publisher) -> None:
    files = [path for path in publisher.directory.rglob("*") if path.is_file()]
    assert publisher.publish()["read-bytes"] == sum(path.stat().st_size for path in files)
    serial = check_whole(publisher.public)
    second = publisher.publish()
    assert (second["read-bytes"], second["unchanged"]) == (0, 3)
    assert check_whole(publisher.public) > serial
    new = publisher.directory / "disk.new"
    new.write_bytes(b"\xeb" * 150_000)
    new.replace(publisher.directory / "disk.img")
    third = publisher.publish()
    assert (third["read-bytes"], third["new-or-changed"]) == (150_000, ["disk"])


def test_a_changed_image_is_a_newer_version_and_the_one_before_can_still_be_had(
    publisher: Publisher, verifier: GpgVerifier
) -> None:
    publisher.publish()
    before = publisher.document("web-2.1", verifier)
    new = publisher.directory / "new"
    new.write_bytes(gzip.compress(b"other" * 1000))
    new.replace(publisher.directory / "web-2.1" / "image.gz")
    publisher.publish()
    after = publisher.document("web-2.1", verifier)
    assert (before.version, after.version) == ("2.1", "2.1.1")
    assert after.serial > before.serial
    tree = tree_of(publisher.public)
    for file in before.files + after.files:
        path = file.url.removeprefix(f"{publisher.url}/")
        assert hashlib.sha256(tree[path]).hexdigest() == file.sha256


def test_a_file_written_in_place_is_a_new_version_and_the_old_one_is_not_kept(
    publisher: Publisher, verifier: GpgVerifier
) -> None:
    publisher.publish()
    old = publisher.document("disk", verifier).files[0]
    (publisher.directory / "disk.img").write_bytes(b"\xeb" * 1000)
    publisher.publish()
    new = publisher.document("disk", verifier).files[0]
    assert new.sha256 == hashlib.sha256(b"\xeb" * 1000).hexdigest()
    assert not (publisher.public / "files" / old.sha256).exists()
    check_whole(publisher.public)


def test_an_image_taken_away_is_offered_no_more_but_kept_once(publisher: Publisher) -> None:
    publisher.publish()
    path = next(publisher.public.glob("files/*/disk.img")).relative_to(publisher.public)
    (publisher.directory / "disk.img").unlink()
    assert publisher.publish()["gone"] == ["disk"]
    assert not (publisher.public / "api" / "images" / "disk").exists()
    assert (publisher.public / path).is_file()
    assert publisher.publish()["gone"] == []
    assert not (publisher.public / path).exists()
    kept = [one.name for one in (publisher.directory / ".published").iterdir()]
    assert len([name for name in kept if name.isdecimal()]) == 2


def test_store_toml_speaks_and_what_is_wrong_in_it_changes_nothing(
    publisher: Publisher, verifier: GpgVerifier
) -> None:
    file = publisher.directory / "store.toml"
    picture = publisher.directory / "web.svg"
    picture.write_text("<svg/>")
    said = '[image."web-2.1"]\ntitle = "A web server"\nversion = "3"\nicon = "web.svg"\n'
    file.write_text(said)
    publisher.publish()
    web = publisher.document("web-2.1", verifier)
    assert (web.info.title, web.version) == ("A web server", "3")
    icon = publisher.public / web.info.icon_uri.removeprefix(f"{publisher.url}/")
    assert icon.read_text() == "<svg/>"
    for wrong, reason in (
        (said + 'colour = "red"\n', f"{file}:5: There is no key 'colour' here"),
        (said + "tags = 5\n", f"{file}:5: 'tags' must be"),
        (said.replace("web.svg", "absent.svg"), "absent.svg"),
        (said.replace("web.svg", "../../etc/passwd"), "passwd"),
        (said + '[image.other]\npath = "other.img"\n', "other.img"),
        ('title = "', "is no TOML"),
    ):
        file.write_text(wrong)
        assert reason in publisher.refused(), wrong
    file.write_text(said)
    (publisher.directory / "disk.img").unlink()
    (publisher.directory / "web-2.1" / "vmlinuz").write_bytes(b"another kernel")
    assert "its version is still 3" in publisher.refused()
    file.write_text(said.replace('"3"', '"4"'))
    publisher.publish()
    assert publisher.document("web-2.1", verifier).version == "4"


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("page.img", b"<!DOCTYPE html><html>", "page.img is an HTML or XML page"),
        ("cut.tar.gz", tarball(x_vmlinuz=b"k" * 99, x_img=b"i" * 99)[:-9], "cut.tar.gz"),
        ("source.tar.gz", tarball(main_c=b"int"), "has no image"),
        ("empty.raw", b"", "empty.raw is empty"),
    ],
)
def test_what_no_cloud_can_take_is_named_and_changes_nothing(
    publisher: Publisher, name: str, content: bytes, reason: str
) -> None:
    publisher.publish()
    (publisher.directory / name).write_bytes(content)
    assert reason in publisher.refused()


def test_wrong_options_are_refused(publisher: Publisher) -> None:
    publisher.publish()
    assert "There is no key nobody@example.org" in publisher.refused("--key", "nobody@example.org")
    assert "--url must be like" in publisher.refused("--url", "store")
    assert "--expires-days must be" in publisher.refused("--expires-days", "0")
    assert "cannot be read" in publisher.refused("--from", "absent.toml")


def test_two_at_a_time_are_one(publisher: Publisher) -> None:
    publisher.publish()
    with (publisher.directory / ".published" / "lock").open("rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert "Another publication" in publisher.refused()
    publisher.publish()


def test_something_else_called_public_is_left_alone(publisher: Publisher) -> None:
    publisher.public.mkdir()
    (publisher.public / "precious").touch()
    assert "is in the way" in publisher.refused()
    assert (publisher.public / "precious").exists()


@pytest.mark.parametrize("damage", [b"", b"{}", b"\0" * 1000])
def test_a_damaged_state_is_made_anew_and_serials_go_on(
    publisher: Publisher, damage: bytes
) -> None:
    publisher.publish()
    state = publisher.directory / ".published" / "state.json"
    content = json.loads(state.read_bytes())
    content["serial"] = 4_000_000_000  # as by a clock that was wrong
    state.write_text(json.dumps(content))
    publisher.publish()
    assert check_whole(publisher.public) == 4_000_000_001
    state.write_bytes(damage)
    assert publisher.publish()["read-bytes"] > 0
    assert check_whole(publisher.public) == 4_000_000_002


def test_a_kill_at_any_moment_leaves_a_whole_publication(publisher: Publisher) -> None:
    publisher.publish()
    takes_s = time_one(publisher)
    moments = random.Random(11)
    serial, killed = check_whole(publisher.public), 0
    for number in range(16):
        new = publisher.directory / "disk.new"
        new.write_bytes(bytes([number + 1]) * 100_000)
        new.replace(publisher.directory / "disk.img")
        with subprocess.Popen(
            publisher.command(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as running:
            began_s = time.monotonic()
            try:
                running.wait(moments.uniform(takes_s * 0.4, takes_s * 1.1))
                takes_s = min(takes_s, time.monotonic() - began_s)
            except subprocess.TimeoutExpired:
                running.kill()
                killed += 1
        now = check_whole(publisher.public)
        assert now >= serial
        serial = now
    assert killed
    publisher.publish()
    assert check_whole(publisher.public) > serial
    assert not list((publisher.directory / ".published").glob("*.new"))


def time_one(publisher: Publisher) -> float:
    """Tell how long a publication takes that is started as those are which will be killed."""
    began_s = time.monotonic()
    subprocess.run(publisher.command(), check=True, capture_output=True)
    return time.monotonic() - began_s


def test_the_same_directory_is_published_in_the_other_format(publisher: Publisher) -> None:
    publisher.publish()
    done = publisher.run("--format", "simplestreams")
    assert done.returncode == 0, done.stderr
    assert "0 bytes read" in done.stdout
    assert f'url = "{publisher.url}/"' in done.stdout
    assert "not to be installed from this format" in done.stdout
    streams = publisher.public / "streams" / "v1"
    keyring = str(publisher.public / "keyring.gpg")
    for name in ("index", "org.example.store:released:download"):
        inline = subprocess.run(
            ["gpgv", "--keyring", keyring, "--output", "-", f"{streams / name}.sjson"],
            capture_output=True,
        )
        assert inline.returncode == 0
        beside = [
            "gpgv",
            "--keyring",
            keyring,
            f"{streams / name}.json.gpg",
            f"{streams / name}.json",
        ]
        assert subprocess.run(beside, capture_output=True).returncode == 0
    products = json.loads(inline.stdout)["products"]
    item = products["org.example.store:uec:amd64"]["versions"].popitem()[1]["items"]["uec.tar.gz"]
    whole = (publisher.public / item["path"]).read_bytes()
    assert hashlib.sha256(whole).hexdigest() == item["sha256"]
    assert len(whole) == item["size"]
    assert not (publisher.public / "api").exists()


def test_files_are_served_whole_in_parts_and_only_when_they_changed(publisher: Publisher) -> None:
    publisher.publish()
    content = (publisher.directory / "disk.img").read_bytes()
    path = next(publisher.public.glob("files/*/disk.img")).relative_to(publisher.public)
    url = f"{publisher.url}/{path}"
    with serving(publisher):
        status, fields, body = curl(url)
        assert (status, body) == (200, content)
        assert fields["content-type"] == "application/octet-stream"
        etag, day = fields["etag"], fields["last-modified"]
        status, fields, body = curl("-I", url)
        assert (status, body, fields["content-length"]) == (200, b"", str(len(content)))
        for wanted, part in (
            ("100-199", content[100:200]),
            ("199000-", content[199_000:]),
            ("-10", content[-10:]),
        ):
            status, fields, body = curl("-r", wanted, url)
            assert (status, body) == (206, part)
            assert fields["content-range"].endswith(f"/{len(content)}")
        assert curl("-r", "200000-", url)[0] == 416
        for condition, answer in ((etag, 206), (day, 206), ('"other"', 200)):
            asked = curl("-r", "5-9", "-H", f"If-Range: {condition}", url)
            assert asked[0] == answer
            assert asked[2] == (content[5:10] if answer == 206 else content)
        for whole in ("bytes=0-1,5-9", "bytes=-999999999", "bytes=9-5", "lines=1-2"):
            status, _, body = curl("-H", f"Range: {whole}", url)
            assert (status, body) == (200, content)
        assert curl("-H", f"If-None-Match: {etag}", url)[0] == 304
        assert curl("-H", f"If-Modified-Since: {day}", url)[0] == 304
        both = ("-H", 'If-None-Match: "x"', "-H", f"If-Modified-Since: {day}")
        assert curl(*both, url)[0] == 200
        status, fields, body = curl("--compressed", f"{publisher.url}/{_packed(publisher)}")
        assert "content-encoding" not in fields
        assert body == (publisher.directory / "web-2.1" / "image.gz").read_bytes()
        for name, kind in (
            ("api/dashboard", "application/json"),
            ("api/search?q=web", "application/json"),
            ("api/images/disk", "text/plain; charset=utf-8"),
            ("key.asc", "application/pgp-keys"),
        ):
            status, fields, _ = curl(f"{publisher.url}/{name}")
            assert (status, fields["content-type"]) == (200, kind)


def _packed(publisher: Publisher) -> Path:
    return next(publisher.public.glob("files/*/image.gz")).relative_to(publisher.public)


def test_nothing_but_the_published_tree_is_served(publisher: Publisher) -> None:
    publisher.publish()
    (publisher.public / "out").symlink_to("/etc/passwd")
    (publisher.public / "up").symlink_to(publisher.directory)
    (publisher.public / "within").symlink_to("key.asc")
    (publisher.public / ".hidden").write_text("secret")
    os.mkfifo(publisher.public / "pipe")
    with serving(publisher, "--debug") as server:
        for path in (
            *("", "/", "/api", "/api/", "/files", "//", "/.hidden", "/out", "/up/disk.img"),
            *("/within", "/pipe", "/../disk.img", "/../state.json", "/%2e%2e/state.json"),
            *("/api/../../state.json", "/api%2fdashboard", "/api/dashboard/", "/key.asc/x"),
            *("/%00", "/api\\dashboard", "/.", "/..", "//etc/passwd", "/\xff", "/" + "a" * 5000),
        ):
            assert curl(publisher.url + path)[0] == 404, path
        for options in (("-X", "DELETE"), ("-T", "/dev/null"), ("-d", "x=1")):
            assert curl(*options, f"{publisher.url}/key.asc")[0] in (400, 405, 501)
        assert curl("-H", "Transfer-Encoding: chunked", "-d", "x", publisher.url)[0] == 400
        assert curl(f"{publisher.url}/key.asc")[0] == 200
        wait_for("its line", lambda: "GET /key.asc: 200" in server.said())
        assert "GET /.hidden: 404" in server.said()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_server_in_order(publisher: Publisher, number: int) -> None:
    publisher.publish()
    with serving(publisher) as server:
        assert server.end(number) == 0
        assert "GET" not in server.said()


def test_connections_that_wait_and_readers_that_do_not_read_keep_nobody_out(
    publisher: Publisher,
) -> None:
    (publisher.directory / "disk.img").write_bytes(bytes(32 * 2**20))
    publisher.publish()
    path = next(publisher.public.glob("files/*/disk.img")).relative_to(publisher.public)
    address = ("127.0.0.1", int(publisher.url.rpartition(":")[2]))
    request = f"GET /{path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
    with serving(publisher) as server, ExitStack() as opened:
        assert server.running
        for number in range(200):
            connected = opened.enter_context(socket.create_connection(address, timeout=10))
            if number % 2:
                connected.sendall(request)
        assert curl(f"{publisher.url}/key.asc")[0] == 200
        files = list(Path(f"/proc/{server.running.pid}/fd").iterdir())
        assert len(files) < 2 * CONNECTIONS_OF_ONE + 20


def test_what_cannot_be_served_is_told(publisher: Publisher) -> None:
    serve = [sys.executable, PROGRAM, "serve", str(publisher.directory)]
    done = subprocess.run(serve, capture_output=True, text=True, timeout=30)
    assert done.returncode == 2
    assert "Nothing is published" in done.stderr
    publisher.publish()
    done = subprocess.run([*serve, "--listen=x:y"], capture_output=True, text=True, timeout=30)
    assert (done.returncode, "is no endpoint" in done.stderr) == (2, True)
    with serving(publisher):
        port = publisher.url.rpartition(":")[2]
        taken = [*serve, f"--listen=tcp:{port}:interface=127.0.0.1"]
        done = subprocess.run(taken, capture_output=True, text=True, timeout=30)
    assert (done.returncode, "Cannot listen on" in done.stderr) == (1, True)


def test_a_reader_keeps_its_file_while_others_are_published(publisher: Publisher) -> None:
    large = publisher.directory / "disk.img"
    large.write_bytes(random.Random(1).randbytes(16 * 2**20))
    publisher.publish()
    path = next(publisher.public.glob("files/*/disk.img")).relative_to(publisher.public)
    with serving(publisher), urllib.request.urlopen(f"{publisher.url}/{path}") as answer:
        begun = answer.read(1000)
        wanted = large.read_bytes()
        for number in (1, 2, 3):
            new = publisher.directory / "disk.new"
            new.write_bytes(bytes([number]) * 1000)
            new.replace(large)
            publisher.publish()
        assert begun + answer.read() == wanted


def daemon_for(publisher: Publisher, directory: Path) -> Daemon:
    return Daemon(
        directory,
        f"--api-url={publisher.url}/api",
        f"--keyring={publisher.public / 'keyring.gpg'}",
        f"--fake-eucalyptus={SECRET}",
        "--debug",
    )


def test_a_proxy_installs_what_was_published_and_sees_what_is_newer(
    publisher: Publisher, tmp_path: Path
) -> None:
    publisher.publish()
    daemon = daemon_for(publisher, tmp_path)
    with serving(publisher):
        daemon.start()
        try:
            for name in ("web-2.1", "disk", "uec"):
                uri = f"{publisher.url}/api/images/{name}"
                daemon.act(uri, "install")
                done = daemon.wait(uri, "installed")
                assert re.fullmatch("emi-[0-9a-f]{8}", done["emi"])
            assert re.fullmatch("eri-[0-9a-f]{8}", done["eri"])
            web = f"{publisher.url}/api/images/web-2.1"
            found = daemon.proxy.get("/api/search", [("q", "web")])["images"]
            assert [image["uri"] for image in found] == [web]
            new = publisher.directory / "new"
            new.write_bytes(gzip.compress(b"newer" * 50_000))
            new.replace(publisher.directory / "web-2.1" / "image.gz")
            publisher.publish()
            daemon.end()
            daemon.start()

            def offers_newer() -> bool:
                images = daemon.proxy.get("/api/dashboard")["images"]
                return {one["version"] for one in images if one["uri"] == web} == {"2.1.1"}

            # What was remembered is shown until the source has answered.
            wait_for("the newer version", offers_newer)
            assert daemon.state(web)["is-upgrade"]
            daemon.act(web, "install")
            done = daemon.wait(web, "installed")
            assert done["installed-version"] == "2.1.1"
        finally:
            daemon.end()


def test_a_proxy_installs_from_a_published_mirror(publisher: Publisher, tmp_path: Path) -> None:
    publisher.publish("--format", "simplestreams")
    config = tmp_path / "config.toml"
    config.write_text(
        f'[[source]]\nname = "site"\ntype = "simplestreams"\nurl = "{publisher.url}/"\n'
        f'keyring = "{publisher.public / "keyring.gpg"}"\n'
    )
    daemon = Daemon(tmp_path, f"--config={config}", f"--fake-eucalyptus={SECRET}", "--debug")
    with serving(publisher):
        daemon.start()
        try:
            listed = wait_for("the catalogue", lambda: daemon.proxy.get("/api/dashboard")["images"])
            uri = next(one["uri"] for one in listed if one["title"].startswith("Uec"))
            daemon.act(uri, "install")
            assert re.fullmatch("eri-[0-9a-f]{8}", daemon.wait(uri, "installed")["eri"])
        finally:
            daemon.end()
