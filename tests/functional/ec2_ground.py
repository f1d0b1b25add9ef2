"""moto behind an interceptor, and an EC2 cloud that speaks to it: fixtures."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from imagestoreproxy.clouds.calls import Patience
from imagestoreproxy.clouds.credentials import Credentials, from_directory
from imagestoreproxy.clouds.ec2 import Ec2Cloud
from imagestoreproxy.model.bundles import Upload
from imagestoreproxy.model.errors import CloudError
from imagestoreproxy.model.images import Architecture, FileKind, Virtualization
from imagestoreproxy.model.installs import Bundle
from imagestoreproxy.model.retry import CLOUD
from imagestoreproxy.ports import Stop
from tests.functional.eucarc_directory import make_eucarc_directory
from tests.functional.inline_background import InlineBackground, now
from tests.functional.interceptor import Answer, Interceptor, Request, interceptor
from tests.functional.parcel import Parcel


@pytest.fixture(scope="module")
def moto(moto_url: str) -> str:
    return moto_url


@pytest.fixture(scope="session")
def complete(tmp_path_factory: pytest.TempPathFactory) -> Credentials:
    path = tmp_path_factory.mktemp("ec2") / "credentials"
    return from_directory(make_eucarc_directory(path, "http://ec2/", "http://s3/").path)


@pytest.fixture
def between(moto: str) -> Iterator[Interceptor]:
    with interceptor(moto) as state:
        yield state


@pytest.fixture
def credentials(complete: Credentials, between: Interceptor) -> Credentials:
    return complete.with_urls(
        f"{between.url}/services/Eucalyptus", f"{between.url}/services/Walrus"
    )


def impatient(**limits: float) -> Patience:
    """As in earnest, but without the waiting."""
    retry = replace(CLOUD, first_s=0.01, longest_s=0.05, longest_asked_s=0.05)
    return replace(Patience(), retry=retry, **limits)


def a_cloud(credentials: Credentials, **options: Any) -> Ec2Cloud:
    return Ec2Cloud(InlineBackground(), credentials, **{"patience": impatient(), **options})


def an_upload(content: bytes = b"linux") -> Parcel:
    token = f"{random.getrandbits(64):016x}"
    bundle = Bundle("uri", FileKind.IMAGE, f"isp-{token}", f"image-{token}")

    def chunks(stop: Stop) -> Iterator[bytes]:
        yield content

    upload = Upload(bundle, Architecture.X86_64, Virtualization.HVM)
    return Parcel(upload, len(content), chunks)


def s3_error(status: int, code: str, message: str = "m", **headers: str) -> Answer:
    body = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>"
    return Answer(status, body, {"content-type": "application/xml", **headers})


def ec2_error(status: int, code: str, message: str = "m", **headers: str) -> Answer:
    body = (
        f"<Response><Errors><Error><Code>{code}</Code><Message>{message}</Message></Error></Errors>"
        "<RequestID>r</RequestID></Response>"
    )
    return Answer(status, body, {"content-type": "text/xml", **headers})


def is_s3(request: Request) -> bool:
    return request.path.startswith("/services/Walrus")


def refusing(answer: Answer) -> Callable[[Request], Answer | None]:
    return lambda request: answer if is_s3(request) else None


def told_by_check(credentials: Credentials, **options: Any) -> CloudError:
    with pytest.raises(CloudError) as caught:
        now(a_cloud(credentials, **options).check())
    assert "\n" not in caught.value.message
    assert "testing-secret" not in caught.value.message
    return caught.value
