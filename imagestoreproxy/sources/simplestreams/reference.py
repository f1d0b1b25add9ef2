"""What an install remembers of the catalogue it was made from.

The signed catalogue itself, often megabytes, lies once among the evidence of the records.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

from imagestoreproxy.model.errors import DocumentError
from imagestoreproxy.sources import fields
from imagestoreproxy.sources.simplestreams.messages import SUFFIXES, Form

FORMAT = "simplestreams:1"
_SHA256 = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Reference:
    """One version of one product, in one signed file.

    Args:
        root: of the mirror, with a slash at its end.
        stem: path of the file without its suffix.
        documents: SHA-256 of each part of the message, lower-case hex.
    """

    root: str
    stem: str
    form: Form
    product: str
    version: str
    documents: Sequence[str]

    def text(self) -> bytes:
        """Give it as JSON."""
        return json.dumps(
            {
                "format": FORMAT,
                "root": self.root,
                "path": self.stem,
                "form": self.form,
                "product": self.product,
                "version": self.version,
                "documents": list(self.documents),
            }
        ).encode()

    @classmethod
    def read(cls, text: bytes) -> Reference:
        """Read what ``text`` gave.

        Raises:
            DocumentError: it is something else.
        """
        source = fields.parse_object(text, "What was kept of the catalogue")
        form = str(source.get("form", ""))
        documents = fields.texts(source, "documents", limit=2, length=64)
        if source.get("format") != FORMAT or form not in list(Form):
            raise DocumentError("What was kept of the catalogue is of another format.")
        if len(documents) != len(SUFFIXES[Form(form)]) or not all(
            map(_SHA256.fullmatch, documents)
        ):
            raise DocumentError("What was kept of the catalogue names no signed texts.")
        return cls(
            root=fields.text(source, "root", limit=2000, required=True),
            stem=fields.text(source, "path", limit=2000, required=True),
            form=Form(form),
            product=fields.text(source, "product", limit=2000, required=True),
            version=fields.text(source, "version", limit=2000, required=True),
            documents=documents,
        )
