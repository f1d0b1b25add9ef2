"""The account's number, which bundles name, asked of IAM where no file tells it."""

from __future__ import annotations

import re

from imagestoreproxy.clouds.answers import Answers
from imagestoreproxy.clouds.calls import Calls, Patience
from imagestoreproxy.clouds.clouderrors import Endpoint
from imagestoreproxy.clouds.credentials import Credentials
from imagestoreproxy.model.errors import CloudError
from imagestoreproxy.model.retry import CLOUD
from imagestoreproxy.ports import Stop

PATIENCE = Patience(retry=CLOUD, connect_s=5, silence_s=10, stall_s=15, check_s=15)
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

    url = credentials.iam_url
    endpoint = Endpoint("IAM", url, "AWS_IAM_URL")
    keys = Keys(credentials.access_key, credentials.secret_key, credentials.session_token or None)
    answers = Answers(
        url,
        ca_bundle or True,
        connect_s=PATIENCE.connect_s,
        silence_s=PATIENCE.silence_s,
        limit_s=PATIENCE.stall_s,
    )

    def send() -> tuple[int, bytes]:
        request = AWSRequest(
            "POST",
            url,
            headers={"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"},
            data="Action=GetUser&Version=2010-05-08",
        )
        SigV4Auth(keys, "iam", region).add_auth(request)
        answer = answers(request.prepare())
        return answer.status_code, answer.content

    status, body = Calls(endpoint, stop, PATIENCE).call("ask for the account number", send)
    if status != 200:
        raise CloudError(f"IAM at {url} did not tell the account number (HTTP {status}).")
    # Searched, not parsed: there is but one ARN in it.
    if found := _ARN.search(body.decode("utf-8", "replace")):
        return found[1]
    raise CloudError(f"IAM at {url} did not tell the account number: its answer has no ARN.")
