"""The keys of a bundle: the user's signs it, the user's and the cloud's open it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from imagestoreproxy.clouds.credentials import Credentials
from imagestoreproxy.model.errors import CloudError


@dataclass(frozen=True, slots=True)
class BundleKeys:
    """Both RSA; ``cloud`` is that of the cloud's certificate."""

    user: RSAPrivateKey
    cloud: RSAPublicKey


@lru_cache(maxsize=1)
def bundle_keys(credentials: Credentials) -> BundleKeys:
    """Load the keys.

    Raises:
        CloudError: one is missing, is not RSA in PEM, or the user's key and certificate differ.
    """
    if missing := credentials.missing():
        raise CloudError(" ".join(missing), retry_helps=False)
    user = _private(credentials.user_private_key, f"EC2_PRIVATE_KEY of {credentials.origin}")
    certified = _certified(credentials.user_certificate, f"EC2_CERT of {credentials.origin}")
    if certified != user.public_key():
        raise CloudError(
            f"EC2_CERT and EC2_PRIVATE_KEY of {credentials.origin} do not belong together; take "
            "both from the same credentials archive.",
            retry_helps=False,
        )
    cloud = _certified(credentials.cloud_certificate, f"EUCALYPTUS_CERT of {credentials.origin}")
    return BundleKeys(user, cloud)


def _private(pem: bytes, what: str) -> RSAPrivateKey:
    key = _rsa(pem)
    if key is None:
        raise CloudError(
            f"{what} must be an RSA private key in PEM, without passphrase.", retry_helps=False
        )
    return key


@lru_cache(maxsize=1)  # it is checked, which takes 30 ms; an address changes more often
def _rsa(pem: bytes) -> RSAPrivateKey | None:
    try:
        key = load_pem_private_key(pem, None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return None
    return key if isinstance(key, RSAPrivateKey) else None


def _certified(pem: bytes, what: str) -> RSAPublicKey:
    try:
        key = x509.load_pem_x509_certificate(pem).public_key()
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, RSAPublicKey):
        raise CloudError(f"{what} must be an X.509 certificate (RSA) in PEM.", retry_helps=False)
    return key
