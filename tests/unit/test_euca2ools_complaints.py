"""H8 and H10: what euca2ools complain of, as one plain sentence."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as some

from imagestoreproxy.clouds.clouderrors import Endpoint
from imagestoreproxy.clouds.euca2ools.complaints import complaint
from imagestoreproxy.model.errors import CloudError, DiskError, InstallError

S3 = Endpoint("S3", "http://10.0.0.1:8773/services/Walrus", "S3_URL or --s3-url")
EC2 = Endpoint("EC2", "http://10.0.0.1:8773/services/Eucalyptus", "EC2_URL or --ec2-url")
UPLOAD = "euca-upload-bundle"


def told(said: str, status: int = 1, tool: str = UPLOAD, endpoint: Endpoint | None = S3) -> str:
    error = the_error(said, status, tool, endpoint)
    assert "\n" not in error.message
    assert "Traceback" not in error.message
    return error.message


def the_error(
    said: str, status: int = 1, tool: str = UPLOAD, endpoint: Endpoint | None = S3
) -> InstallError:
    return complaint(tool, said, status, endpoint, "store b/x.manifest.xml", 1_790_000_000.0)


TRACEBACK = """Traceback (most recent call last):
  File "/usr/bin/euca-upload-bundle", line 230, in <module>
    main()
"""


@pytest.mark.parametrize(
    ("said", "cause"),
    [
        (f"{TRACEBACK}socket.error: [Errno 113] No route to host", "no route to host"),
        (f"{TRACEBACK}socket.error: [Errno 111] Connection refused", "connection refused"),
        (f"{TRACEBACK}socket.timeout: timed out", "no answer in time"),
        ("[Errno 101] Network is unreachable", "network is unreachable"),
        (f"{TRACEBACK}socket.gaierror: [Errno -2] Name or service not known", "is not known"),
        ("euca-upload-bundle: error: connection error: timed out", "no answer in time"),
        ("euca-upload-bundle: error: [Errno 104] Connection reset by peer", "reset"),
        ("euca-upload-bundle: error: SSL certificate verify failed", "is not trusted"),
        (f"{TRACEBACK}ssl.SSLError: [Errno 1] _ssl.c:504: error:1408: SSL routines", "TLS"),
    ],
)
def test_h10_what_cannot_be_reached_is_named_with_address_setting_and_cause(
    said: str, cause: str
) -> None:
    message = told(said)
    assert message.startswith(f"Cannot reach S3 at {S3.url} (S3_URL or --s3-url): ")
    assert cause in message


@pytest.mark.parametrize("said", ["a" * 20_000, "Uploading part: x " * 1000 + "\nno", " " * 20_000])
def test_what_is_long_and_means_nothing_is_read_in_no_time(said: str) -> None:
    """It is read with patterns, some of which would never end."""
    assert "could not" in told(said)


DENIED = "access denied; the user of these credentials needs the right"


@pytest.mark.parametrize(
    ("said", "status"),
    [
        ("Checking bucket: b\nYou do not have permission to access bucket: b\n", 0),
        ("Checking bucket: b\n\n", 1),
        ("Checking bucket: b\nUploading manifest file\nUploading part: p.part.00\n\n", 1),
        ("Uploading part: x.part.0\nPermission denied while writing: x.part.0\n", 0),
        ("S3ResponseError: 403 Forbidden\n", 0),
        ("S3ResponseError: S3ResponseError: 403 Forbidden\n<Code>AccessDenied</Code>\n", 1),
        ("AccessDenied: Access Denied\n", 1),
        ("euca-upload-bundle: error (AccessDenied): Access Denied\n", 1),
        ("euca-upload-bundle: error (403): Forbidden\n", 1),
    ],
)
def test_h8_a_refusal_of_each_generation_is_told_alike_also_when_it_ends_with_0(
    said: str, status: int
) -> None:
    message = told(said, status)
    assert message.startswith(f"S3 at {S3.url} could not store b/x.manifest.xml ({UPLOAD}): ")
    assert DENIED in message


def test_a_message_of_the_cloud_is_kept_where_there_is_no_better() -> None:
    said = "euca-register: error (InvalidManifest): The manifest has no image\n"
    assert "InvalidManifest: The manifest has no image" in told(said, 1, "euca-register", EC2)
    xml = "EC2ResponseError: 400\n<Code>InvalidThing</Code><Message>No such thing</Message>"
    assert "InvalidThing: No such thing" in told(xml, 1, "euca-register", EC2)


def test_a_clock_or_a_key_that_is_refused_is_told_as_when_asked_directly() -> None:
    said = "euca-register: error (SignatureDoesNotMatch): The request signature we calculated"
    assert "check the secret key, the clock" in told(said, 1, "euca-register", EC2)
    said = "InvalidAccessKeyId: The AWS Access Key Id you provided does not exist"
    assert "does not take the access key" in told(said, 1, "euca-register", EC2)


@pytest.mark.parametrize(
    ("said", "cause"),
    [
        ("Invalid user admin", "EC2_USER_ID) must be digits"),
        ("Invalid cert\n", "EC2_CERT"),
        ("euca-bundle-image: error: missing private key; please supply one with -k", "PRIVATE_KEY"),
        ("usage: x\neuca-bundle-image: error: missing account ID; please supply", "EC2_USER_ID"),
        ("Invalid ec2cert", "EUCALYPTUS_CERT"),
        ("EC2_ACCESS_KEY environment variable must be set.\nConnection failed", "no keys"),
        ("Command tar not found. Is it installed?", "it needs tar"),
        ("OSError: [Errno 2] No such file or directory: 'openssl'", "it needs openssl"),
    ],
)
def test_h8_what_is_missing_here_is_named_and_a_retry_does_not_help(said: str, cause: str) -> None:
    error = the_error(said, 1, "euca-bundle-image", None)
    assert cause in error.message
    assert error.message.startswith("euca-bundle-image could not store b/x.manifest.xml: ")
    assert isinstance(error, CloudError)
    assert not error.retry_helps


def test_p6_a_full_disk_is_the_disks_fault() -> None:
    error = the_error("IOError: [Errno 28] No space left on device", 1, "euca-bundle-image", None)
    assert isinstance(error, DiskError)
    assert "make room" in error.message


@pytest.mark.parametrize(
    ("said", "status", "words"),
    [
        ("", 0, "it ended with status 0 and said nothing"),
        ("", -9, "it was ended by signal 9 and said nothing"),
        ("  \nDeprecationWarning: old\n", 1, "ended with status 1 and said nothing"),
        ("'tar' returned error (2)\n", 1, "it said “'tar' returned error (2)”"),
        ("usage: euca-register\neuca-register: error: too few arguments", 2, "too few arguments"),
        ("Uploaded b/other.manifest.xml", 0, "“Uploaded b/other.manifest.xml” and ended with"),
    ],
)
def test_p5_else_its_last_words_are_told(said: str, status: int, words: str) -> None:
    assert words in told(said, status)


def test_bundling_is_work_on_this_machine_and_no_service_is_blamed() -> None:
    message = told("Something: timed out", 1, "euca-bundle-image", None)
    assert "S3" not in message


@given(some.text(), some.integers(-64, 255))
def test_whatever_they_say_becomes_one_sentence(said: str, status: int) -> None:
    message = the_error(said, status).message
    assert "\n" not in message
    assert len(message) < 1000
