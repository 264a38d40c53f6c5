"""Authentication and authorisation: API keys, scopes, browser sessions."""

import asyncio
import re
from collections.abc import AsyncIterator, Coroutine, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from support.api_client import ApiClient, api_client
from support.toy import picture

from api.api_keys import ApiKeys, KeyFile, Scope, new_key
from api.middleware.access import COOKIE, needed_scope

PNG = {"files": {"file": ("a.png", picture("red"))}}


class Guarded:
    """A client of a service with one key of each scope."""

    def __init__(self, client: ApiClient, data: Path) -> None:
        self.client = client
        self.file = KeyFile(data)
        self.secrets: dict[str, str] = {}
        for scope in Scope:
            self.secrets[scope], key = new_key(f"the-{scope}", scope)
            self.file.add(key)

    def call(self, who: str | None, method: str, path: str, **options):
        headers = {"Authorization": f"Bearer {self.secrets.get(who, who)}"} if who else {}
        return self.client.run(self.client.http.request(method, path, headers=headers, **options))


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Guarded]:
    with api_client(tmp_path) as client:
        yield Guarded(client, tmp_path)


def test_without_any_key_everybody_may_everything(tmp_path: Path) -> None:
    with api_client(tmp_path) as client:
        client.add(picture("red"), id="one")
        assert client.get("/metrics").status_code == 200
        document = client.get("/v1/session").json()
        assert (document["key_needed"], document["key"], document["scope"]) == (False, None, None)


@pytest.mark.parametrize(
    ("method", "path", "least"),
    [
        ("GET", "/v1/collections", "read"),
        ("GET", "/v1/images/one", "read"),
        ("POST", "/v1/tags", "read"),
        ("POST", "/v1/images", "write"),
        ("DELETE", "/v1/images/one", "write"),
        ("DELETE", "/v1/jobs/none", "write"),
        ("GET", "/metrics", "admin"),
    ],
)
def test_a_route_needs_its_scope_or_a_wider_one(guarded: Guarded, method: str, path: str, least: str) -> None:
    assert guarded.call("write", "POST", "/v1/images", data={"id": "one"}, **PNG).status_code == 201
    options = PNG if method == "POST" else {}
    for scope in Scope:
        answer = guarded.call(scope, method, path, **options)
        if scope.covers(Scope(least)):
            assert answer.status_code in (200, 201, 204, 404) and answer.text.count("key") == 0
        else:
            assert (answer.status_code, answer.json()["code"]) == (403, "scope_missing")
            assert least in answer.json()["detail"]


def test_without_a_key_the_way_in_is_said(guarded: Guarded) -> None:
    answer = guarded.call(None, "GET", "/v1/collections")
    assert (answer.status_code, answer.json()["code"]) == (401, "key_required")
    assert answer.headers["www-authenticate"] == "Bearer"
    assert "Authorization: Bearer" in answer.json()["detail"]


@pytest.mark.parametrize("secret", ["lk_wrong", "é", "x" * 5000])
def test_a_wrong_key(guarded: Guarded, secret: str) -> None:
    headers = {"Authorization": f"Bearer {secret}".encode()}
    answer = guarded.client.get("/v1/collections", headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (401, "key_unknown")
    assert "invalid_token" in answer.headers["www-authenticate"]
    assert secret not in answer.text


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer ", "Basic bGs6bGs=", "lk_x"])
def test_an_authorization_header_without_a_bearer_token_is_refused(guarded: Guarded, header: str) -> None:
    answer = guarded.client.get("/v1/collections", headers={"Authorization": header})
    assert (answer.status_code, answer.json()["code"]) == (401, "key_required")


def test_a_key_is_refused_as_soon_as_it_is_revoked(guarded: Guarded) -> None:
    assert guarded.call("read", "GET", "/v1/collections").status_code == 200
    guarded.file.remove("the-read")
    assert guarded.call("read", "GET", "/v1/collections").json()["code"] == "key_unknown"


def test_a_damaged_list_of_keys_lets_nobody_in_but_health_is_told(guarded: Guarded) -> None:
    guarded.file.path.write_text("{")
    answer = guarded.call("admin", "GET", "/v1/collections")
    assert (answer.status_code, answer.json()["code"]) == (503, "keys_unreadable")
    assert str(guarded.file.path) not in answer.text
    assert guarded.call(None, "GET", "/health").status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/health",
        "/ready",
        "/docs",
        "/docs/start.js",
        "/docs/static/swagger-ui.css",
        "/openapi.json",
        "/static/app.js",
        "/v1/session",
    ],
)
def test_public_routes_need_no_key(guarded: Guarded, path: str) -> None:
    assert guarded.call(None, "GET", path).status_code == 200


