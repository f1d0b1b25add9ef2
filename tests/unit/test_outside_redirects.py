"""Who may send the proxy on to a local address."""

from __future__ import annotations

import pytest

from imagestoreproxy.outside.curl import came_from_local
from imagestoreproxy.outside.exchange import Answer, Request


@pytest.mark.parametrize(
    ("url", "proxy", "address", "is_local"),
    [
        ("http://store.example/", "", "93.184.216.34", False),
        ("http://store.lan/", "", "10.0.0.5", True),
        ("http://localhost/", "", "127.0.0.1", True),
        # The address is the HTTP proxy's, and says nothing of the store.
        ("http://store.example/", "http://10.0.0.1:3128", "10.0.0.1", False),
        ("http://10.0.0.5/", "http://10.0.0.1:3128", "10.0.0.1", True),
    ],
)
def test_a_redirect_may_lead_to_a_local_address_only_from_a_local_one(
    url: str, proxy: str, address: str, is_local: bool
) -> None:
    request = Request(url, proxy, allow_local=True)
    assert came_from_local(request, Answer(status=302, address=address)) is is_local
