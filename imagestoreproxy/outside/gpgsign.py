"""Signatures for what is published, by GnuPG, with the person's own keys and agent."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from imagestoreproxy.model.errors import OwnStateError
from imagestoreproxy.outside.gpgcall import gpg_path

# Longer lines of a clear-signed text are cut off by GnuPG, with no more than a warning: MAX_LINELEN
# in its g10/textfilter.c.
LONGEST_LINE_BYTES = 19_990
_SHA512 = "10"  # RFC 4880, 9.4
_LONGEST_REASON = 300
_PRIMARY_PROBLEMS = {
    "e": "has expired; prolong it with gpg --quick-set-expire",
    "r": "has been revoked",
    "d": "is disabled",
    "i": "is invalid",
    "n": "is not valid",
}
_LONG_LINE = re.compile(rb"[^\n]{%d}" % (LONGEST_LINE_BYTES + 1))


class GpgSigner:
    """Signs with one secret key of the person who runs it; all methods block.

    The passphrase, if the key has one, is asked for by that person's gpg-agent; it is never here.

    Args:
        key_id: as ``gpg --local-user`` takes it: a fingerprint, a key ID or a part of the user ID;
            it must mean exactly one key.
        gnupg_home: GnuPG's directory; empty: ``GNUPGHOME``, else ``~/.gnupg``.
        timeout_s: after which a gpg is ended; somebody may have to type a passphrase meanwhile.
    """

    def __init__(self, key_id: str, *, gnupg_home: str = "", timeout_s: float = 180.0) -> None:
        self._key_id = key_id
        self._home = gnupg_home
        self._timeout_s = timeout_s
        self._found = ""

    def clearsign(self, text: bytes) -> bytes:
        """Give the text as an OpenPGP clear-signed message, as for ``.sjson``.

        White space at the ends of lines is not signed and may get lost; the text ends with a
        newline.

        Raises:
            OwnStateError: gpg or the key cannot be used, or a line is longer than GnuPG can sign.
        """
        # The text filter takes no other end of a line, so a JSON text must be indented.
        if _LONG_LINE.search(text):
            raise OwnStateError(
                f"A text with a line of more than {LONGEST_LINE_BYTES} bytes cannot be "
                "clear-signed: GnuPG would cut the line; write it in shorter lines, or sign it "
                "detached."
            )
        return self._sign("--clear-sign", text)

    def detach_sign(self, content: bytes) -> bytes:
        """Give an armored detached signature of the content, as for ``.json.gpg``.

        Raises:
            OwnStateError: gpg or the key cannot be used.
        """
        return self._sign("--detach-sign", content)

    def fingerprint(self) -> str:
        """Give the fingerprint of the primary key, 40 hex digits.

        Raises:
            OwnStateError: the key is unknown, has no secret half, cannot sign or has expired.
        """
        if not self._found:
            self._found = self._find()
        return self._found

    def export_public(self, *, armor: bool = True) -> bytes:
        """Give the public half of the key; gpgv and simplestreams' own tools need it unarmored.

        Raises:
            OwnStateError: as for ``fingerprint``.
        """
        exported = self._gpg(
            *(["--armor"] if armor else []),
            "--export-options=export-minimal",
            "--export",
            "--",
            self.fingerprint(),
        )
        if exported.status != 0 or not exported.output:
            raise OwnStateError(
                f"GnuPG could not export the public key {self._key_id}: {exported.reason()}."
            )
        return exported.output

    def _sign(self, how: str, content: bytes) -> bytes:
        key = self.fingerprint()
        signed = self._gpg(
            "--armor",
            "--digest-algo=SHA512",
            f"--local-user={key}",
            how,
            content=content,
        )
        made = signed.fields("SIG_CREATED")
        if signed.status != 0 or len(made) != 1 or not signed.output:
            raise OwnStateError(
                f"GnuPG could not sign with the key {key}: {signed.reason()}; if the key has a "
                "passphrase, gpg-agent must be able to ask for it."
            )
        if made[0][3:4] != [_SHA512]:
            raise OwnStateError(f"GnuPG did not sign with SHA-512 with the key {key}.")
        return signed.output

    def _find(self) -> str:
        if not self._key_id.strip() or not self._key_id.isprintable():
            raise OwnStateError("The key to sign with must be named by its fingerprint or user ID.")
        keys = list(self._keys("--list-secret-keys"))
        if not keys:
            if list(self._keys("--list-keys")):
                raise OwnStateError(
                    f"Of the key {self._key_id} only the public half is in {self._where()}; to "
                    "sign, its secret half is needed there."
                )
            raise OwnStateError(
                f"There is no key {self._key_id} in {self._where()}; make one with gpg "
                "--quick-generate-key, or name another."
            )
        if len(keys) > 1:
            raise OwnStateError(
                f"{self._key_id} means {len(keys)} keys in {self._where()}: "
                f"{', '.join(key.fingerprint for key in keys[:5])}; name one by its fingerprint."
            )
        problem = keys[0].problem()
        if problem:
            raise OwnStateError(f"The key {keys[0].fingerprint} ({self._key_id}) {problem}.")
        return keys[0].fingerprint

    def _keys(self, listing: str) -> Iterator[_Key]:
        """Source of the fields: GnuPG's ``doc/DETAILS``, "Format of the colon listings"."""
        listed = self._gpg("--with-colons", listing, "--", self._key_id)
        parts: list[_Part] = []
        fingerprint = ""
        for row in [*listed.output.decode("utf-8", "replace").split("\n"), "sec:"]:
            fields = row.split(":")
            if fields[0] in ("sec", "pub"):
                if fingerprint:
                    yield _Key(fingerprint, tuple(parts))
                parts, fingerprint = [], ""
            if fields[0] in ("sec", "ssb", "pub") and len(fields) > 14:
                parts.append(_Part(fields[1], fields[11], has_secret=fields[14] != "#"))
            elif fields[0] == "fpr" and not fingerprint:
                fingerprint = fields[9]

    def _gpg(self, *arguments: str, content: bytes = b"") -> _Said:
        home = [f"--homedir={self._home}"] if self._home else []
        command = [
            gpg_path(),
            "--batch",
            "--no-tty",
            "--no-options",  # a second local-user in gpg.conf would make a second signature
            "--no-auto-key-locate",
            "--status-fd=2",
            *home,
            *arguments,
        ]
        try:
            ended = subprocess.run(  # noqa: S603 - no shell, and no word that is a secret
                command,
                input=content,
                capture_output=True,
                timeout=self._timeout_s,
                env=_environment(),
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise OwnStateError(
                f"GnuPG did not answer within {self._timeout_s:g} s; it may wait for a passphrase."
            ) from error
        except OSError as error:
            raise OwnStateError(f"The program gpg cannot be run here: {error.strerror}.") from error
        return _Said(ended.returncode, ended.stdout, ended.stderr.decode("utf-8", "replace"))

    def _where(self) -> str:
        return self._home or os.environ.get("GNUPGHOME", "") or str(Path("~/.gnupg").expanduser())


@dataclass(frozen=True, slots=True)
class _Part:
    """A primary key or a subkey: validity, capabilities, and whether its secret is at hand."""

    validity: str
    can: str
    has_secret: bool


@dataclass(frozen=True, slots=True)
class _Key:
    fingerprint: str
    parts: tuple[_Part, ...]

    def problem(self) -> str:
        """Say why it cannot sign; empty when it can."""
        primary = self.parts[0]
        if primary.validity in _PRIMARY_PROBLEMS:
            return _PRIMARY_PROBLEMS[primary.validity]
        signing = [one for one in self.parts if "s" in one.can]
        if "D" in primary.can or not signing:
            return "is disabled" if "D" in primary.can else "is not made for signing"
        usable = [one for one in signing if one.validity not in _PRIMARY_PROBLEMS]
        if not usable:
            return "has no subkey for signing that has not expired or been revoked"
        if not any(one.has_secret for one in usable):
            return "has no secret half for signing here, only the note that it is kept elsewhere"
        return ""


@dataclass(frozen=True, slots=True)
class _Said:
    status: int
    output: bytes
    report: str

    def fields(self, word: str) -> list[list[str]]:
        lines = (line.split(" ")[1:] for line in self.report.split("\n"))
        return [fields for fields in lines if fields[:1] == [word]]

    def reason(self) -> str:
        """Give the last line that gpg wrote for a person."""
        lines = [line[5:] for line in self.report.split("\n") if line.startswith("gpg: ")]
        return (lines[-1:] or [f"exit status {self.status}"])[0][:_LONGEST_REASON]


def _environment() -> dict[str, str]:
    """Give this process's own: the agent finds display, terminal and home in it."""
    environment = dict(os.environ)
    environment["LC_ALL"] = "C"
    if "GPG_TTY" not in environment:
        # gpg looks at its standard input, which is the text here.
        for stream in (sys.stdin, sys.stderr):
            with contextlib.suppress(OSError, ValueError, AttributeError):
                environment["GPG_TTY"] = os.ttyname(stream.fileno())
                break
    return environment
