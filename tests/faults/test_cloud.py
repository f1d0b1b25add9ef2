"""Whatever a cloud does: the work succeeds after a retry, or one plain sentence says why not.

The real ``Ec2Cloud`` speaks to moto through an interceptor that misbehaves in one operation at a
time; what moto holds is looked at directly. Nothing here waits in earnest.
"""

from __future__ import annotations

import re
import time
from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from email.utils import formatdate
from itertools import product
from pathlib import Path
from socket import AF_INET, SOCK_STREAM, socket
from typing import Any

import pytest

from imagestoreproxy.clouds.credentials import Credentials
from imagestoreproxy.clouds.ec2 import Ec2Cloud
from imagestoreproxy.model.errors import CloudError
from imagestoreproxy.model.installs import Bundle
from tests.faults import tally
from tests.functional import cloud_clients, ec2_ground
from tests.functional.ec2_ground import (
    a_cloud,
    an_upload,
    ec2_error,
    impatient,
    is_s3,
    s3_error,
)
from tests.functional.inline_background import now
from tests.functional.interceptor import (
    Altered,
    Answer,
    Close,
    Endless,
    Interceptor,
    Lost,
    Request,
    Reset,
    interceptor,
)
from tests.functional.parcel import Parcel, bring

moto, complete, credentials = ec2_ground.moto, ec2_ground.complete, ec2_ground.credentials

S3_OPERATIONS = (
    "CreateBucket",
    "PutPart",
    "ListObjects",
    "PutManifest",
    "HeadObject",
    "DeleteObject",
    "DeleteBucket",
)
EC2_OPERATIONS = ("DescribeImages", "RegisterImage", "DeregisterImage")
OPERATIONS = (*S3_OPERATIONS, *EC2_OPERATIONS)
CHECK_OPERATIONS = (
    "DescribeImages",
    "ListBuckets",
    "CreateBucket",
    "PutObject",
    "GetObject",
    "ListObjects",
    "DeleteObject",
    "DeleteBucket",
)
CONTENT = bytes(range(256)) * 2000


def operation(request: Request) -> str:
    """Name what is asked for; parts and manifests are told apart."""
    if not is_s3(request):
        (action,) = re.findall(rb"Action=(\w+)", request.body())
        return str(action.decode())
    path = request.path.partition("?")[0].removeprefix("/services/Walrus").strip("/")
    bucket, _, key = path.partition("/")
    if not bucket:
        return "ListBuckets"
    if key:
        name = {"PUT": "PutObject", "GET": "GetObject", "HEAD": "HeadObject"}
        if request.method == "PUT" and ".part." in key:
            return "PutPart"
        if request.method == "PUT" and key.endswith(".manifest.xml"):
            return "PutManifest"
        return name.get(request.method, "DeleteObject")
    return {"PUT": "CreateBucket", "GET": "ListObjects"}.get(request.method, "DeleteBucket")


Act = Callable[[Request], Answer | None]


def at(named: str, act: Act, times: int = 1_000_000) -> Act:
    """Make a rule that misbehaves in one operation, so many times."""
    left = [times]

    def rule(request: Request) -> Answer | None:
        if operation(request) != named or not left[0]:
            return None
        left[0] -= 1
        return act(request)

    return rule


def refuse(status: int, code: str, **headers: str) -> Act:
    def act(request: Request) -> Answer:
        make = s3_error if is_s3(request) else ec2_error
        return make(status, code, "the cloud's own words", **headers)

    return act


def throw(kind: type[Exception]) -> Act:
    def act(request: Request) -> Answer | None:
        raise kind

    return act


def say(body: str, status: int = 200) -> Act:
    return lambda request: Answer(status, body, {"content-type": "text/html"})


def silence(state: Interceptor) -> Act:
    def act(request: Request) -> Answer | None:
        state.released.wait(10)
        raise Close

    return act


def pairs(kinds: Collection[str], named: Sequence[str]) -> list[tuple[str, str]]:
    """Combine all with all; in the short round each kind and each operation comes once."""
    every = list(product(kinds, named))
    if tally.LONG:
        return every
    shift = tally.generator(f"cloud {len(kinds)} {named[0]}").randrange(len(named))
    rows = list(kinds)
    return [
        (rows[i % len(rows)], named[(i + shift) % len(named)])
        for i in range(max(len(rows), len(named)))
    ]


