"""What GnuPG's status lines say about a clear-signed message. Pure rules, no process.

Source of the words and their fields: GnuPG's ``doc/DETAILS``, "Format of the --status-fd output".
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from imagestoreproxy.model.errors import DocumentError

_PREFIX = "[GNUPG:] "
_FINGERPRINT = re.compile(r"[0-9A-F]{40}")
_KEY = re.compile(r"[0-9A-F]{16}|[0-9A-F]{40}")
_STRONG = {"8": "SHA-256", "9": "SHA-384", "10": "SHA-512"}  # RFC 4880, 9.4
_WEAK = {"1": "MD5", "2": "SHA-1", "3": "RIPEMD-160", "11": "SHA-224"}
_CLEAR_SIGNATURE_CLASSES = ("00", "01")
_VALIDSIG_FIELDS = 10
_LONGEST_UID = 100

_BEGIN = b"-----BEGIN PGP SIGNED MESSAGE-----"
_SIGNATURE = b"-----BEGIN PGP SIGNATURE-----"
_END = b"-----END PGP SIGNATURE-----"


def check_shape(message: bytes) -> None:
    """Refuse what is not exactly one clear-signed block with nothing before or after it.

    Raises:
        DocumentError: says what is too much, or missing.
    """
    lines = [line.rstrip() for line in message.strip().splitlines()]
    marks = [line for line in lines if line.startswith(b"-----")]
    if _BEGIN not in marks:
        raise DocumentError("The document is not signed: it has no OpenPGP clear-signed text.")
    if marks != [_BEGIN, _SIGNATURE, _END]:
        raise DocumentError(
            "The document must be exactly one OpenPGP clear-signed text, but it has several, or "
            "parts of one are missing."
        )
    if lines[0] != _BEGIN or lines[-1] != _END:
        raise DocumentError(
            "The document has text outside its signed part, which nobody has signed; it is refused."
        )


def signer(output: str, keyring: str) -> str:
    """Give the fingerprint of the primary key that made the one good signature, 40 hex digits.

    Args:
        output: all that gpg wrote with ``--status-fd``; other lines are passed over.
        keyring: the name of the keyring, for messages.

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
    for word in ("NEWSIG", "GOODSIG", "VALIDSIG", "PLAINTEXT"):
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
    if fields[9] not in _CLEAR_SIGNATURE_CLASSES:
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
