"""A cloud that is spoken to through euca2ools, and asked itself whether what they say is true."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractContextManager, closing, suppress
from dataclasses import replace
from functools import partial
from typing import Any

from imagestoreproxy.clouds.credentials import Credentials
from imagestoreproxy.clouds.ec2 import Ec2Cloud, T
from imagestoreproxy.clouds.euca2ools import arguments
from imagestoreproxy.clouds.euca2ools.arguments import Bundling, Registration
from imagestoreproxy.clouds.euca2ools.generations import DESCRIBE, REGISTER, Generation
from imagestoreproxy.clouds.euca2ools.ground import Ground, told_disk
from imagestoreproxy.clouds.euca2ools.headway import forward
from imagestoreproxy.clouds.euca2ools.home import Home, a_home
from imagestoreproxy.clouds.euca2ools.readback import MANIFEST_LIMIT_BYTES
from imagestoreproxy.clouds.euca2ools.sealing import Sealing
from imagestoreproxy.clouds.euca2ools.tools import Shielded, Tools, find_tools, told
from imagestoreproxy.clouds.euca2ools.words import image_id, listed_ids
from imagestoreproxy.clouds.images import ARCHITECTURES, request_of
from imagestoreproxy.clouds.keys import bundle_keys
from imagestoreproxy.clouds.storing import manifest_key
from imagestoreproxy.model.bundles import Stored, Stream, Upload
from imagestoreproxy.model.errors import CloudError, InstallError
from imagestoreproxy.model.images import Virtualization
from imagestoreproxy.model.installs import Bundle
from imagestoreproxy.model.taking import Taking
from imagestoreproxy.ports import Background, Stop, Streams, unheeded
from imagestoreproxy.stops import Within

ASK_AGAIN_S = 600.0
LIST_BYTES = 32 * 2**20


class Euca2oolsCloud(Ec2Cloud):
    """Bundles, uploads, registers and takes back with the tools; believes what it can read back.

    Args:
        background: runs all that blocks.
        tools: as they were found.
        ground: where images and bundles lie while they are worked on.
        ec2: what ``Ec2Cloud`` takes beside.
    """

    name = "euca2ools"
    bundles_on_disk = True

    def __init__(
        self,
        background: Background,
        credentials: Credentials,
        tools: Tools,
        ground: Ground,
        *,
        ca_bundle: str = "",
        **ec2: Any,
    ) -> None:
        super().__init__(background, credentials, ca_bundle=ca_bundle, **ec2)
        self._all_taking = self.taking
        self._ca_bundle = ca_bundle
        self._ground = ground
        self._asked_at_s = time.monotonic()
        self._use(tools)

    @property
    def tools(self) -> str:
        """Tell which tools these are, for people."""
        return f"euca2ools {self._tools.version}"

    def laid_down_bytes(self, bucket: str) -> int:
        """Give what an image, or the bundle made of it, takes on the disk."""
        return self._ground.taken_bytes(bucket)

    def check(self) -> Awaitable[None]:
        """Raise unless the tools answer, and the cloud does; see ``Ec2Cloud``."""
        direct = super().check

        async def both() -> None:
            await self._background.run(self._ask_again)
            await direct()

        return both()

    def store(self, streams: Streams) -> Awaitable[Sequence[Stored]]:
        """Write each stream to the disk, whole: all else waits until it is known to be right."""

        def work(stop: Stop) -> list[Stored]:
            within = Within(stop)
            with closing(streams(within)) as several:
                return [self._write(stream, within) for stream in several]

        return self._run(work)

    def seal(
        self, upload: Upload, stored: Stored, done: Callable[[float], None] = unheeded
    ) -> Awaitable[str]:
        """Bundle and upload what was stored, and read it back; give ``BUCKET/KEY``."""

        def work(stop: Stop) -> str:
            try:
                return self._sealed(upload, stored, done, stop)
            finally:
                self._ground.clear(stored.bundle)

        return self._run(work)

    def registered_ids(self) -> Awaitable[frozenset[str]]:
        """Name the ids that the tools list as ours."""

        def work(stop: Stop) -> frozenset[str]:
            with self._home(stop) as home:
                command = arguments.describe_images()
                finished = self._tools.run(command, home, stop, limit_bytes=LIST_BYTES)
            endpoint = self._clients.ec2_calls(stop).endpoint
            if len(finished.output) >= LIST_BYTES:
                raise CloudError(f"{DESCRIBE} lists more of {endpoint} than can be; try again.")
            if finished.status:
                raise self._tools.failed(DESCRIBE, finished, endpoint, "list our images")
            return listed_ids(told(finished))

        return self._run(work)

    def deregister(self, image_id: str) -> Awaitable[None]:
        """Take a registration back, and make sure; one that is gone is fine."""

        def work(stop: Stop) -> None:
            images = self._images(stop)
            if images.knows(image_id):
                # Eucalyptus 3 wants to be told twice, so what follows does it once more.
                with suppress(InstallError), self._home(stop) as home:
                    self._tools.run(arguments.deregister(image_id), home, stop)
            images.deregister(image_id)

        return self._run(work)

    def remove(self, bundle: Bundle) -> Awaitable[None]:
        """Delete the bundle's objects and its bucket, and its files here; absent ones are fine."""

        def work(stop: Stop) -> None:
            self._ground.clear(bundle)
            with suppress(InstallError):
                self._delete(bundle, stop)
            # The tool has left what its manifest does not name, or all of it.
            self._clients.bucket(bundle.bucket, stop).remove(f"{bundle.name}.")

        return self._run(work)

    def _run(self, work: Callable[[Stop], T]) -> Awaitable[T]:
        def swept(stop: Stop) -> T:
            # First of all: a tool that has outlived its daemon may still upload, or register.
            self._ground.open()
            return work(stop)

        return super()._run(swept)

    def _use(self, tools: Tools) -> None:
        self._tools = tools
        self.taking = taking_with(self._all_taking, tools.generation)

    def _ask_again(self, stop: Stop) -> None:
        """See whether they are there, and from time to time whether they are others."""
        self._tools.check()
        if time.monotonic() - self._asked_at_s < ASK_AGAIN_S:
            return
        tools = self._tools
        found = find_tools(tools.programs, tools.directory, stop, tools.patience)
        self._use(replace(found, system_eucarc=tools.system_eucarc))
        self._asked_at_s = time.monotonic()

    def _current(self, stop: Stop) -> Credentials:
        return self._credentials

    def _home(self, stop: Stop) -> AbstractContextManager[Home]:
        tools = self._tools
        return a_home(
            self._ground,
            self._current(stop),
            tools.generation,
            tools.path,
            ca_bundle=self._ca_bundle,
            system_eucarc=tools.system_eucarc,
        )

    def _write(self, stream: Stream, stop: Stop) -> Stored:
        bundle = stream.bundle
        try:
            self._ground.write(bundle, stream.chunks, stream.size_bytes, stop)
        except BaseException:
            self._ground.clear(bundle)
            raise
        return Stored(bundle, stream.size_bytes)

    def _sealed(
        self, upload: Upload, stored: Stored, done: Callable[[float], None], stop: Stop
    ) -> str:
        bundle, tools = stored.bundle, self._tools
        bundle_keys(self._current(stop))  # says what is missing before anything is done
        architecture = ARCHITECTURES[upload.architecture]
        if architecture not in tools.generation.architectures:
            raise CloudError(
                f"euca2ools {tools.version} bundle no image for {architecture}: install a newer "
                "version, or give --cloud=ec2.",
                retry_helps=False,
            )
        image = self._ground.image(bundle)
        if not image.is_file() or image.stat().st_size != stored.size_bytes:
            raise CloudError(f"The file {image} is gone, or somebody has changed it; try again.")
        bundling = Bundling(
            image,
            self._ground.bundled(bundle),
            bundle.kind,
            architecture,
            upload.kernel_id,
            upload.ramdisk_id,
        )
        with self._home(stop) as home:
            sealing = Sealing(
                tools,
                home,
                self._current(stop).account,
                partial(self._clients.bucket, bundle.bucket),
                forward(done),
                stop,
            )
            local = sealing.bundle(bundling, stored.size_bytes)
            with told_disk(image):
                image.unlink()
            location = sealing.upload(bundling, local)
        self._meters.uploaded(local.size_bytes)
        return location

    def _register(self, upload: Upload, location: str, stop: Stop) -> str:
        images = self._images(stop)
        # Asked first: an answer that was lost must not register twice.
        if found := images.find(upload.bundle, location):
            return found
        stop.check()
        tools = self._tools
        command = arguments.register(registration_of(upload, location), tools.generation)
        known, failure = "", None
        try:
            with self._home(stop) as home:
                finished = tools.run(command, home, Shielded(stop, tools.patience.leave_s))
            known = image_id(told(finished)) if finished.status == 0 else ""
        except CloudError as error:
            failure = error
        stop.check()
        # It may have been heard though nobody has told its id.
        known = known or images.find(upload.bundle, location)
        if not known:
            endpoint = self._clients.ec2_calls(stop).endpoint
            what = f"register {location}"
            raise failure or tools.failed(REGISTER, finished, endpoint, what)
        return images.confirmed(known, location)

    def _delete(self, bundle: Bundle, stop: Stop) -> None:
        key = manifest_key(bundle)
        xml = self._clients.bucket(bundle.bucket, stop).content(key, MANIFEST_LIMIT_BYTES)
        if xml is None:
            return
        with self._home(stop) as home:
            manifest = home.path / key
            with told_disk(manifest):
                manifest.write_bytes(xml)
            command = arguments.delete_bundle(bundle.bucket, manifest, self._tools.generation)
            self._tools.run(command, home, stop)


def registration_of(upload: Upload, location: str) -> Registration:
    """Give what is told of an image when it is registered: the same as by ``Ec2Cloud``."""
    request = request_of(upload, location)
    return Registration(
        location=location,
        name=request["Name"],
        description=request["Description"],
        architecture=request["Architecture"],
        kernel_id=request.get("KernelId", ""),
        ramdisk_id=request.get("RamdiskId", ""),
        virtualization=request.get("VirtualizationType", ""),
    )


def taking_with(taking: Taking, generation: Generation) -> Taking:
    """Give what of a cloud's can be brought into it with tools of a generation."""
    virtualizations, architectures = taking.virtualizations, taking.architectures
    if not generation.knows_hvm:
        virtualizations &= {Virtualization.PARAVIRTUAL}
    known = {one for one, word in ARCHITECTURES.items() if word in generation.architectures}
    return replace(taking, virtualizations=virtualizations, architectures=architectures & known)