@dataclass
class Ground:
    """The cloud as it is, seen from outside."""

    s3: Any
    ec2: Any

    def buckets(self) -> set[str]:
        return {bucket["Name"] for bucket in self.s3.list_buckets()["Buckets"]}

    def keys(self, bucket: str) -> list[str]:
        return [one["Key"] for one in self.s3.list_objects(Bucket=bucket).get("Contents", ())]

    def registered(self, bundle: Bundle) -> list[str]:
        images = self.ec2.describe_images(Owners=["self"])["Images"]
        return [image["ImageId"] for image in images if bundle.bucket in image["Name"]]

    def left_of(self, bundle: Bundle) -> list[str]:
        return [*self.registered(bundle), *(self.buckets() & {bundle.bucket})]


@pytest.fixture(scope="module")
def shared(moto: str) -> Iterator[Interceptor]:
    with interceptor(moto) as state:
        yield state


@pytest.fixture
def between(shared: Interceptor) -> Interceptor:
    """One for all tests, or making clients would take most of their time."""
    fresh = Interceptor(shared.upstream)
    shared.rule, shared.rewrite, shared.headers = fresh.rule, fresh.rewrite, fresh.headers
    shared.seen.clear()
    return shared


@pytest.fixture(scope="module")
def cloud(complete: Credentials, shared: Interceptor) -> Ec2Cloud:
    urls = (f"{shared.url}/services/Eucalyptus", f"{shared.url}/services/Walrus")
    return a_cloud(complete.with_urls(*urls), patience=impatient(silence_s=10.0))


@pytest.fixture(scope="module")
def ground(moto: str) -> Ground:
    return Ground(*(cloud_clients.client(service, moto) for service in ("s3", "ec2")))


def live(cloud: Ec2Cloud, upload: Parcel, ground: Ground) -> None:
    """Go through an image's whole life; what the cloud says at each step must be true."""
    bundle = upload.bundle
    location = bring(cloud, upload)
    stored = [f"{bundle.name}.manifest.xml", f"{bundle.name}.part.0"]
    assert ground.keys(bundle.bucket) == stored
    image_id = now(cloud.register(upload.upload, location))
    assert ground.registered(bundle) == [image_id], "registered exactly once"
    assert now(cloud.is_registered(image_id))
    assert now(cloud.is_stored(location))
    now(cloud.deregister(image_id))
    assert ground.registered(bundle) == []
    now(cloud.remove(bundle))
    assert ground.left_of(bundle) == []


def undo(cloud: Ec2Cloud, bundle: Bundle) -> None:
    """Take back as the inside does it."""
    if image_id := now(cloud.find(bundle, f"{bundle.bucket}/{bundle.name}.manifest.xml")):
        now(cloud.deregister(image_id))
    now(cloud.remove(bundle))


def is_plain(error: CloudError) -> bool:
    """Tell whether the text is one for people, with nothing in it that is secret or code."""
    text = error.message
    odd = ("testing-secret", "Signature=", "Traceback", "<", "\n", "botocore", "object at 0x")
    return text.endswith(".") and len(text) < 800 and not any(one in text for one in odd)


def faced(
    kind: str, rule: Act, cloud: Ec2Cloud, between: Interceptor, ground: Ground
) -> CloudError | None:
    """Live through a fault; give its error, or None when it did no harm. Nothing may be left."""
    upload = an_upload(CONTENT)
    between.rule = rule
    told: CloudError | None = None
    try:
        live(cloud, upload, ground)
    except CloudError as error:
        told = error
    between.rule = lambda request: None
    undo(cloud, upload.bundle)
    left = ground.left_of(upload.bundle)
    assert left == []
    if told:
        assert is_plain(told), told.message
        assert between.url in told.message or upload.bundle.bucket in told.message
    tally.record(f"cloud: {kind}", tally.CLEAN if told else tally.INSTALLED, leftovers=len(left))
    return told


PASSING: dict[str, tuple[Act, int]] = {
    "500": (refuse(500, "InternalError"), 3),
    "503 with Retry-After": (refuse(503, "SlowDown", **{"retry-after": "1"}), 1),
    "503 with a date to retry after": (
        refuse(503, "ServiceUnavailable", **{"retry-after": formatdate(time.time() + 9)}),
        1,
    ),
    "503 without a hint, of a gateway": (say("<html>busy</html>", 503), 2),
    "closed without an answer": (throw(Close), 1),
    "connection reset": (throw(Reset), 2),
    "answer lost": (throw(Lost), 1),
}
LASTING: dict[str, tuple[Act, str, bool]] = {
    "access denied": (refuse(403, "AccessDenied"), "access denied", False),
    "always 503": (refuse(503, "ServiceUnavailable"), "overloaded or broken", True),
    "always closed": (throw(Close), "closed without an answer", True),
    "clock skew": (refuse(403, "RequestTimeTooSkewed"), "the clocks differ; set the clock", False),
    "wrong key": (refuse(403, "InvalidAccessKeyId"), "get new credentials", False),
    "another region": (refuse(301, "PermanentRedirect"), "it is another region's; set", False),
    "quota": (refuse(400, "QuotaExceeded"), "a limit of the cloud is reached", False),
}
NONSENSE: dict[str, Act] = {
    "a web page": say("<html><body>welcome</body></html>"),
    "broken XML": say("<html><br>"),
    "JSON": say("{}"),
    "nothing": say(""),
}


