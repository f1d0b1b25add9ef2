"""A cloud that only pretends (``--fake-eucalyptus``): takes every byte, stores none, gives ids.

What it has stored and registered lives in one small file, so that ids survive a restart.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import threading
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import TypeVar

from imagestoreproxy.model.bundles import Stored, Stream, Upload
from imagestoreproxy.model.errors import CloudError, UnpackError
from imagestoreproxy.model.images import Architecture, FileKind
from imagestoreproxy.model.installs import Bundle
from imagestoreproxy.model.taking import Taking
from imagestoreproxy.ports import Background, Stop, Streams, unheeded
from imagestoreproxy.ports.metering import NO_METERS, Meters

T = TypeVar("T")
_Held = dict[str, dict[str, dict[str, str | int]]]

PREFIXES = {FileKind.KERNEL: "eki", FileKind.RAMDISK: "eri", FileKind.IMAGE: "emi"}
FILE_LIMIT_BYTES = 64 * 1024 * 1024


class FakeCloud:
    """Same contract as the real ones.

    Args:
        background: runs what touches the stream or the file.
        state_file: JSON, made at the first upload: ``stored`` by bucket, ``registered`` by id;
            ``instances`` by id, of which somebody may write ``{"i-1": {"image": "emi-..."}}``.
    """

    name = "fake"
    bundles_on_disk = False
    taking = Taking(architectures=frozenset(Architecture))

    def __init__(
        self, background: Background, state_file: Path, meters: Meters = NO_METERS
    ) -> None:
        self._background = background
        self._meters = meters
        self._state_file = state_file
        self._lock = threading.Lock()
        self._seen: tuple[tuple[int, int, int], _Held] | None = None

    def laid_down_bytes(self, bucket: str) -> int:
        """Give 0: nothing is laid down."""
        return 0

    def check(self) -> Awaitable[None]:
        """Raise when its file cannot be read."""
        return self._background.run(lambda stop: self._ask(lambda held: None))

    def store(self, streams: Streams) -> Awaitable[Sequence[Stored]]:
        """Take every stream to its end, and remember its size and digest."""

        def work(stop: Stop) -> list[Stored]:
            with closing(streams(stop)) as several:
                return [self._store(stream, stop) for stream in several]

        return self._background.run(work)

    def seal(
        self, upload: Upload, stored: Stored, done: Callable[[float], None] = unheeded
    ) -> Awaitable[str]:
        """Give the place of what was taken, ``BUCKET/KEY``; only now may it be registered."""
        location = _location(stored.bundle)

        def work(held: _Held) -> str:
            if stored.bundle.bucket not in held["stored"]:
                raise CloudError(f"The fake cloud has no bundle for {location}: store it first.")
            held["stored"][stored.bundle.bucket]["location"] = location
            return location

        return self._background.run(lambda stop: self._change(work))

    def register(self, upload: Upload, location: str) -> Awaitable[str]:
        """Give what was uploaded an id; the same one when asked again."""

        def work(held: _Held) -> str:
            if not location or location not in (
                bundle["location"] for bundle in held["stored"].values()
            ):
                raise CloudError(f"The fake cloud has no bundle at {location}: upload it first.")
            known = _found(held, location)
            image_id = known or f"{PREFIXES[upload.bundle.kind]}-{secrets.token_hex(4)}"
            held["registered"][image_id] = {"location": location, "title": upload.title}
            return image_id

        return self._background.run(lambda stop: self._change(work))

    def find(self, bundle: Bundle, location: str) -> Awaitable[str]:
        """Give the id of a bundle registered earlier, or empty."""
        place = location or _location(bundle)
        return self._background.run(lambda stop: self._ask(lambda held: _found(held, place)))

    def registered_ids(self) -> Awaitable[frozenset[str]]:
        """Name all ids that were given and not taken back."""
        return self._background.run(
            lambda stop: self._ask(lambda held: frozenset(held["registered"]))
        )

    def is_registered(self, image_id: str) -> Awaitable[bool]:
        """Tell whether the id was given and not taken back."""
        return self._background.run(
            lambda stop: self._ask(lambda held: image_id in held["registered"])
        )

    def used_ids(self, image_ids: Collection[str]) -> Awaitable[Mapping[str, str]]:
        """Give those of these ids that an instance in the file names."""

        def work(held: _Held) -> Mapping[str, str]:
            return {
                image_id: instance
                for instance, told in held.get("instances", {}).items()
                if (image_id := str(told.get("image"))) in image_ids
            }

        return self._background.run(lambda stop: self._ask(work))

    def is_stored(self, location: str) -> Awaitable[bool]:
        """Tell whether a bundle was taken and not removed."""
        bucket = location.partition("/")[0]
        return self._background.run(
            lambda stop: self._ask(
                lambda held: held["stored"].get(bucket, {}).get("location") == location
            )
        )

    def buckets(self) -> Awaitable[Sequence[str]]:
        """Name the buckets of all bundles."""
        return self._background.run(lambda stop: self._ask(lambda held: list(held["stored"])))

    def deregister(self, image_id: str) -> Awaitable[None]:
        """Forget the id; one that is unknown is fine."""

        def work(held: _Held) -> None:
            held["registered"].pop(image_id, None)

        return self._background.run(lambda stop: self._change(work))

    def remove(self, bundle: Bundle) -> Awaitable[None]:
        """Forget the bundle; one that is unknown is fine."""

        def work(held: _Held) -> None:
            held["stored"].pop(bundle.bucket, None)

        return self._background.run(lambda stop: self._change(work))

    def _store(self, stream: Stream, stop: Stop) -> Stored:
        bundle = stream.bundle
        self._keep(bundle, {"location": ""})
        digest, size_bytes = hashlib.sha256(), 0
        for raw, _ in stream.chunks:
            stop.check()
            digest.update(raw)
            size_bytes += len(raw)
            self._meters.uploaded(len(raw))
        if size_bytes != stream.size_bytes:
            raise UnpackError(
                f"'{bundle.name}' gave {size_bytes} bytes, not the {stream.size_bytes} announced."
            )
        content: dict[str, str | int] = {
            "location": "",
            "size_bytes": size_bytes,
            "sha256": digest.hexdigest(),
        }
        self._keep(bundle, content)
        return Stored(bundle, size_bytes)

    def _keep(self, bundle: Bundle, content: dict[str, str | int]) -> None:
        def work(held: _Held) -> None:
            held["stored"][bundle.bucket] = content

        self._change(work)

    def _ask(self, work: Callable[[_Held], T]) -> T:
        with self._lock:
            return work(self._looked_at())

    def _change(self, work: Callable[[_Held], T]) -> T:
        with self._lock:
            held = self._load()
            outcome = work(held)
            self._save(held)
            return outcome

    def _looked_at(self) -> _Held:
        """Give what is held, not to be changed; read anew only when the file is another."""
        try:
            stat = self._state_file.stat()
        except OSError:
            return self._load()
        version = stat.st_ino, stat.st_mtime_ns, stat.st_size
        if self._seen is None or self._seen[0] != version:
            self._seen = version, self._load()
        return self._seen[1]

    def _load(self) -> _Held:
        try:
            with self._state_file.open("rb") as file:
                held = json.loads(file.read(FILE_LIMIT_BYTES))
            known = {name: dict(held[name]) for name in ("stored", "registered")}
            return {**known, "instances": dict(held["instances"])} if "instances" in held else known
        except FileNotFoundError:
            return {"stored": {}, "registered": {}}
        except OSError as error:
            raise self._failed(f"cannot be read ({error.strerror})") from None
        except (ValueError, KeyError, TypeError):
            raise self._failed("is not what the fake cloud wrote; remove it") from None

    def _save(self, held: _Held) -> None:
        beside = self._state_file.with_name(f"{self._state_file.name}.new")
        try:
            descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "w") as file:
                json.dump(held, file, indent=1)
                file.flush()
                os.fsync(file.fileno())
            beside.replace(self._state_file)
        except OSError as error:
            raise self._failed(f"cannot be written ({error.strerror})") from None

    def _failed(self, why: str) -> CloudError:
        return CloudError(f"The fake cloud's file {self._state_file} {why}.")


def _location(bundle: Bundle) -> str:
    return f"{bundle.bucket}/{bundle.name}.manifest.xml"


def _found(held: _Held, location: str) -> str:
    return next((i for i, image in held["registered"].items() if image["location"] == location), "")
