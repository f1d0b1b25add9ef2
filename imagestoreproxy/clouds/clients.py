"""The ways to S3 and EC2, made at their first use in the thread that needs them."""

from __future__ import annotations

import os
import re
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from botocore.exceptions import ClientError
from botocore.utils import is_valid_endpoint_url, is_valid_ipv6_endpoint_url

from imagestoreproxy.clouds.answers import Answers
from imagestoreproxy.clouds.bucket import Bucket, Readers
from imagestoreproxy.clouds.calls import Calls, Patience, unheeded
from imagestoreproxy.clouds.clouderrors import Endpoint, code_of
from imagestoreproxy.clouds.credentials import Credentials
from imagestoreproxy.clouds.images import NOBODYS_ID, UNKNOWN_ID
from imagestoreproxy.clouds.manners import Manners, manners
from imagestoreproxy.clouds.signatures import Manner, Signer
from imagestoreproxy.model.errors import CloudError
from imagestoreproxy.ports import Stop
from imagestoreproxy.ports.metering import NO_METERS, Meters

# What is used of EC2, told as botocore tells services. Its own description of all of EC2 is 17 MiB
# in memory, and 21 while it is read; that is more than an install takes.
MODELS = Path(__file__).with_name("models")


class _Session:
    """What boto3 knows of S3 and EC2, read once: then a client takes 10 ms instead of 200."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # clients may be used by several threads, but not made
        self._session: Any = None

    def client(self, service: str, **options: Any) -> Any:
        """Make a client; see ``boto3.session.Session.client``."""
        with self._lock:
            if self._session is None:
                self._session = self._opened()
            return self._session.client(service, **options)

    def _opened(self) -> Any:
        import boto3  # noqa: PLC0415
        import botocore.session  # noqa: PLC0415

        # Profiles and files of the account that the daemon runs under are not its settings.
        nowhere = (None, None, os.devnull, None)
        ambient = {
            "profile": (None, None, None, None),
            "config_file": nowhere,
            "credentials_file": nowhere,
        }
        session = botocore.session.Session(ambient)
        session.get_component("data_loader").search_paths.insert(0, str(MODELS))
        return boto3.session.Session(botocore_session=session)


_SESSION = _Session()


@dataclass(frozen=True, slots=True)
class Way:
    """The way to one service at one address."""

    url: str
    client: Any
    manners: Manners


class Clients:
    """The ways to S3 and EC2; all may be used from several threads at once.

    Args:
        region: goes into signatures and new buckets.
        ca_bundle: PEM file to trust for TLS; empty means that of the system.
        signatures: their version: ``4``, ``2``, or ``auto`` for the one that each service takes.
        public_read_fallback: whether objects may be readable by all where S3 does not know how to
            let only EC2 read them.
        refused: told when a service does not take the keys.
    """

    def __init__(
        self,
        credentials: Credentials,
        *,
        region: str,
        ca_bundle: str,
        signatures: str = "auto",
        public_read_fallback: bool,
        patience: Patience,
        meters: Meters = NO_METERS,
        refused: Callable[[], None] = unheeded,
    ) -> None:
        self.patience = patience
        self._refused = refused
        self._meters = meters
        self._credentials = credentials
        self._region = region
        self._ca_bundle = ca_bundle
        self._signatures = signatures
        self._public_read_fallback = public_read_fallback
        self._readers = Readers()
        self._lock = threading.Lock()
        self._ways: dict[str, Way] = {}

    def s3(self) -> Any:
        """Give the S3 client."""
        return self._way("s3", self._credentials.s3_url).client

    def ec2(self) -> Any:
        """Give the EC2 client."""
        return self._way("ec2", self._credentials.ec2_url).client

    def s3_calls(self, stop: Stop) -> Calls:
        """Give the way to S3 for one piece of work."""
        url = self._credentials.s3_url
        endpoint = endpoint_of("S3", url, "S3_URL or --s3-url")
        return Calls(endpoint, stop, self.patience, self._way("s3", url).manners, self._refused)

    def ec2_calls(self, stop: Stop) -> Calls:
        """Give the way to EC2 for one piece of work."""
        url = self._credentials.ec2_url
        endpoint = endpoint_of("EC2", url, "EC2_URL or --ec2-url")
        return Calls(endpoint, stop, self.patience, self._way("ec2", url).manners, self._refused)

    def forget(self) -> None:
        """Something failed: how requests are to be signed may be found out again."""
        for way in list(self._ways.values()):
            way.manners.forget()

    def signed(self) -> str:
        """Tell which services take our keys in another manner than the usual; empty for none."""
        other = {
            service.upper(): way.manners.manner
            for service, way in sorted(self._ways.items())
            if way.manners.manner != Manner()
        }
        return " and ".join(f"{service} wants {manner}" for service, manner in other.items())

    def bucket(self, name: str, stop: Stop) -> Bucket:
        """Give a bucket for one piece of work."""
        calls = self.s3_calls(stop)
        return Bucket(
            name,
            self.s3(),
            calls,
            region=self._region,
            readers=self._readers,
            public_read_fallback=self._public_read_fallback,
            sent=self._meters.uploaded,
        )

    def _way(self, service: str, url: str) -> Way:
        with self._lock:
            if service not in self._ways or self._ways[service].url != url:
                self._ways[service] = self._made(service, url)
            return self._ways[service]

    def _made(self, service: str, url: str) -> Way:
        # Imported here: boto3 and its clients are 45 MiB that an idle daemon does not need.
        from botocore import UNSIGNED  # noqa: PLC0415
        from botocore.config import Config  # noqa: PLC0415

        # Not hashed once more for the signature: the MD5 of each object is among what is signed,
        # and the manifest, itself signed, has the SHA-1 of each part.
        s3 = {"addressing_style": "path", "payload_signing_enabled": False}
        client = _SESSION.client(
            service,
            region_name=self._region,
            endpoint_url=url,
            config=Config(
                signature_version=UNSIGNED,  # our signer does that
                retries={"total_max_attempts": 1},
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
                s3=s3,
            ),
        )
        answers = Answers(
            service,
            url,
            self._ca_bundle or ssl.get_default_verify_paths().cafile or True,
            connect_s=self.patience.connect_s,
            silence_s=self.patience.silence_s,
            limit_s=self.patience.stall_s,
        )
        path = urlsplit(url).path
        signer = Signer(service, path, self._region, lambda: self._credentials)
        client.meta.events.register("request-created", signer)
        client.meta.events.register("before-send", answers)
        client.meta.events.register("before-call.s3", _stay)
        probe = partial(PROBES[service], client)
        return Way(url, client, Manners(signer, manners(self._signatures, path), probe))


def _asks_for_buckets(s3: Any) -> bool:
    return bool(s3.list_buckets().keys() & {"Buckets", "Owner"})


def _asks_for_an_image(ec2: Any) -> bool:
    try:
        answer = ec2.describe_images(ImageIds=[NOBODYS_ID])
    except ClientError as error:
        if code_of(error) not in UNKNOWN_ID:
            raise
        return True
    return "Images" in answer or bool(answer.get("ResponseMetadata", {}).get("RequestId"))


# Harmless requests, to which a service gives an answer once it takes the signature.
PROBES = {"s3": _asks_for_buckets, "ec2": _asks_for_an_image}


def _stay(params: dict[str, Any], **_: Any) -> None:
    # boto3 follows a bucket to the region it is told of, and asks for it with the next request:
    # told so each time, it never ends. Where S3 is, the settings say.
    params["context"].setdefault("s3_redirect", {})["redirected"] = True


def endpoint_of(service: str, url: str, setting: str) -> Endpoint:
    """Give where a service answers, fit to be shown.

    Raises:
        CloudError: it is not a URL, or names a host that no host may have: boto3 takes none.
    """
    shown = re.sub(r"//[^/]*@", "//", url)  # what stands before the @ may be a secret
    try:
        parts = urlsplit(url)
        is_url = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        is_url = is_url and (is_valid_endpoint_url(url) or is_valid_ipv6_endpoint_url(url))
    except ValueError:  # brackets that are not closed, or a port that is no number
        is_url = False
    if not is_url:
        raise CloudError(
            f"The address of {service} ({setting}) must be a URL like "
            "http://HOST:8773/services/…, with letters, digits, dots and hyphens in HOST, "
            f"not '{shown}'.",
            retry_helps=False,
        )
    return Endpoint(service, shown, setting)
