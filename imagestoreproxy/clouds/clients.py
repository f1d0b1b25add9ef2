"""Makes the boto3 clients, at their first use and in the thread that needs them."""

from __future__ import annotations

import os
import ssl
import threading
from typing import Any

from imagestoreproxy.clouds.credentials import Credentials

CONNECT_TIMEOUT_S = 10
READ_TIMEOUT_S = 60


class Clients:
    """S3 and EC2 clients over one session; both may be used from several threads at once.

    Args:
        region: goes into signatures.
        ca_bundle: PEM file to trust for TLS; empty means that of the system.
    """

    def __init__(self, credentials: Credentials, *, region: str, ca_bundle: str) -> None:
        self._credentials = credentials
        self._region = region
        self._ca_bundle = ca_bundle
        self._lock = threading.Lock()
        self._session: Any = None
        self._clients: dict[str, Any] = {}

    def s3(self) -> Any:
        """Give the S3 client."""
        return self._client("s3", self._credentials.s3_url)

    def ec2(self) -> Any:
        """Give the EC2 client."""
        return self._client("ec2", self._credentials.ec2_url)

    def _client(self, service: str, url: str) -> Any:
        with self._lock:
            if service not in self._clients:
                self._clients[service] = self._made(service, url)
            return self._clients[service]

    def _made(self, service: str, url: str) -> Any:
        # Imported here: boto3 and its clients are 45 MiB that an idle daemon does not need.
        import boto3  # noqa: PLC0415
        import botocore.session  # noqa: PLC0415
        from botocore.config import Config  # noqa: PLC0415

        if self._session is None:
            # Profiles and files of the account that the daemon runs under are not its settings.
            nowhere = (None, None, os.devnull, None)
            ambient = {
                "profile": (None, None, None, None),
                "config_file": nowhere,
                "credentials_file": nowhere,
            }
            self._session = boto3.session.Session(
                botocore_session=botocore.session.Session(ambient),
                aws_access_key_id=self._credentials.access_key,
                aws_secret_access_key=self._credentials.secret_key,
                aws_session_token=self._credentials.session_token or None,
                region_name=self._region,
            )
        s3: dict[str, Any] = {"addressing_style": "path"}
        if url.startswith("https:"):
            # TLS protects the bytes; over plain HTTP the signature has to.
            s3["payload_signing_enabled"] = False
        return self._session.client(
            service,
            endpoint_url=url,
            verify=self._ca_bundle or ssl.get_default_verify_paths().cafile or True,
            config=Config(
                connect_timeout=CONNECT_TIMEOUT_S,
                read_timeout=READ_TIMEOUT_S,
                retries={"total_max_attempts": 1},
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
                s3=s3,
            ),
        )