@pytest.mark.parametrize(("kind", "named"), pairs(PASSING, OPERATIONS))
def test_p4_a_fault_that_passes_is_outlived(
    kind: str, named: str, cloud: Ec2Cloud, between: Interceptor, ground: Ground
) -> None:
    act, times = PASSING[kind]
    told = faced(kind, at(named, act, times), cloud, between, ground)
    assert told is None, told and told.message


@pytest.mark.parametrize("named", OPERATIONS if tally.LONG else ["PutPart", "RegisterImage"])
def test_p3_a_silence_that_passes_is_outlived(
    named: str, credentials: Credentials, between: Interceptor, ground: Ground
) -> None:
    cloud = a_cloud(credentials, patience=impatient(silence_s=3.0))
    rule = at(named, silence(between), 1)
    told = faced("accepts and stays silent", rule, cloud, between, ground)
    assert told is None, told and told.message


@pytest.mark.parametrize(("kind", "named"), pairs(LASTING, OPERATIONS))
def test_h10_a_fault_that_lasts_is_told_in_one_plain_sentence_and_leaves_nothing(
    kind: str, named: str, cloud: Ec2Cloud, between: Interceptor, ground: Ground
) -> None:
    act, cause, retry_helps = LASTING[kind]
    told = faced(kind, at(named, act), cloud, between, ground)
    assert told is not None
    # The answer to HEAD has no body, and so no code.
    if named != "HeadObject" or kind in ("access denied", "always closed"):
        assert cause in told.message
    assert told.retry_helps is retry_helps
    assert told.message.startswith(
        (f"S3 at {between.url}", f"EC2 at {between.url}", "Cannot reach ")
    )


@pytest.mark.parametrize(("kind", "named"), pairs(NONSENSE, OPERATIONS))
def test_p5_an_answer_that_is_none_is_never_a_success(
    kind: str, named: str, cloud: Ec2Cloud, between: Interceptor, ground: Ground
) -> None:
    # Where it does no harm, what is there was looked at in other ways, and ``live`` looks, too.
    told = faced(f"answers with {kind}", at(named, NONSENSE[kind]), cloud, between, ground)
    assert told or named == "HeadObject"


@pytest.mark.parametrize("named", ["PutPart", "ListObjects", "DescribeImages", "RegisterImage"])
def test_p3_an_answer_without_end_is_cut_off_and_told(
    named: str, cloud: Ec2Cloud, between: Interceptor, ground: Ground
) -> None:
    told = faced("an endless answer", at(named, throw(Endless)), cloud, between, ground)
    assert told is not None
    assert "its answer does not end (more than 32 MiB)" in told.message
    assert not told.retry_helps


@pytest.mark.parametrize(
    ("code", "named"),
    pairs(
        ("TooManyBuckets", "InstanceLimitExceeded", "EntityTooLarge"),
        ("CreateBucket", "PutPart", "RegisterImage"),
    ),
)
def test_p6_a_quota_has_many_names(
    code: str, named: str, cloud: Ec2Cloud, between: Interceptor, ground: Ground
) -> None:
    told = faced("quota", at(named, refuse(400, code)), cloud, between, ground)
    assert told is not None
    assert "a limit of the cloud is reached; raise it or make room" in told.message


def test_h8_a_redirect_names_where_the_bucket_is(
    cloud: Ec2Cloud, between: Interceptor, ground: Ground
) -> None:
    def elsewhere(request: Request) -> Answer:
        body = "<Error><Code>PermanentRedirect</Code><Endpoint>b.s3.eu.example</Endpoint></Error>"
        headers = {"x-amz-bucket-region": "eu-west-1", "location": "http://b.s3.eu.example/"}
        return Answer(301, body, headers)

    told = faced("another region", at("PutPart", elsewhere), cloud, between, ground)
    assert told is not None
    assert "(b.s3.eu.example, eu-west-1); set S3_URL or --s3-url and --region" in told.message


