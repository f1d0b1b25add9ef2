"""Every error the proxy raises on purpose, in three families.

The text of each is one plain sentence for a person: it names the thing, what was expected and what
came, and never a secret.
"""

from __future__ import annotations

from imagestoreproxy.model.refusals import Reason


class StoreProxyError(Exception):
    """Base of all errors below; ``message`` is fit to be shown as it is."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class Cancelled(Exception):  # noqa: N818 - not an error
    """Work was stopped on purpose, by a cancel or because the daemon stops. Not a failure."""


# The caller's: the request is at fault; the same request will fail again.


class CallerError(StoreProxyError):
    """A request that is refused.

    Args:
        message: why, in plain words.
        status: the HTTP status that goes with it (400-599).
        reason: the word under which it is counted where it keeps a request from the pages.
    """

    def __init__(
        self, message: str, status: int = 400, *, reason: Reason = Reason.MALFORMED
    ) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason


class SignatureError(CallerError):
    """The request is not signed as it must be (401), or its signature is spent (403)."""

    def __init__(
        self, message: str, status: int = 401, *, reason: Reason = Reason.UNSIGNED
    ) -> None:
        super().__init__(message, status, reason=reason)


# The install's: something between the store and the cloud failed.


class InstallError(StoreProxyError):
    """A step of an install, or a question to a store or a cloud, failed.

    Args:
        message: what failed, why, and what to do.
        retry_helps: whether the same step may succeed later without anybody changing anything.
    """

    def __init__(self, message: str, *, retry_helps: bool = True) -> None:
        super().__init__(message)
        self.retry_helps = retry_helps


class FetchError(InstallError):
    """A download failed: name lookup, route, HTTP proxy, TLS, stall or HTTP status.

    Args:
        status: the HTTP status, when the server answered with one; else 0.
        retry_after_s: what the server asked to wait for; 0 when it did not.
    """

    def __init__(
        self,
        message: str,
        *,
        retry_helps: bool = True,
        status: int = 0,
        retry_after_s: float = 0.0,
    ) -> None:
        super().__init__(message, retry_helps=retry_helps)
        self.status = status
        self.retry_after_s = retry_after_s


class RangesFailedError(FetchError):
    """The server does not give the part that was asked for; asking for the whole file may help."""


class DocumentError(InstallError):
    """A signed document is not to be believed. A retry does not help until the store changes."""

    def __init__(self, message: str) -> None:
        super().__init__(message, retry_helps=False)


class DigestError(InstallError):
    """Bytes differ from what was signed. Another mirror may have the right ones."""


class UnpackError(InstallError):
    """A file cannot be unpacked within its bounds. A retry does not help."""

    def __init__(self, message: str) -> None:
        super().__init__(message, retry_helps=False)


class DiskError(InstallError):
    """The data directory lacks room or cannot be written. A retry helps once there is room."""


class CloudError(InstallError):
    """S3 or EC2 refused, or could not be reached."""


class NotHeldError(CloudError):
    """S3 does not hold what it took. Sending it again may help, once."""


# Our own state's: the data directory or the settings are at fault; the daemon cannot go on.


class OwnStateError(StoreProxyError):
    """The database or the data directory cannot be used as it is."""


class SettingsError(StoreProxyError):
    """An option is unknown, missing or contradicts another; says what to do."""
