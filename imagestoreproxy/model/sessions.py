"""Sessions of browsers: what is kept of one, and what proves that it was begun here."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field

_PURPOSE = "image-store-proxy"


@dataclass(frozen=True, slots=True)
class Session:
    """One browser that has logged in.

    Args:
        digest: SHA-256 of its token in hex; the token itself is known to the browser alone.
        begun_at_s, expires_at_s: Unix seconds.
        proof: made with the client's secret key; see ``proof_of``.
    """

    digest: str
    client_id: str
    begun_at_s: int
    expires_at_s: int
    proof: str = field(default="", repr=False)


def digest_of(token: str) -> str:
    """Give what is kept of a token."""
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()


def proof_of(session: Session, secret: str) -> str:
    """Tie a session to the secret key of its client.

    Whoever can only write to the database cannot make one, and it ends with the key.
    """
    times = f"{session.begun_at_s} {session.expires_at_s}"
    return _mac(secret, f"session\n{session.digest}\n{times}\n{session.client_id}")


def is_proved(session: Session, secret: str) -> bool:
    """Tell whether the session was begun by a client with this secret key."""
    right = proof_of(session, secret).encode()
    return hmac.compare_digest(right, session.proof.encode("utf-8", "replace"))


def csrf_token_of(session: Session, secret: str) -> str:
    """Give what a page of ours must say with all that changes something."""
    return _mac(secret, f"csrf\n{session.digest}")


def _mac(secret: str, text: str) -> str:
    # No request that is signed with the same key begins like this.
    signed = f"{_PURPOSE}\n{text}".encode("utf-8", "replace")
    return hmac.new(secret.encode("utf-8", "replace"), signed, hashlib.sha256).hexdigest()