def test_a_bucket_of_another_account_is_refused_and_needs_no_removal(
    cloud: Ec2Cloud, between: Interceptor, ground: Ground
) -> None:
    def another(request: Request) -> Answer | None:
        named = operation(request)
        if named == "CreateBucket":
            return s3_error(409, "BucketAlreadyExists")
        return s3_error(403, "AccessDenied") if is_s3(request) and named != "ListBuckets" else None

    upload = an_upload()
    between.rule = another
    with pytest.raises(CloudError, match="of another account; clear the error and install again"):
        bring(cloud, upload)
    now(cloud.remove(upload.bundle))
    tally.record("cloud: a bucket of another account", tally.CLEAN)


@pytest.mark.parametrize("named", ["PutPart", "PutManifest"])
def test_p5_what_was_stored_wrongly_once_is_sent_again(
    named: str, cloud: Ec2Cloud, between: Interceptor, ground: Ground
) -> None:
    told = faced("stored wrongly once", at(named, flip, 1), cloud, between, ground)
    assert told is None, told and told.message
    assert [operation(one) for one in between.seen].count(named) == 2


@pytest.mark.parametrize("act", ["flipped", "cut short"])
@pytest.mark.parametrize("named", ["PutPart", "PutManifest"])
def test_p5_what_is_always_stored_wrongly_is_no_upload(
    named: str, act: str, cloud: Ec2Cloud, between: Interceptor, ground: Ground
) -> None:
    rule = at(named, flip if act == "flipped" else cut)
    told = faced("always stored wrongly", rule, cloud, between, ground)
    assert told is not None
    assert "does not hold what was stored" in told.message
    assert [operation(one) for one in between.seen].count(named) == 2


