"""A version of a product as an image document: exactly which bytes make up an image."""

from __future__ import annotations

from imagestoreproxy.model.errors import DocumentError
from imagestoreproxy.model.images import ImageDocument
from imagestoreproxy.sources.simplestreams.stream import Stream
from imagestoreproxy.sources.simplestreams.titles import image_info
from imagestoreproxy.sources.simplestreams.uris import image_uri


def document_of(
    stream: Stream,
    product: str,
    version: str = "",
    *,
    now_s: float,
    signed_text: bytes = b"",
    fingerprint: str = "",
) -> ImageDocument:
    """Give the document of a version.

    Its serial is when the catalogue was written, so that an older catalogue is refused as an
    older document is; 0 where the catalogue does not say. It does not expire: the format has no
    word for that, hence ``expires_s`` 0.

    Args:
        product, version: the catalogue's names; without a version, the newest that is offered.
        signed_text: the OpenPGP message that the catalogue came in, word for word.
        fingerprint: of the key that signed it.

    Raises:
        DocumentError: the catalogue no longer has it, or it cannot be installed.
    """
    known = stream.product(product)
    if known is None:
        raise DocumentError(f"The catalogue no longer has the product '{product}'.")
    one = known.version(version) if version else known.offered
    if one is None and version:
        raise DocumentError(f"The catalogue no longer has version '{version}' of '{product}'.")
    if one is None or one.build is None:
        reason = one.refused if one else known.refused
        raise DocumentError(f"'{product}' cannot be installed into this cloud: {reason}")
    origin = stream.origin
    info = known.info
    if version:
        uri = image_uri(origin.root, stream.content_id, product, version)
        info = image_info(uri, product, known.facts, one, origin, now_s=now_s)
    return ImageDocument(
        info=info,
        serial=stream.updated_s,
        published_s=stream.updated_s,
        expires_s=0,
        architecture=one.build.architecture,
        virtualization=one.build.virtualization,
        files=one.build.files,
        signed_text=signed_text,
        fingerprint=fingerprint,
    )