def test_a_route_nobody_thought_of_needs_a_key() -> None:
    assert needed_scope("GET", "/v1/new") == Scope.READ
    assert needed_scope("POST", "/v1/new") == Scope.WRITE


def test_every_route_is_asked_for_its_key(guarded: Guarded) -> None:
    document = guarded.client.get("/openapi.json").json()
    routes = [(path, method.upper()) for path, methods in document["paths"].items() for method in methods]
    assert len(routes) > 20
    for pattern, method in routes:
        expected = needed_scope(method, pattern) is not None
        refused = guarded.call(None, method, re.sub(r"{\w+}", "x", pattern)).status_code == 401
        assert refused == expected, (method, pattern)


def test_the_openapi_document_says_what_each_route_needs(guarded: Guarded) -> None:
    document = guarded.client.get("/openapi.json").json()
    assert set(document["components"]["securitySchemes"]) == {"key", "session"}
    assert document["paths"]["/health"]["get"]["security"] == []
    images = document["paths"]["/v1/images"]["post"]
    assert images["security"] == [{"key": []}, {"session": []}]
    assert "scope `write`" in images["description"] and {"401", "403"} <= set(images["responses"])


# ---- browsers --------------------------------------------------------------------------------------------------


def sign_in(guarded: Guarded, scope: str = "read", **options):
    return guarded.client.post("/v1/session", json={"key": guarded.secrets.get(scope, scope)}, **options)


def test_a_browser_signs_in_and_out(guarded: Guarded) -> None:
    answer = sign_in(guarded)
    assert (answer.status_code, answer.json()["key"], answer.json()["scope"]) == (200, "the-read", "read")
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith(f"{COOKIE}=") and "HttpOnly" in cookie and "SameSite=strict" in cookie
    assert "Secure" not in cookie and "Max-Age" not in cookie
    assert guarded.client.get("/v1/collections").status_code == 200  # the client keeps cookies as browsers do
    assert guarded.client.get("/v1/session").json()["key"] == "the-read"
    assert guarded.client.delete("/v1/session").status_code == 204
    assert guarded.client.get("/v1/collections").status_code == 401


def test_over_https_the_cookie_is_for_https_alone(guarded: Guarded) -> None:
    answer = guarded.client.post("https://localhost/v1/session", json={"key": guarded.secrets["read"]})
    assert "Secure" in answer.headers["set-cookie"]


def test_a_wrong_key_gives_no_cookie(guarded: Guarded) -> None:
    answer = sign_in(guarded, "lk_wrong")
    assert (answer.status_code, answer.json()["code"]) == (401, "key_unknown")
    assert "set-cookie" not in answer.headers and "lk_wrong" not in answer.text
    answer = sign_in(guarded, "x" * 201)
    assert (answer.status_code, answer.json()["field"]) == (422, "key") and "xxx" not in answer.text


def test_an_open_service_has_nothing_to_sign_in_to(tmp_path: Path) -> None:
    with api_client(tmp_path) as client:
        answer = client.post("/v1/session", json={"key": "lk_any"})
        assert answer.status_code == 200 and "set-cookie" not in answer.headers