def flip(request: Request) -> Answer | None:
    body = bytearray(request.body())
    body[len(body) // 2] ^= 1
    raise Altered(bytes(body))


def cut(request: Request) -> Answer | None:
    raise Altered(request.body()[:-1])


def test_etags_that_look_like_md5_and_are_none_are_found_out(
    cloud: Ec2Cloud, between: Interceptor, ground: Ground
) -> None:
    def encrypted(request: Request, body: bytes) -> bytes:
        return re.sub(rb"[0-9a-f]{32}(?=[^<]*</ETag>)", b"0" * 32, body)

    between.rewrite = encrypted
    assert faced("ETags that are no MD5", lambda _: None, cloud, between, ground) is None
    assert [operation(one) for one in between.seen].count("PutPart") == 1


def test_h11_what_was_deleted_behind_our_back_is_gone_and_can_be_removed(
    cloud: Ec2Cloud, between: Interceptor, ground: Ground
) -> None:
    upload = an_upload(CONTENT)
    location = bring(cloud, upload)
    image_id = now(cloud.register(upload.upload, location))
    ground.ec2.deregister_image(ImageId=image_id)
    assert not now(cloud.is_registered(image_id))
    now(cloud.deregister(image_id))
    ground.s3.delete_object(Bucket=upload.bundle.bucket, Key=location.partition("/")[2])
    assert not now(cloud.is_stored(location))
    for key in ground.keys(upload.bundle.bucket):
        ground.s3.delete_object(Bucket=upload.bundle.bucket, Key=key)
    ground.s3.delete_bucket(Bucket=upload.bundle.bucket)
    assert not now(cloud.is_stored(location))
    undo(cloud, upload.bundle)
    tally.record("cloud: deleted behind our back", tally.CLEAN)


@pytest.mark.parametrize("what", ["part", "bucket"])
def test_h11_what_is_deleted_while_it_is_uploaded_is_noticed(
    what: str, cloud: Ec2Cloud, between: Interceptor, ground: Ground
) -> None:
    upload = an_upload(CONTENT)
    bucket, part = upload.bundle.bucket, f"{upload.bundle.name}.part.0"
    put: list[str] = []

    def delete_after_put(request: Request) -> Answer | None:
        named = operation(request)
        if named == "ListObjects" and put == ["PutPart"]:
            put.append("deleted")
            ground.s3.delete_object(Bucket=bucket, Key=part)
            if what == "bucket":
                ground.s3.delete_bucket(Bucket=bucket)
        put.extend([named] if named == "PutPart" else [])
        return None

    between.rule = delete_after_put
    location = bring(cloud, upload)
    assert now(cloud.is_stored(location))
    assert part in ground.keys(bucket)
    undo(cloud, upload.bundle)
    assert ground.left_of(upload.bundle) == []
    tally.record("cloud: deleted during the upload", tally.INSTALLED)


@pytest.mark.parametrize("status", [200, 404])
def test_h11_a_web_server_in_place_of_the_cloud_makes_no_image_gone(
    status: int, cloud: Ec2Cloud, between: Interceptor, ground: Ground
) -> None:
    upload = an_upload(CONTENT)
    location = bring(cloud, upload)
    image_id = now(cloud.register(upload.upload, location))
    asking: dict[str, Callable[[], Awaitable[object]]] = {
        "registered_ids": cloud.registered_ids,
        "is_registered": lambda: cloud.is_registered(image_id),
        "is_stored": lambda: cloud.is_stored(location),
        "find": lambda: cloud.find(upload.bundle, location),
        "deregister": lambda: cloud.deregister(image_id),
        "remove": lambda: cloud.remove(upload.bundle),
        "buckets": cloud.buckets,
    }
    between.rule = say("<html>no such page</html>", status)
    for name, ask in asking.items():
        if name == "is_stored" and status == 200:
            continue  # to HEAD, any 200 says that it is there
        with pytest.raises(CloudError) as caught:
            now(ask())
        assert is_plain(caught.value), caught.value.message
    between.rule = lambda request: None
    undo(cloud, upload.bundle)
    assert ground.left_of(upload.bundle) == []
    tally.record("cloud: a web server in its place", tally.CLEAN)


@pytest.mark.parametrize(
    ("kind", "named"), pairs(("access denied", "always 503", "always closed"), CHECK_OPERATIONS)
)
def test_h10_the_check_finds_each_operation_that_fails_and_cleans_up(
    kind: str, named: str, credentials: Credentials, between: Interceptor, ground: Ground
) -> None:
    cloud = a_cloud(credentials)
    act, cause, _ = LASTING[kind]
    between.rule = at(named, act)
    with pytest.raises(CloudError) as caught:
        now(cloud.check())
    assert cause in caught.value.message
    assert is_plain(caught.value)
    between.rule = lambda request: None
    # What could not be deleted then is deleted by a later check, by the service's own clock.
    between.headers = {"date": formatdate(time.time() + 200, usegmt=True)}
    now(cloud.check())
    left = [name for name in ground.buckets() if name.startswith("image-store-check-")]
    assert left == []
    tally.record(f"cloud check: {kind}", tally.CLEAN, leftovers=len(left))


def test_h10_a_check_finds_an_object_store_that_gives_back_something_else(
    credentials: Credentials, between: Interceptor, ground: Ground
) -> None:
    between.rewrite = lambda request, body: (
        body[::-1] if operation(request) == "GetObject" else body
    )
    with pytest.raises(CloudError, match="gave back something else than was stored"):
        now(a_cloud(credentials).check())
    assert not any(name.startswith("image-store-check-") for name in ground.buckets())


@pytest.mark.parametrize(("silent", "limit_s"), [("DescribeImages", 0.3), ("PutObject", 3.0)])
def test_p3_a_check_of_a_silent_cloud_is_bounded(
    silent: str, limit_s: float, credentials: Credentials, between: Interceptor, ground: Ground
) -> None:
    between.rule = at(silent, silence(between), 1)
    cloud = a_cloud(credentials, patience=impatient(check_s=limit_s))
    with pytest.raises(CloudError) as caught:
        now(cloud.check())
    assert "no answer in time; check the address" in caught.value.message
    assert is_plain(caught.value)
    assert not any(name.startswith("image-store-check-") for name in ground.buckets())
    tally.record("cloud check: silent", tally.CLEAN)


def test_p3_an_address_that_takes_no_connection_is_told(credentials: Credentials) -> None:
    with socket(AF_INET, SOCK_STREAM) as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = full.getsockname()[1]
        waiting = [socket(AF_INET, SOCK_STREAM) for _ in range(4)]
        try:
            for one in waiting:
                one.setblocking(False)
                one.connect_ex(("127.0.0.1", port))
            url = f"http://127.0.0.1:{port}/services/Walrus"
            patience = impatient(connect_s=0.1, silence_s=0.1)
            with pytest.raises(CloudError) as caught:
                now(a_cloud(credentials.with_urls(s3_url=url), patience=patience).buckets())
        finally:
            for one in waiting:
                one.close()
    assert f"Cannot reach S3 at {url} (S3_URL or --s3-url): no answer in time" in (
        caught.value.message
    )
    tally.record("cloud: takes no connection", tally.CLEAN)


def test_the_tests_name_every_operation(
    cloud: Ec2Cloud, between: Interceptor, ground: Ground, tmp_path: Path
) -> None:
    upload = an_upload(CONTENT)
    now(cloud.check())
    live(cloud, upload, ground)
    assert {operation(one) for one in between.seen} == {*OPERATIONS, *CHECK_OPERATIONS}
