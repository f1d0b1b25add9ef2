"""The account's number, which bundles name, asked of IAM where no file tells it."""

from __future__ import annotations

import re
import time

from imagestoreproxy.clouds.answers import Answers
from imagestoreproxy.clouds.clients import endpoint_of
from imagestoreproxy.clouds.clouderrors import cloud_error
from imagestoreproxy.clouds.credentials import Credentials
from imagestoreproxy.model.errors import CloudError
from imagestoreproxy.ports import Stop

CONNECT_S, SILENCE_S = 5.0, 10.0
_ARN = re.compile(r"arn:aws[a-z-]*:iam::([0-9]{1,20}):")


def account_number(credentials: Credentials, region: str, ca_bundle: str, stop: Stop) -> str:
    """Give the digits in the ARN of the user whose keys these are (``GetUser``).

    Raises:
        CloudError: IAM did not tell; says why.
    """
    # Imported here: an idle daemon does without.
    from botocore.auth import SigV4Auth  # noqa: PLC0415
    from botocore.awsrequest import AWSRequest  # noqa: PLC0415
    from botocore.credentials import Credentials as Keys  # noqa: PLC0415
    from botocore.exceptions import BotoCoreError  # noqa: PLC0415

    url = credentials.iam_url
    endpoint = endpoint_of("IAM", url, "AWS_IAM_URL")
    keys = Keys(credentials.access_key, credentials.secret_key, credentials.session_token or None)
    request = AWSRequest(
        "POST",
        url,
        headers={"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"},
        data="Action=GetUser&Version=2010-05-08",
    )
    stop.check()
    try:
        SigV4Auth(keys, "iam", region).add_auth(request)
        send = Answers(
            "iam",
            url,
            ca_bundle or True,
            connect_s=CONNECT_S,
            silence_s=SILENCE_S,
            limit_s=SILENCE_S,
        )
        answer = send(request.prepare())
        status, body = answer.status_code, answer.content
    except BotoCoreError as error:
        what = "ask for the account number"
        raise cloud_error(error, endpoint, what, time.time()) from None
    stop.check()
    if status != 200:
        raise CloudError(f"{endpoint} did not tell the account number (HTTP {status}).")
    # Searched, not parsed: there is but one ARN in it.
    if found := _ARN.search(body.decode("utf-8", "replace")):
        return found[1]
    raise CloudError(f"{endpoint} did not tell the account number: its answer has no ARN.")