@pytest.mark.parametrize(
    "headers",
    [{"Origin": "http://localhost:3000"}, {"Sec-Fetch-Site": "same-site"}, {"Sec-Fetch-Site": "cross-site"}],
)
def test_the_cookie_counts_for_our_own_page_alone(guarded: Guarded, headers: dict[str, str]) -> None:
    sign_in(guarded)
    assert guarded.client.get("/v1/collections", headers=headers).json()["code"] == "key_required"
    own = {"Origin": "http://localhost", "Sec-Fetch-Site": "same-origin"}
    assert guarded.client.get("/v1/collections", headers=own).status_code == 200


def test_revoking_the_key_ends_the_session(guarded: Guarded) -> None:
    sign_in(guarded)
    guarded.file.remove("the-read")
    assert guarded.client.get("/v1/collections").json()["code"] == "key_unknown"


def test_a_public_service_without_keys_lets_nobody_in(tmp_path: Path) -> None:
    with api_client(tmp_path, keys=ApiKeys(KeyFile(tmp_path))) as client:
        assert client.get("/v1/collections").status_code == 401


# ---- rates -----------------------------------------------------------------------------------------------------


def statuses(guarded: Guarded, who: str | None, number: int) -> list[int]:
    return [guarded.call(who, "GET", "/v1/session").status_code for _ in range(number)]


def test_each_key_and_each_address_has_its_own_limit(tmp_path: Path) -> None:
    with api_client(tmp_path, rate_limit=6) as client:  # one at once, the next in ten seconds
        guarded = Guarded(client, tmp_path)
        assert statuses(guarded, "read", 2) == [200, 429]
        assert statuses(guarded, "write", 2) == [200, 429]
        assert statuses(guarded, None, 2) == [200, 429]
        assert guarded.call("lk_wrong", "GET", "/v1/collections").status_code == 429, "who guesses counts by address"
        answer = guarded.call("read", "GET", "/nosuch")
        assert (answer.status_code, answer.json()["code"]) == (429, "rate_limited")
        assert 1 <= int(answer.headers["retry-after"]) <= 10
        assert "the key the-read" in answer.json()["detail"]
        assert guarded.call(None, "GET", "/health").status_code == 200, "what watches the service is not kept out"


def test_one_caller_has_a_quarter_of_the_places_and_the_others_the_rest(tmp_path: Path) -> None:
    with api_client(tmp_path, queue=8) as client:
        guarded = Guarded(client, tmp_path)

        async def scene() -> tuple[list[int], httpx.Response, int]:
            done = asyncio.Event()

            async def body() -> AsyncIterator[bytes]:
                await done.wait()
                yield b"{}"

            def ask(who: str) -> Coroutine[Any, Any, httpx.Response]:
                headers = {"Authorization": f"Bearer {guarded.secrets[who]}", "Content-Type": "application/json"}
                return client.http.post("/v1/search", headers=headers, content=body())

            slow = [asyncio.ensure_future(ask("read")) for _ in range(2)]
            while client.service.request_limit._free > 8 - 2:
                await asyncio.sleep(0)
            secret = {"Authorization": f"Bearer {guarded.secrets['read']}"}
            one_too_many = await client.http.get("/v1/collections", headers=secret)
            of_another = asyncio.ensure_future(ask("write"))
            done.set()
            return [(await one).status_code for one in slow], one_too_many, (await of_another).status_code

        answered, refused, of_another = client.run(scene())
        assert answered == [422, 422] and of_another == 422
        assert (refused.status_code, refused.json()["code"]) == (429, "rate_limited")
        assert refused.headers["retry-after"] == "1"
        assert "2 requests of the key the-read are in progress" in refused.json()["detail"]
        assert guarded.call("read", "GET", "/v1/collections").status_code == 200


def test_programs_of_this_machine_are_not_limited_where_nobody_needs_a_key(tmp_path: Path) -> None:
    with api_client(tmp_path, rate_limit=6) as client:
        assert [client.get("/v1/collections").status_code for _ in range(5)] == [200] * 5
