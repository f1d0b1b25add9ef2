"""moto itself: what other tests ask of it must not depend on chance."""

from __future__ import annotations

from urllib.request import Request, urlopen

import pytest


@pytest.mark.parametrize("signature", ["abc/def=", "a/b/c/d/e=", "//////="])
def test_any_signature_of_version_2_leads_to_s3(signature: str, moto_url: str) -> None:
    request = Request(moto_url, headers={"Authorization": f"AWS key:{signature}"})
    with urlopen(request, timeout=30) as answer:
        assert b"ListAllMyBucketsResult" in answer.read()
