"""What the tools complain of, told in the same plain sentences as when the cloud is asked directly.

The words of each generation are read into the errors that botocore raises for the same cause, so
that one table (``clouderrors``) has all sentences. Texts are from the tools' source, 1.2 to 3.4.
"""

from __future__ import annotations

import errno
import os
import re
import socket
import ssl

import botocore.exceptions as boto

from imagestoreproxy.clouds.clouderrors import Endpoint, cloud_error
from imagestoreproxy.model.errors import CloudError, DiskError, InstallError

TEXT_LIMIT = 20_000

_STATUS = re.compile(r"\b(?:S3|EC2)(?:Response|Create)Error: (\d{3}) ([\w ]*)")
_CODE_ELEMENT = re.compile(r"<Code>([\w.]{1,80})</Code>")
_MESSAGE_ELEMENT = re.compile(r"<Message>([^<]{1,1000})</Message>")
_CODE_3 = re.compile(r"^euca[\w-]+: error \((\w[\w.]{0,80})\):[ \t]*(.*)", re.MULTILINE)
_CODE_2 = re.compile(r"^([A-Z][A-Za-z.]{3,80}): (.*)", re.MULTILINE)
_PYTHON = re.compile(r"^[\w.]*(?:Error|Exception|error|herror|timeout)\b")
_PLAIN = re.compile(r"^(?:euca[\w-]+: )?error: (.+)", re.MULTILINE | re.IGNORECASE)
# Of Python and of the tools, also when all goes well.
_WARNING = re.compile(r"^(?:.*\wWarning: |warning: ).*$", re.MULTILINE)
_NOISE = re.compile(r"Traceback|\s|\W*$|usage:")

# Said without a code.
_DENIED = ("You do not have permission", "Permission denied while writing")
# 2.x stumbles over its own sentence about a denial when it is about to print it, and only then.
_WORDLESS = (
    *("Checking bucket: ", "Creating bucket: ", "Uploading part: "),
    "Uploading manifest file",
)
_NO_BUCKET = ("Unable to create bucket",)
_KEYS = (
    "EC2_ACCESS_KEY environment variable must be set",
    "EC2_SECRET_KEY environment variable must be set",
    "missing access key ID",
    "missing secret key",
)
_LOCAL = {
    "Invalid user": "the account number (EC2_USER_ID) must be digits",
    "missing account ID": "they were given no account number (EC2_USER_ID)",
    "Invalid cert": "they cannot read the user's certificate (EC2_CERT)",
    "missing certificate": "they were given no user's certificate (EC2_CERT)",
    "Invalid private key": "they cannot read the user's private key (EC2_PRIVATE_KEY)",
    "missing private key": "they were given no user's private key (EC2_PRIVATE_KEY)",
    "Invalid ec2cert": "they cannot read the cloud's certificate (EUCALYPTUS_CERT)",
    "missing cloud certificate": "they were given no cloud's certificate (EUCALYPTUS_CERT)",
}
_SYSTEM = {
    "Connection refused": errno.ECONNREFUSED,
    "No route to host": errno.EHOSTUNREACH,
    "Network is unreachable": errno.ENETUNREACH,
    "Connection reset": errno.ECONNRESET,
    "Broken pipe": errno.EPIPE,
}
_LOOKUP = ("Name or service not known", "nodename nor servname", "Temporary failure in name")
_NAMELESS = ("No address associated", "Cannot resolve endpoint", "getaddrinfo failed")
_TIME = ("timed out", "timeout")
_TLS = ("CERTIFICATE_VERIFY_FAILED", "certificate verify failed", "SSLError", "SSL routines")
_FULL = ("No space left on device", "Disk quota exceeded", "Read-only file system")
_MISSING = re.compile(r"Command (\S+) not found|\[Errno 2\][^\n]*'(tar|gzip|pigz|openssl|bash)'")


def complaint(
    tool: str, said: str, status: int, endpoint: Endpoint | None, what: str, now_s: float
) -> InstallError:
    """Give the error for a tool that has failed, or has not ended as it does when all went well.

    Args:
        said: all of both its streams.
        status: with which it ended; negative: by that signal.
        endpoint: that it has to do with; None: it only works on this machine.
        what: what it was to do, after "could not".
        now_s: Unix seconds.
    """
    said = _WARNING.sub("", said[-TEXT_LIMIT:])
    local = _local(tool, said, what)
    if local is not None:
        return local
    if endpoint is not None:
        error = _answered(said, status) or _unreached(said, endpoint)
        if error is not None:
            return cloud_error(error, endpoint, f"{what} ({tool})", now_s)
    return CloudError(f"{tool} could not {what}: {_in_its_words(said, status)}.")


