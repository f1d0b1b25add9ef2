"""A cloud that speaks EC2 and S3: Eucalyptus of any age, and whatever else has these two."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from typing import TypeVar

from imagestoreproxy.clouds.bucket import own_buckets
from imagestoreproxy.clouds.calls import Patience
from imagestoreproxy.clouds.calls import unheeded as unheeded_refusal
from imagestoreproxy.clouds.clients import Clients
from imagestoreproxy.clouds.credentials import Credentials
from imagestoreproxy.clouds.images import ARCHITECTURES, Images, registered_name
from imagestoreproxy.clouds.instances import used_ids
from imagestoreproxy.clouds.keys import bundle_keys
from imagestoreproxy.clouds.manifest import Manifest, manifest_xml
from imagestoreproxy.clouds.memory import PartMemory
from imagestoreproxy.clouds.preflight import Preflight
from imagestoreproxy.clouds.storing import key_and_iv, store_manifest, store_parts
from imagestoreproxy.clouds.underway import UnderWay
from imagestoreproxy.model.bundles import Stored, Stream, Upload
from imagestoreproxy.model.errors import CloudError
from imagestoreproxy.model.images import Virtualization
from imagestoreproxy.model.installs import Bundle
from imagestoreproxy.model.taking import Taking
from imagestoreproxy.ports import Background, Stop, Streams, unheeded
from imagestoreproxy.ports.metering import NO_METERS, Meters
from imagestoreproxy.stops import Within

T = TypeVar("T")

# In memory at the same time, of all bundles together: 10 MiB each.
PARTS = 3


class Ec2Cloud:
    """Bundles and uploads in-process, registers, and believes only what it can read back.

    Args:
        background: runs all that blocks.
        region: goes into signatures and new buckets.
        ca_bundle: PEM file to trust for TLS; empty means that of the system.
        signatures: their version: ``4``, ``2``, or ``auto`` for the one that each service takes.
        public_read_fallback: whether bundles (they are encrypted) may be readable by all where S3
            does not know how to let only EC2 read them.
        patience: how long and how often the services are asked.
        taking: what this cloud can run.
        refused: told when it does not take the keys.
        under_way: what may still be registered though a cancel has left it.
    """

    name = "ec2"
    bundles_on_disk = False

    def __init__(
        self,
        background: Background,
        credentials: Credentials,
        *,
        region: str = "us-east-1",
        ca_bundle: str = "",
        signatures: str = "auto",
        public_read_fallback: bool = False,
        patience: Patience | None = None,
        taking: Taking | None = None,
        meters: Meters = NO_METERS,
        refused: Callable[[], None] = unheeded_refusal,
        under_way: UnderWay | None = None,
    ) -> None:
        self.taking = taking or Taking()
        self._background = background
        self._credentials = credentials
        self._meters = meters
        self._clients = Clients(
            credentials,
            region=region,
            ca_bundle=ca_bundle,
            signatures=signatures,
            public_read_fallback=public_read_fallback,
            patience=patience or Patience(),
            meters=meters,
            refused=refused,
        )
        self._preflight = Preflight(self._clients, credentials)
        self._memory = PartMemory(PARTS)
        self._under_way = under_way or UnderWay()

    @property
    def warnings(self) -> list[str]:
        """What is suspicious but may be meant, a sentence for each; complete after a check."""
        return self._preflight.warnings

    @property
    def signed(self) -> str:
        """Which service wants other signatures than the usual; known after a check."""
        return self._clients.signed()

    def laid_down_bytes(self, bucket: str) -> int:
        """Give 0: nothing is laid down."""
        return 0

    def check(self) -> Awaitable[None]:
        """Raise unless S3 keeps an object, EC2 answers, both clocks agree and a bundle can be made.

        A good outcome counts for a minute, unless something fails meanwhile.
        """
        return self._background.run(self._check)

    def store(self, streams: Streams) -> Awaitable[Sequence[Stored]]:
        """Bundle each stream, store its parts, and read back what is there."""

        def work(stop: Stop) -> list[Stored]:
            within = Within(stop)
            with closing(streams(within)) as several:
                return [self._store(stream, within) for stream in several]

        return self._run(work)

    def seal(
        self, upload: Upload, stored: Stored, done: Callable[[float], None] = unheeded
    ) -> Awaitable[str]:
        """Store the manifest, and read it back; give ``BUCKET/KEY``."""
        return self._run(partial(self._seal, upload, stored))

    def register(self, upload: Upload, location: str) -> Awaitable[str]:
        """Register a bundle, or find it registered already; give an id that EC2 confirms.

        A cancel does not wait until EC2 has answered; ``find`` does.
        """

        def work(stop: Stop) -> str:
            register = partial(self._register, upload, location, stop)
            return self._under_way.run(registered_name(upload.bundle), register, stop)

        return self._run(work)

    def find(self, bundle: Bundle, location: str) -> Awaitable[str]:
        """Give the id of a bundle registered earlier, or empty."""

        def work(stop: Stop) -> str:
            ask = partial(self._images(stop).find, bundle, location)
            return self._under_way.find(registered_name(bundle), ask, stop)

        return self._run(work)

    def registered_ids(self) -> Awaitable[frozenset[str]]:
        """Name the ids that EC2 lists as ours."""
        return self._run(lambda stop: self._images(stop).listed())

    def is_registered(self, image_id: str) -> Awaitable[bool]:
        """Tell whether EC2 still knows the id."""
        return self._run(lambda stop: self._images(stop).knows(image_id))

    def used_ids(self, image_ids: Collection[str]) -> Awaitable[Mapping[str, str]]:
        """Give those of these ids that instances were started from, each with one of these."""

        def work(stop: Stop) -> Mapping[str, str]:
            return used_ids(self._clients.ec2(), self._clients.ec2_calls(stop), image_ids)

        return self._run(work)

    def is_stored(self, location: str) -> Awaitable[bool]:
        """Tell whether the manifest at ``BUCKET/KEY`` is in S3."""
        name, _, key = location.partition("/")
        return self._run(lambda stop: self._clients.bucket(name, stop).stored(key) is not None)

    def buckets(self) -> Awaitable[Sequence[str]]:
        """Name the account's buckets."""

        def work(stop: Stop) -> list[str]:
            answer = own_buckets(self._clients.s3(), self._clients.s3_calls(stop))
            return [str(bucket["Name"]) for bucket in answer.get("Buckets", ())]

        return self._run(work)

    def deregister(self, image_id: str) -> Awaitable[None]:
        """Take a registration back; one that is gone is fine."""
        return self._run(lambda stop: self._images(stop).deregister(image_id))

    def remove(self, bundle: Bundle) -> Awaitable[None]:
        """Delete the bundle's objects and its bucket; absent ones are fine."""
        bucket, stem = bundle.bucket, f"{bundle.name}."
        return self._run(lambda stop: self._clients.bucket(bucket, stop).remove(stem))

    def _check(self, stop: Stop) -> None:
        self._preflight.run(stop)
        if not self._preflight.may_take_hvm:
            others = self.taking.virtualizations - {Virtualization.HVM}
            self.taking = replace(self.taking, virtualizations=others)

    def _run(self, work: Callable[[Stop], T]) -> Awaitable[T]:
        def watched(stop: Stop) -> T:
            try:
                return work(stop)
            except CloudError:
                self._preflight.forget()
                raise

        return self._background.run(watched)

    def _images(self, stop: Stop) -> Images:
        calls = self._clients.ec2_calls(stop)
        return Images(self._clients.ec2(), calls, stop)

    def _register(self, upload: Upload, location: str, stop: Stop) -> str:
        return self._images(stop).register(upload, location)

    def _store(self, stream: Stream, stop: Within) -> Stored:
        open_bucket = partial(self._clients.bucket, stream.bundle.bucket)
        open_bucket(stop).make()
        return store_parts(stream, open_bucket, self._memory, self._background, stop)

    def _seal(self, upload: Upload, stored: Stored, stop: Stop) -> str:
        manifest = Manifest(
            name=stored.bundle.name,
            kind=stored.bundle.kind,
            architecture=ARCHITECTURES[upload.architecture],
            account=self._credentials.account,
            size_bytes=stored.size_bytes,
            tar_sha1_hex=stored.tar_sha1_hex,
            parts=stored.parts,
            kernel_id=upload.kernel_id,
            ramdisk_id=upload.ramdisk_id,
        )
        key, iv = key_and_iv(stored.bundle)
        xml = manifest_xml(manifest, key=key, iv=iv, keys=bundle_keys(self._credentials))
        return store_manifest(stored.bundle, xml, self._clients.bucket(stored.bundle.bucket, stop))
