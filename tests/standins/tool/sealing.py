"""RSA as the tools let openssl do it, which takes ten times as long to start as to encrypt."""

from __future__ import annotations

import binascii
import os


def sealed(text: str, certificate: str) -> str:
    """Encrypt for the holder of a certificate (PKCS #1 v1.5); gives hexadecimal, or nothing."""
    if not certificate:
        return ""
    modulus, exponent = _public_key(certificate)
    size_bytes = (modulus.bit_length() + 7) // 8
    padding = b""
    while len(padding) < size_bytes - 3 - len(text):
        padding += os.urandom(1).strip(b"\0")
    block = b"\0\2" + padding + b"\0" + text.encode()
    return pow(int.from_bytes(block, "big"), exponent, modulus).to_bytes(size_bytes, "big").hex()


def _public_key(certificate: str) -> tuple[int, int]:
    """Find modulus and exponent in a certificate in PEM."""
    with open(certificate) as file:
        text = file.read()
    encoded, _, _ = text.partition("-----BEGIN CERTIFICATE-----")[2].partition("-----END")
    (whole,) = _values(binascii.a2b_base64(encoded))
    body = _values(_values(whole[1])[0][1])
    # Behind serial number, algorithm, issuer, validity and subject; version 1 has no number.
    key = body[6 if body[0][0] == 0xA0 else 5]
    bits = _values(key[1])[1][1]
    (numbers,) = _values(bits[1:])
    modulus, exponent = _values(numbers[1])
    return int.from_bytes(modulus[1], "big"), int.from_bytes(exponent[1], "big")


def _values(der: bytes) -> list[tuple[int, bytes]]:
    """Take a row of values in DER to pieces: tag and content of each."""
    found = []
    while der:
        tag, length, start = der[0], der[1], 2
        if length & 0x80:
            start += length & 0x7F
            length = int.from_bytes(der[2:start], "big")
        found.append((tag, der[start : start + length]))
        der = der[start + length :]
    return found