def _local(tool: str, said: str, what: str) -> InstallError | None:
    """Look for what has to do with this machine alone."""
    if any(text in said for text in _FULL):
        cause = next(text for text in _FULL if text in said).lower()
        return DiskError(f"{tool} could not {what}: {cause}; make room in the data directory.")
    if found := _MISSING.search(said):
        program = found[1] or found[2]
        return CloudError(
            f"{tool} could not {what}: it needs {program}, which is not installed; install it.",
            retry_helps=False,
        )
    for text, meaning in _LOCAL.items():
        if re.search(rf"(?:^|error: ){text}\b", said, re.MULTILINE):
            told = f"{tool} could not {what}: {meaning}; get new credentials."
            return CloudError(told, retry_helps=False)
    if any(text in said for text in _KEYS):
        told = f"{tool} could not {what}: it found no keys in its environment; get new credentials."
        return CloudError(told, retry_helps=False)
    return None


def _answered(said: str, status: int) -> Exception | None:
    """Look for what a service has answered."""
    code = message = ""
    if found := _CODE_3.search(said):
        code, message = found[1], found[2]
    elif element := _CODE_ELEMENT.search(said):
        told = _MESSAGE_ELEMENT.search(said)
        code, message = element[1], told[1] if told else ""
    elif any(text in said for text in _DENIED) or (status == 1 and _is_wordless(said)):
        code = "AccessDenied"
    elif any(text in said for text in _NO_BUCKET):
        code, message = "BucketAlreadyExists", "the bucket cannot be created"
    elif answer_line := _STATUS.search(said):
        code, message = answer_line[1], answer_line[2]
    else:
        named = (one for one in _CODE_2.finditer(said) if not _PYTHON.match(one[0]))
        if coded := next(named, None):
            code, message = coded[1], coded[2]
    if not code:
        return None
    told_status = int(code) if code.isdigit() and len(code) == 3 else 0
    answer = {
        "Error": {"Code": code, "Message": message},
        "ResponseMetadata": {"HTTPStatusCode": told_status},
    }
    return boto.ClientError(answer, "request")  # type: ignore[no-any-return]


def _is_wordless(said: str) -> bool:
    lines = [line for line in said.splitlines() if line.strip()]
    return bool(lines) and all(line.startswith(_WORDLESS) for line in lines)


def _unreached(said: str, endpoint: Endpoint) -> Exception | None:
    """Look for why there was no answer."""
    url = {"endpoint_url": endpoint.url}
    cause: Exception | None = None
    if any(text in said for text in _TLS):
        error = ssl.SSLError(1, "TLS failed")
        error.reason = "TLS failed"
        if "verify failed" in said or "VERIFY_FAILED" in said:
            error = ssl.SSLCertVerificationError(1, "certificate verify failed")
            error.verify_message = "certificate verify failed"
            error.verify_code = 0
        return boto.SSLError(**url, error=error)  # type: ignore[no-any-return]
    if any(text in said for text in (*_LOOKUP, *_NAMELESS)):
        cause = socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    for text, number in _SYSTEM.items():
        if cause is None and text in said:
            cause = OSError(number, os.strerror(number))
    if cause is not None:
        return boto.EndpointConnectionError(**url, error=cause)  # type: ignore[no-any-return]
    if any(text in said for text in _TIME):
        return boto.ReadTimeoutError(**url)  # type: ignore[no-any-return]
    return None


def _in_its_words(said: str, status: int) -> str:
    """Give the last thing that it said which means something."""
    if found := _PLAIN.search(said):
        told = found[1]
    else:
        lines = [line for line in said.splitlines() if line and not _NOISE.match(line)]
        told = lines[-1] if lines else ""
    ended = f"it was ended by signal {-status}" if status < 0 else f"it ended with status {status}"
    if not told:
        return f"{ended} and said nothing"
    return f"it said “{' '.join(told.split())[:200].rstrip('.')}” and {ended.removeprefix('it ')}"
