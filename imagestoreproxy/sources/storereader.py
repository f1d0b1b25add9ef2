"""What a store has signed, read by whoever holds its keyring, wherever the message came from."""

from __future__ import annotations

from imagestoreproxy.model.errors import DocumentError
from imagestoreproxy.model.images import ImageDocument
from imagestoreproxy.ports import Background, Clock, Verifier
from imagestoreproxy.sources.document import read_document


class StoreReader:
    """Verifies and reads image documents.

    Args:
        verifier: holds the keys that may sign them.
    """

    def __init__(self, verifier: Verifier, background: Background, clock: Clock) -> None:
        self._verifier = verifier
        self._background = background
        self._clock = clock

    async def __call__(self, image_uri: str, signed_text: bytes) -> ImageDocument:
        """Verify a message that is said to be the document of an image.

        Raises:
            DocumentError: it is not, or is not to be believed.
        """
        try:
            signed = await self._verifier.verify(signed_text)
            now_s = self._clock.now_s()
            return await self._background.run(
                lambda _stop: read_document(signed, signed_text, image_uri, now_s)
            )
        except DocumentError as error:
            raise DocumentError(
                f"The image document of {image_uri} is refused: {error.message}"
            ) from error
