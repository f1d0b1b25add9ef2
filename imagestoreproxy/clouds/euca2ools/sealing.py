"""From a whole file on the disk to a bundle in S3, by the tools, and read back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from imagestoreproxy.clouds.bucket import Bucket
from imagestoreproxy.clouds.euca2ools.arguments import Bundling, bundle_image, upload_bundle
from imagestoreproxy.clouds.euca2ools.generations import BUNDLE, UPLOAD
from imagestoreproxy.clouds.euca2ools.headway import Bundled, Headway, StalledError, Told, Uploaded
from imagestoreproxy.clouds.euca2ools.home import Home
from imagestoreproxy.clouds.euca2ools.readback import LocalBundle, missing, read_bundle
from imagestoreproxy.clouds.euca2ools.tools import Tools, stalled, told
from imagestoreproxy.clouds.euca2ools.words import has_uploaded, has_written
from imagestoreproxy.clouds.storing import not_held
from imagestoreproxy.model.errors import CloudError
from imagestoreproxy.ports import Stop
from imagestoreproxy.ports.programs import Finished

# Of the way from file to bundle: what is only work on this machine.
BUNDLING_SHARE = 0.4
TRIES = 2
# The tools are silent as long as they work; whether they do is seen elsewhere (``headway``).
FOR_EVER_S = 10 * 365 * 86400.0


@dataclass(frozen=True, slots=True)
class Sealing:
    """What it takes to make one bundle. All blocks.

    Args:
        account: to whom the bundle belongs; digits.
        open_bucket: gives a way of its own to the bundle's bucket.
        done: hears how much is done, 0 to 1.
    """

    tools: Tools
    home: Home
    account: str
    open_bucket: Callable[[Stop], Bucket]
    done: Told
    stop: Stop

    def bundle(self, bundling: Bundling, size_bytes: int) -> LocalBundle:
        """Make the bundle on the disk; its image is not needed after that.

        Args:
            size_bytes: of the image.

        Raises:
            CloudError: the tool failed, or made something else than was asked for.
            DiskError: there is no room for it.
        """
        passes = self.tools.generation.passes
        at_work = Bundled(bundling.destination, size_bytes, passes, self._part(0, BUNDLING_SHARE))
        headway = self._headway(at_work.look)

        def said(line: str) -> None:
            headway.heard()
            at_work.heard(line)

        finished = self._run(bundle_image(bundling), headway, said)
        if finished.status or not has_written(told(finished), bundling.manifest):
            what = f"bundle '{bundling.image.name}'"
            raise self.tools.failed(BUNDLE, finished, None, what)
        return read_bundle(bundling, size_bytes, self.account, self.stop)

    def upload(self, bundling: Bundling, local: LocalBundle) -> str:
        """Send the bundle, and read it back; give its location, ``BUCKET/KEY``.

        Raises:
            CloudError: the tool failed.
            NotHeldError: it says that all is well, and S3 does not hold what it was to send.
        """
        key = bundling.manifest.name
        for number in range(TRIES):
            is_last = number == TRIES - 1
            try:
                bucket = self._sent(bundling, local)
            except CloudError as error:
                if is_last or not error.retry_helps:
                    raise
                self.stop.wait(self.tools.patience.again_s)
                continue
            wrong = missing(local, key, bucket)
            if not wrong:
                self.done(1.0)
                return f"{bucket.name}/{key}"
            if is_last:
                raise not_held(bucket, wrong)
        raise AssertionError  # the loop returns or raises

    def _sent(self, bundling: Bundling, local: LocalBundle) -> Bucket:
        bucket = self.open_bucket(self.stop)
        location = f"{bucket.name}/{bundling.manifest.name}"
        patience = self.tools.patience
        there = Uploaded(
            self.open_bucket, len(local.parts), patience.look_s, self._part(BUNDLING_SHARE, 0.99)
        )
        headway = self._headway(there.look)
        with there.going_on(self.stop):
            arguments = upload_bundle(bucket.name, bundling.manifest, bucket.acl)
            finished = self._run(arguments, headway, lambda _line: headway.heard())
        if finished.status or not has_uploaded(told(finished), location):
            raise self.tools.failed(UPLOAD, finished, bucket.endpoint, f"store {location}")
        return bucket

    def _headway(self, mark: Callable[[], object]) -> Headway:
        patience = self.tools.patience
        return Headway(self.stop, mark, stall_s=patience.stall_s, every_s=patience.look_s)

    def _run(self, arguments: list[str], headway: Headway, said: Callable[[str], None]) -> Finished:
        try:
            return self.tools.run(arguments, self.home, headway, silence_s=FOR_EVER_S, said=said)
        except StalledError:
            raise stalled(arguments[0], self.tools.patience.stall_s) from None

    def _part(self, begin: float, end: float) -> Told:
        return lambda fraction: self.done(begin + fraction * (end - begin))
