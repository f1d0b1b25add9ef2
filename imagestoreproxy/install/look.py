"""A look into a tarball before the install of what is in it.

Where a store signs a tarball but not what each file in it is, that is decided here and nowhere
else, by ``members.py``, from the names in the verified archive. The document goes on as if it had
been signed so.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from imagestoreproxy.install.cache import Cache
from imagestoreproxy.install.contents import Contents
from imagestoreproxy.install.download import Downloader
from imagestoreproxy.install.members import as_globs, found_members
from imagestoreproxy.install.ondisk import on_disk
from imagestoreproxy.install.work import Work
from imagestoreproxy.model.errors import DocumentError, UnpackError
from imagestoreproxy.model.images import ImageDocument, ImageFile
from imagestoreproxy.model.installs import Step
from imagestoreproxy.model.masking import masked
from imagestoreproxy.model.plan import has_unknown_members, parts_of
from imagestoreproxy.ports import Background, Disk


class Look:
    """Fetches tarballs whole, to the disk, and finds their members."""

    def __init__(
        self,
        *,
        downloader: Downloader,
        contents: Contents,
        disk: Disk,
        cache: Cache,
        background: Background,
    ) -> None:
        self._downloader = downloader
        self._contents = contents
        self._disk = disk
        self._cache = cache
        self._background = background

    async def into(self, work: Work, document: ImageDocument) -> ImageDocument:
        """Give the document with the members of each of its files.

        Raises:
            InstallError: a file could not be had, is not what was signed, or holds no image.
        """
        files = [
            await self._found(work, file) if has_unknown_members(file) else file
            for file in document.files
        ]
        found = replace(document, files=tuple(files))
        kinds = [part.kind for part in parts_of(found)]
        if len(set(kinds)) != len(kinds):
            raise DocumentError(
                f"The files of {document.uri} have more than one {max(kinds, key=kinds.count)}."
            )
        return found

    async def _found(self, work: Work, file: ImageFile) -> ImageFile:
        await work.begin(Step.DOWNLOADING)
        feed = await self._background.run(
            partial(on_disk, self._disk, work, file, cache=self._cache)
        )
        try:
            await self._downloader.fetch(work, file, feed)
            await work.begin(Step.UNPACKING)
            found = found_members(await self._contents.member_names(file, feed))
        except UnpackError as error:
            what = f"The {file.kind} from {masked(file.url)} cannot be unpacked"
            raise UnpackError(f"{what}: {error.message}") from error
        finally:
            feed.close()
        return replace(file, members=as_globs(found))
