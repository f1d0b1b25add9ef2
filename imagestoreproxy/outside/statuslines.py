"""What GnuPG's status lines say about a signed document. Pure rules, no process.

Source of the words and their fields: GnuPG's ``doc/DETAILS``, "Format of the --status-fd output".
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from imagestoreproxy.model.errors import DocumentError

_PREFIX = "[GNUPG:] "
_FINGERPRINT = re.compile(r"[0-9A-F]{40}")
_KEY = re.compile(r"[0-9A-F]{16}|[0-9A-F]{40}")
_STRONG = {"8": "SHA-256", "9": "SHA-384", "10": "SHA-512"}  # RFC 4880, 9.4
_WEAK = {"1": "MD5", "2": "SHA-1", "3": "RIPEMD-160", "11": "SHA-224"}
_TEXT_SIGNATURE_CLASSES = ("00", "01")
_VALIDSIG_FIELDS = 10
_LONGEST_UID = 100

# A signature has some hundred bytes. Without a bound, strangers could keep gpg busy with what is
# no signature, and have a line written for each byte of it.
SIGNATURE_LIMIT_BYTES = 64 << 10
_BLOCK_BYTES = 64 << 10
_MARKS_OF_ONE = 3
_DASHES = b"-----"
_LINE_END = re.compile(rb"[\r\n]")
_WHITE = re.compile(rb"\s*")

_BEGIN = b"-----BEGIN PGP SIGNED MESSAGE-----"
_SIGNATURE = b"-----BEGIN PGP SIGNATURE-----"
_MESSAGE = b"-----BEGIN PGP MESSAGE-----"
_END = b"-----END PGP SIGNATURE-----"


def check_shape(message: bytes) -> None:
    """Refuse what is not exactly one clear-signed block with nothing before or after it.

    Looks at no line but those that begin with five dashes, and copies no others: a catalogue may
    have tens of megabytes.

    Raises:
        DocumentError: says what is too much, or missing.
    """
    start, end = _trimmed(message)
    marks: list[_Mark] = []
    is_signed = False
    for mark in _marks(message, start, end):
        is_signed = is_signed or mark.line == _BEGIN
        if len(marks) <= _MARKS_OF_ONE:
            marks.append(mark)
        elif is_signed:
            break
    if not is_signed:
        raise DocumentError("The document is not signed: it has no OpenPGP clear-signed text.")
    if [mark.line for mark in marks] != [_BEGIN, _SIGNATURE, _END]:
        raise DocumentError(
            "The document must be exactly one OpenPGP clear-signed text, but it has several, or "
            "parts of one are missing."
        )
    if marks[0].start != start or marks[2].end != end:
        raise DocumentError(
            "The document has text outside its signed part, which nobody has signed; it is refused."
        )
    _check_signature_size(end - marks[1].start)


def check_signature_shape(signature: bytes) -> None:
    """Refuse what is not one detached signature, armored or binary, with nothing around it.

    Raises:
        DocumentError: says what it is instead.
    """
    _check_signature_size(len(signature))
    # Source of the tags: RFC 4880, 4.2; 2 is a signature, in the old format and in the new one.
    if signature[:1] and (signature[0] & 0xFC == 0x88 or signature[0] == 0xC2):
        return
    start, end = _trimmed(signature)
    marks = list(_marks(signature, start, end))
    lines = [mark.line for mark in marks]
    if _BEGIN in lines or _MESSAGE in lines:
        raise DocumentError(
            "The document's detached signature is a whole signed message instead, with a text of "
            "its own; the store must publish the signature alone."
        )
    if _SIGNATURE not in lines:
        raise DocumentError("The document's detached signature is not an OpenPGP signature.")
    if lines != [_SIGNATURE, _END] or marks[0].start != start or marks[1].end != end:
        raise DocumentError(
            "The document's detached signature must be exactly one OpenPGP signature, but there is "
            "more, or parts of one are missing."
        )


@dataclass(frozen=True, slots=True)
class _Mark:
    """A line that begins with five dashes, without white space at its end; where it is."""

    start: int
    end: int
    line: bytes


def _marks(message: bytes, start: int, end: int) -> Iterator[_Mark]:
    at = message.find(_DASHES, start, end)
    while at >= 0:
        line_end = _LINE_END.search(message, at, end)
        stop = line_end.start() if line_end else end
        if at == start or message[at - 1] in b"\r\n":
            yield _Mark(at, stop, message[at:stop].rstrip())
        at = message.find(_DASHES, stop, end)


def _trimmed(message: bytes) -> tuple[int, int]:
    """Give what ``bytes.strip`` would leave, without a copy of it."""
    begin = _WHITE.match(message)
    start = begin.end() if begin else 0
    end = len(message)
    while end > start:
        low = max(start, end - _BLOCK_BYTES)
        left = len(message[low:end].rstrip())
        if left:
            return start, low + left
        end = low
    return start, start


def _check_signature_size(size_bytes: int) -> None:
    if size_bytes > SIGNATURE_LIMIT_BYTES:
        raise DocumentError(
            f"The document's signature has {size_bytes} bytes; at most {SIGNATURE_LIMIT_BYTES} "
            "are taken."
        )


def signer(output: str, keyring: str, *, is_detached: bool = False) -> str:
    """Give the fingerprint of the primary key that made the one good signature, 40 hex digits.

    Args:
        output: all that gpg wrote with ``--status-fd``; other lines are passed over.
        keyring: the name of the keyring, for messages.
        is_detached: the text was beside the signature: the signature itself must have none.

    Raises:
        DocumentError: unless exactly one good signature of a valid key covers exactly one text.
    """
    # Not splitlines(): it knows ten more ends of a line, and gpg passes some of them on within
    # names that strangers have chosen; what follows would then look like a status of its own.
    status: list[list[str]] = [
        line[len(_PREFIX) :].rstrip("\r").split(" ")
        for line in output.split("\n")
        if line.startswith(_PREFIX) and len(line) > len(_PREFIX)
    ]
    words = [fields[0] for fields in status]
    _refuse_bad(status, keyring)
    if is_detached and "PLAINTEXT" in words:
        raise DocumentError(
            "The document's detached signature is a whole signed message instead, with a text of "
            "its own; the store must publish the signature alone."
        )
    for word in ("NEWSIG", "GOODSIG", "VALIDSIG", *(() if is_detached else ("PLAINTEXT",))):
        if words.count(word) != 1:
            raise DocumentError(
                f"GnuPG must report exactly one {word} for the document, but it reported "
                f"{words.count(word)}; the document is refused."
            )
    fields = status[words.index("VALIDSIG")]
    if len(fields) != _VALIDSIG_FIELDS + 1 or not _FINGERPRINT.fullmatch(fields[10]):
        raise DocumentError("GnuPG's report on the document's signature is not understood.")
    if fields[8] not in _STRONG:
        raise DocumentError(
            f"The document is signed with the digest {_WEAK.get(fields[8], fields[8])}, which is "
            "too weak; the store must sign with SHA-256 or stronger."
        )
    if fields[9] not in _TEXT_SIGNATURE_CLASSES:
        raise DocumentError(f"The document's signature is of class {fields[9]}, not of a text.")
    key = (status[words.index("GOODSIG")][1:2] or [""])[0]
    if not _KEY.fullmatch(key) or not fields[1].endswith(key[-16:]):
        raise DocumentError("GnuPG reports two different keys for the document's one signature.")
    return fields[10]


def _refuse_bad(status: Sequence[Sequence[str]], keyring: str) -> None:
    for fields in status:
        word, key, who = fields[0], (fields[1:2] or ["?"])[0], " ".join(fields[2:])[:_LONGEST_UID]
        if word == "BADSIG":
            raise DocumentError(
                f"The document was changed after the key {key} ({who}) signed it; it is refused."
            )
        if word == "REVKEYSIG":
            raise DocumentError(
                f"The document is signed by the key {key} ({who}), which its owner has revoked; "
                "get the store's present key."
            )
        if word == "EXPKEYSIG":
            raise DocumentError(
                f"The document is signed by the key {key} ({who}), which has expired; get the "
                f"store's renewed key and put it into the keyring {keyring}."
            )
        if word == "EXPSIG":
            raise DocumentError(
                f"The signature of the document by the key {key} ({who}) has expired; the store "
                "must sign it anew."
            )
        if word == "NO_PUBKEY" or (word == "ERRSIG" and fields[6:7] == ["9"]):
            raise DocumentError(
                f"The document is signed by the key {key}, which is not in the keyring {keyring}; "
                "if it is to be trusted, import it there."
            )
        if word == "ERRSIG":
            raise DocumentError(
                f"The document's signature by the key {key} cannot be checked: GnuPG does not "
                "support its algorithm, or refuses it as too weak."
            )
        if word == "NODATA":
            raise DocumentError("The document is not signed: GnuPG finds no OpenPGP data in it.")
    for fields in status:  # after the others, which say more
        if fields[0] in ("KEYREVOKED", "BADARMOR", "UNEXPECTED", "DECRYPTION_FAILED"):
            raise DocumentError(f"GnuPG refuses the document ({fields[0]}).")
