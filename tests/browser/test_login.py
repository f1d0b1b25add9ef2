"""Who may in, what is said to who may not, and that the secret key stays in the browser."""

from __future__ import annotations

import base64
import datetime
import re
from urllib.parse import quote, quote_plus

from playwright.sync_api import expect

from tests.browser.conftest import ANOTHER_NAME, NewVisitor
from tests.browser.visitor import Visitor
from tests.browser.watch import searched
from tests.functional.rig import CLIENT_ID, SECRET, Rig

REFUSED = r"^resource: .* status of 401 .*/api/"
KEPT = """async () => {
    const kept = [JSON.stringify(localStorage), JSON.stringify(sessionStorage), document.cookie,
                  JSON.stringify(history.state), window.name, location.href, document.title,
                  document.documentElement.outerHTML,
                  ...[...document.querySelectorAll('input')].map(input => input.value)];
    for (const one of await indexedDB.databases()) kept.push(one.name);
    for (const name of await caches.keys()) kept.push(name);
    return kept.join('\\n');
}"""


def everything_kept(visitor: Visitor) -> str:
    """Give all that the browser keeps for the page: storage, cookies, the document itself."""
    cookies = "\n".join(f"{c.get('name')}={c.get('value')}" for c in visitor.page.context.cookies())
    return f"{visitor.ask(KEPT)}\n{cookies}"


def test_the_right_keys_open_the_store(new_visitor: NewVisitor, shown: Rig) -> None:
    visitor = new_visitor(shown.daemon.proxy.url)
    visitor.open()
    expect(visitor.page.get_by_label("Secret key")).to_have_attribute("type", "password")
    visitor.try_to_log_in()
    expect(visitor.card("Example Server")).to_be_visible()
    expect(visitor.page).to_have_title(re.compile("Store"))


def test_the_secret_key_never_leaves_the_browser(new_visitor: NewVisitor, shown: Rig) -> None:
    visitor = new_visitor(shown.daemon.proxy.url)
    visitor.log_in()
    for view in ("Installed", "Activity", "Sources", "System", "Store"):
        visitor.go(view)
    visitor.page.reload()
    expect(visitor.card("Example Server")).to_be_visible()
    sent = [searched(request) for request in visitor.watch.requests]
    assert any("/api/session" in text and "Signature=" in text for text in sent)
    encoded = base64.b64encode(SECRET.encode()).decode().rstrip("=")
    for form in {SECRET, quote(SECRET), quote_plus(SECRET), encoded, SECRET.encode().hex()}:
        assert [text for text in sent if form in text] == []
        assert form not in everything_kept(visitor)
    assert SECRET not in shown.daemon.said()


def test_the_session_is_a_cookie_that_no_script_reads(new_visitor: NewVisitor, shown: Rig) -> None:
    visitor = new_visitor(shown.daemon.proxy.url)
    visitor.log_in()
    (cookie,) = visitor.page.context.cookies()
    assert cookie.get("httpOnly")
    assert cookie.get("sameSite") == "Strict"
    assert visitor.ask("document.cookie") == ""


def test_a_wrong_secret_is_refused_in_plain_words(new_visitor: NewVisitor, shown: Rig) -> None:
    visitor = new_visitor(shown.daemon.proxy.url)
    visitor.watch.expect(REFUSED)
    visitor.open()
    visitor.try_to_log_in(secret="not-the-secret")
    expect(visitor.alert).to_contain_text("secret key")
    expect(visitor.button("Log out")).to_have_count(0)
    # What was typed is still there to be put right.
    expect(visitor.page.get_by_label("Access key")).to_have_value(CLIENT_ID)
    visitor.try_to_log_in()
    expect(visitor.button("Log out")).to_be_visible()
    expect(visitor.alert).to_have_count(0)


def test_an_unknown_access_key_is_named(cloud_rig: Rig, new_visitor: NewVisitor) -> None:
    visitor = new_visitor(cloud_rig.daemon.proxy.url)
    visitor.watch.expect(REFUSED)
    visitor.open()
    visitor.try_to_log_in(key="NOBODY")
    expect(visitor.alert).to_contain_text("NOBODY")
    visitor.try_to_log_in()
    expect(visitor.button("Log out")).to_be_visible()


def test_a_wrong_clock_is_told_with_the_difference(new_visitor: NewVisitor, shown: Rig) -> None:
    visitor = new_visitor(shown.daemon.proxy.url)
    visitor.watch.expect(REFUSED)
    hour_ago = datetime.datetime.now(datetime.UTC) - datetime.timedelta(hours=1)
    visitor.page.clock.set_fixed_time(hour_ago)
    visitor.open()
    visitor.try_to_log_in()
    expect(visitor.alert).to_contain_text("clock")
    expect(visitor.alert).to_contain_text(
        re.compile(r"3[5-9]\d\d seconds|59 minutes|1 hour|an hour")
    )


def test_where_the_browser_cannot_sign_it_says_so_and_why(
    new_visitor: NewVisitor, shown: Rig
) -> None:
    visitor = new_visitor(f"http://{ANOTHER_NAME}:{shown.daemon.port}")
    visitor.watch.expect("Cross-Origin-Opener-Policy header has been ignored")
    visitor.open()
    assert visitor.ask("window.isSecureContext") is False
    expect(visitor.alert).to_contain_text("https")
    main = visitor.page.get_by_role("main")
    expect(main).to_contain_text(f"http://localhost:{shown.daemon.port}/")
    expect(main).to_contain_text("TLS")
    expect(visitor.page.get_by_label("Secret key")).to_have_count(0)
    expect(visitor.button("Log in")).to_have_count(0)


def test_a_log_out_ends_the_session_for_good(new_visitor: NewVisitor, shown: Rig) -> None:
    visitor = new_visitor(shown.daemon.proxy.url)
    visitor.watch.expect(REFUSED)
    visitor.log_in()
    cookies = visitor.page.context.cookies()
    visitor.button("Log out").click()
    expect(visitor.button("Log in")).to_be_visible()
    assert visitor.page.context.cookies() == []
    # The cookie of before opens nothing, though somebody kept it.
    visitor.page.context.add_cookies([{**cookie} for cookie in cookies])  # type: ignore[typeddict-item]
    visitor.page.reload()
    expect(visitor.button("Log in")).to_be_visible()
    expect(visitor.cards).to_have_count(0)


def test_nothing_is_shown_before_the_login(new_visitor: NewVisitor, shown: Rig) -> None:
    visitor = new_visitor(shown.daemon.proxy.url)
    for route in ("/store", "/installed", "/activity", "/sources", "/system", "/image/x"):
        visitor.open(route)
        visitor.page.reload()
        expect(visitor.button("Log in")).to_be_visible()
        expect(visitor.page.get_by_role("navigation", name="Main")).to_have_count(0)


def test_the_address_asked_for_is_shown_after_the_login(
    new_visitor: NewVisitor, shown: Rig
) -> None:
    visitor = new_visitor(shown.daemon.proxy.url)
    visitor.log_in("/sources")
    expect(visitor.link("Sources")).to_have_attribute("aria-current", "page")


def test_a_reload_stays_logged_in(new_visitor: NewVisitor, shown: Rig) -> None:
    visitor = new_visitor(shown.daemon.proxy.url)
    visitor.log_in("/installed")
    visitor.page.reload()
    expect(visitor.button("Log out")).to_be_visible()
    expect(visitor.page).to_have_title(re.compile("Installed"))
