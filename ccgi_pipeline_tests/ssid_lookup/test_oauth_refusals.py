"""Every way in which OAuth may be got wrong: no token, no data, and nothing of it in any log.

Belongs here: requests as they go over the wire, the right ones next to the wrong ones.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from ccgi_pipeline.ssid_lookup.client_registry import ClientRegistry, ClientScope
from ccgi_pipeline.ssid_lookup.service import LOOKUP_PATH, TOKEN_PATH, VERIFICATION_PATH
from ccgi_pipeline.ssid_lookup.store import load_identities
from ccgi_pipeline_tests.ssid_lookup.people import HAYWARD_HIGH, frame, identity
from ccgi_pipeline_tests.ssid_lookup.services import Service, registered, running

SSID, CCCID = "9000000001", "QZX1234"
ASKED = {
    "CCCID": CCCID,
    "FirstName": "Marisol",
    "LastName": "de la Cruz",
    "BirthDate": "2008-04-09",
    "CDSCode": HAYWARD_HIGH,
}
FORM = "application/x-www-form-urlencoded"
GRANT = "grant_type=client_credentials"


@dataclass(frozen=True)
class Credentials:
    """What is known of clients and their tokens; each value may stand in a case as ``{name}``."""

    values: dict[str, str]

    def filled(self, text: str) -> str:
        """``text`` with the names of values replaced; {basic:a:b} becomes HTTP Basic's word."""
        for name, value in self.values.items():
            text = text.replace(f"{{{name}}}", value)
        if "{basic:" in text:
            before, _, rest = text.partition("{basic:")
            plain, _, after = rest.partition("}")
            text = f"{before}{base64.b64encode(plain.encode()).decode()}{after}"
        return text


@dataclass(frozen=True)
class Case:
    """A request and how it is refused; ``error`` None: RFC 6750 wants none to be told."""

    status: int
    error: str | None
    authorization: tuple[str, ...] = ()
    body: str = ""
    path: str = TOKEN_PATH
    content_type: str = FORM
    query: str = ""
    headers: tuple[tuple[str, str], ...] = field(default=())

    def sent(self, http: httpx.Client, credentials: Credentials) -> httpx.Response:
        """Sends it."""
        authorizations = [("Authorization", credentials.filled(a)) for a in self.authorization]
        return http.post(
            f"{self.path}{credentials.filled(self.query)}",
            content=credentials.filled(self.body).encode(),
            headers=[("Content-Type", self.content_type), *authorizations, *self.headers],
        )


def _basic(plain: str) -> tuple[str, ...]:
    return (f"Basic {{basic:{plain}}}",)


RIGHT_BASIC = _basic("{id}:{secret}")
TOKEN_CASES = {
    "nothing at all": Case(400, "invalid_request"),
    "no credentials": Case(401, "invalid_client", body=GRANT),
    "a client id alone": Case(401, "invalid_client", body=GRANT + "&client_id={id}"),
    "a secret alone": Case(401, "invalid_client", body=GRANT + "&client_secret={secret}"),
    "an unknown client": Case(401, "invalid_client", _basic("nobody:{secret}"), GRANT),
    "an unknown client in the body": Case(
        401, "invalid_client", body=GRANT + "&client_id=nobody&client_secret={secret}"
    ),
    "a wrong secret": Case(401, "invalid_client", _basic("{id}:wrong-secret"), GRANT),
    "a wrong secret in the body": Case(
        401, "invalid_client", body=GRANT + "&client_id={id}&client_secret=wrong-secret"
    ),
    "an empty secret": Case(401, "invalid_client", _basic("{id}:"), GRANT),
    "an empty secret in the body": Case(
        401, "invalid_client", body=GRANT + "&client_id={id}&client_secret="
    ),
    "an empty client id": Case(401, "invalid_client", _basic(":{secret}"), GRANT),
    "a secret in capitals": Case(401, "invalid_client", _basic("{id}:{SECRET}"), GRANT),
    "half a secret": Case(401, "invalid_client", _basic("{id}:{half secret}"), GRANT),
    "a longer secret": Case(401, "invalid_client", _basic("{id}:{secret}A"), GRANT),
    "a secret with a blank": Case(401, "invalid_client", _basic("{id}:{secret} "), GRANT),
    "a client id in capitals": Case(401, "invalid_client", _basic("CCCAPPLY:{secret}"), GRANT),
    "another client's secret": Case(401, "invalid_client", _basic("{id}:{other secret}"), GRANT),
    "the secret before it was rotated": Case(
        401, "invalid_client", _basic("rotated:{old secret}"), GRANT
    ),
    "a disabled client": Case(401, "invalid_client", _basic("disabled:{disabled secret}"), GRANT),
    "a disabled client in the body": Case(
        401,
        "invalid_client",
        body=GRANT + "&client_id=disabled&client_secret={disabled secret}",
    ),
    "a token for a secret": Case(401, "invalid_client", _basic("{id}:{token}"), GRANT),
    "a bearer token for credentials": Case(401, "invalid_client", ("Bearer {token}",), GRANT),
    "the hash of the secret": Case(401, "invalid_client", _basic("{id}:{secret hash}"), GRANT),
    "SQL for a client id": Case(401, "invalid_client", _basic("' OR 1=1 --:{secret}"), GRANT),
    "Basic without a word": Case(401, "invalid_client", ("Basic",), GRANT),
    "Basic without a colon": Case(401, "invalid_client", _basic("{id}"), GRANT),
    "Basic that is no Base64": Case(400, "invalid_request", ("Basic {id}:{secret}",), GRANT),
    "Basic that is no text": Case(400, "invalid_request", ("Basic /////w==",), GRANT),
    "two Basic headers": Case(400, "invalid_request", RIGHT_BASIC * 2, GRANT),
    "Basic and a secret in the body": Case(
        400, "invalid_request", RIGHT_BASIC, GRANT + "&client_id={id}&client_secret={secret}"
    ),
    "Basic and another client id in the body": Case(
        400, "invalid_request", RIGHT_BASIC, GRANT + "&client_id=verifier"
    ),
    "Digest": Case(401, "invalid_client", ('Digest username="{id}"',), GRANT),
    "credentials in the address": Case(
        400, "invalid_request", body=GRANT, query="?client_id={id}&client_secret={secret}"
    ),
    "all in the address": Case(
        400, "invalid_request", RIGHT_BASIC, query="?grant_type=client_credentials"
    ),
    "no grant type": Case(400, "invalid_request", RIGHT_BASIC, "scope=ssid:lookup"),
    "an empty grant type": Case(400, "invalid_request", RIGHT_BASIC, "grant_type="),
    "the password grant": Case(
        400,
        "unsupported_grant_type",
        RIGHT_BASIC,
        "grant_type=password&username={id}&password={secret}",
    ),
    "the code grant": Case(
        400, "unsupported_grant_type", RIGHT_BASIC, "grant_type=authorization_code&code=x"
    ),
    "a refresh": Case(
        400, "unsupported_grant_type", RIGHT_BASIC, "grant_type=refresh_token&refresh_token={token}"
    ),
    "a grant type in capitals": Case(
        400, "unsupported_grant_type", RIGHT_BASIC, "grant_type=CLIENT_CREDENTIALS"
    ),
    "a secret for a grant type": Case(
        400, "unsupported_grant_type", RIGHT_BASIC, "grant_type={secret}"
    ),
    "a grant type twice": Case(400, "invalid_request", RIGHT_BASIC, f"{GRANT}&{GRANT}"),
    "a scope twice": Case(
        400, "invalid_request", RIGHT_BASIC, GRANT + "&scope=ssid:lookup&scope=ssid:lookup"
    ),
    "an unknown scope": Case(400, "invalid_scope", RIGHT_BASIC, GRANT + "&scope=admin"),
    "a scope that the client has not": Case(
        400, "invalid_scope", RIGHT_BASIC, GRANT + "&scope=enrollment:verify"
    ),
    "one good scope and one that it has not": Case(
        400, "invalid_scope", RIGHT_BASIC, GRANT + "&scope=ssid:lookup+enrollment:verify"
    ),
    "a scope in capitals": Case(400, "invalid_scope", RIGHT_BASIC, GRANT + "&scope=SSID:LOOKUP"),
    "JSON for a form": Case(
        400,
        "invalid_request",
        RIGHT_BASIC,
        '{"grant_type": "client_credentials"}',
        content_type="application/json",
    ),
    "a form that calls itself text": Case(
        400, "invalid_request", RIGHT_BASIC, GRANT, content_type="text/plain"
    ),
    "a form of bad bytes": Case(400, "invalid_request", RIGHT_BASIC, GRANT + "&x=%ff%fe"),
    "a form that is none": Case(400, "invalid_request", RIGHT_BASIC, "grant_type"),
    "too many parameters": Case(400, "invalid_request", RIGHT_BASIC, GRANT + "&a=1" * 20),
    "a body that is too large": Case(413, "too_large", RIGHT_BASIC, GRANT + "&pad=" + "x" * 20_000),
}

RIGHT_BODY = json.dumps(ASKED)


def _asking(status: int, error: str | None, *authorization: str, **others: str) -> Case:
    values = {"body": RIGHT_BODY, "path": LOOKUP_PATH, "content_type": "application/json"}
    return Case(status, error, authorization, **{**values, **others})


DATA_CASES = {
    "no authorization": _asking(401, None),
    "an empty authorization": _asking(401, None, ""),
    "Basic where a token belongs": _asking(401, None, *RIGHT_BASIC),
    "a token without a scheme": _asking(401, None, "{token}"),
    "Token for Bearer": _asking(401, None, "Token {token}"),
    "Bearer without a token": _asking(400, "invalid_request", "Bearer"),
    "a token that is an equals sign": _asking(400, "invalid_request", "Bearer ="),
    "two tokens in one header": _asking(400, "invalid_request", "Bearer {token} {token}"),
    "two headers": _asking(400, "invalid_request", "Bearer {token}", "Bearer {token}"),
    "two tokens and a comma": _asking(400, "invalid_request", "Bearer {token}, Bearer {token}"),
    "a token in quotes": _asking(400, "invalid_request", 'Bearer "{token}"'),
    "a token that was never issued": _asking(401, "invalid_token", "Bearer " + "A" * 43),
    "a token with one letter more": _asking(401, "invalid_token", "Bearer {token}A"),
    "half a token": _asking(401, "invalid_token", "Bearer {half token}"),
    "a token in capitals": _asking(401, "invalid_token", "Bearer {TOKEN}"),
    "the hash of a token": _asking(401, "invalid_token", "Bearer {token hash}"),
    "a secret for a token": _asking(401, "invalid_token", "Bearer {secret}"),
    "an ended token": _asking(401, "invalid_token", "Bearer {ended token}"),
    "a token of a disabled client": _asking(401, "invalid_token", "Bearer {disabled token}"),
    "a token from before the secret was rotated": _asking(
        401, "invalid_token", "Bearer {rotated token}"
    ),
    "an unsigned JWT": _asking(
        401, "invalid_token", "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJjY2NhcHBseSJ9."
    ),
    "SQL for a token": _asking(400, "invalid_request", "Bearer ' OR 1=1 --"),
    "a very long token": _asking(401, "invalid_token", "Bearer " + "A" * 8000),
    "a token of another scope": _asking(403, "insufficient_scope", "Bearer {verify token}"),
    "a token of no scope": _asking(403, "insufficient_scope", "Bearer {scopeless token}"),
    "a token of a scope that was taken away": _asking(
        403, "insufficient_scope", "Bearer {narrowed token}"
    ),
    "a look-up's token for a verification": _asking(
        403, "insufficient_scope", "Bearer {token}", path=VERIFICATION_PATH
    ),
    "a token in the address": _asking(400, "invalid_request", query="?access_token={token}"),
    "a token in header and address": _asking(
        400, "invalid_request", "Bearer {token}", query="?access_token={token}"
    ),
    "a token in the body": _asking(
        401, None, body=json.dumps({**ASKED, "access_token": "{token}"})
    ),
    "a token in a form": _asking(401, None, body="access_token={token}", content_type=FORM),
    "no token for a verification": _asking(401, None, path=VERIFICATION_PATH),
}
CASES = {**TOKEN_CASES, **DATA_CASES}


@pytest.fixture(scope="module")
def credentials(tmp_path_factory: pytest.TempPathFactory) -> Credentials:
    """Clients in every state, over a folder with one student in it."""
    folder: Path = tmp_path_factory.mktemp("lookup")
    load_identities(folder, [frame([identity(SSID)])])
    values = {
        "folder": str(folder),
        "id": "cccapply",
        "secret": registered(folder, "cccapply", ClientScope.LOOKUP),
        "other secret": registered(folder, "verifier", ClientScope.VERIFY),
        "disabled secret": registered(folder, "disabled", ClientScope.LOOKUP),
        "old secret": registered(folder, "rotated", ClientScope.LOOKUP),
    }
    registered(folder, "narrowed", ClientScope.VERIFY)
    with closing(ClientRegistry(folder)) as clients:
        issue = clients.issue_token
        values["token"] = issue("cccapply", [ClientScope.LOOKUP], 600)
        values["ended token"] = issue("cccapply", [ClientScope.LOOKUP], 0)
        values["scopeless token"] = issue("cccapply", [], 600)
        values["verify token"] = issue("verifier", [ClientScope.VERIFY], 600)
        values["narrowed token"] = issue("narrowed", [ClientScope.LOOKUP], 600)
        values["disabled token"] = issue("disabled", [ClientScope.LOOKUP], 600)
        values["rotated token"] = issue("rotated", [ClientScope.LOOKUP], 600)
        clients.disable("disabled")
        values["new secret"] = clients.rotate_secret("rotated")
        hashed = clients._database.execute("SELECT hex(secret_hash) FROM clients").fetchone()
        values["secret hash"] = hashed[0]
        hashed = clients._database.execute("SELECT hex(token_hash) FROM tokens").fetchone()
        values["token hash"] = hashed[0]
    for name in ("secret", "token"):
        values[name.upper()] = values[name].swapcase()
        values[f"half {name}"] = values[name][:21]
    return Credentials(values)


@pytest.fixture(scope="module")
def service(credentials: Credentials) -> Iterator[Service]:
    with running(Path(credentials.values["folder"])) as started:
        yield started


@pytest.fixture(scope="module")
def http(service: Service) -> Iterator[httpx.Client]:
    with service.http() as client:
        yield client


def test_there_are_at_least_sixty_cases():
    assert len(CASES) >= 60


@pytest.mark.parametrize("name", CASES)
def test_a_wrong_request_is_refused_as_the_rfcs_say(
    http: httpx.Client, credentials: Credentials, name: str
):
    case = CASES[name]
    answer = case.sent(http, credentials)
    assert answer.status_code == case.status
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Content-Type"] == "application/json"
    body = answer.json()
    assert "access_token" not in body
    assert "SSID" not in body
    assert body["error"] == (case.error or "unauthorized")
    assert body["message"]
    # RFC 6749 has a name of its own for the words of the token endpoint.
    described = case.path == TOKEN_PATH and case.status < 413
    assert set(body) == {"error", "message", *(["error_description"] if described else [])}
    assert body.get("error_description", body["message"]) == body["message"]
    challenge = answer.headers.get("WWW-Authenticate", "")
    if case.path == TOKEN_PATH:
        assert challenge.startswith("Basic ") == (case.status == 401)
    else:
        assert challenge.startswith('Bearer realm="ssid-lookup"')
        assert ("error=" in challenge) == (case.error is not None)
        assert case.error is None or f'error="{case.error}"' in challenge


def test_no_refusal_repeats_what_was_sent(http: httpx.Client, credentials: Credentials):
    for case in CASES.values():
        answer = case.sent(http, credentials)
        told = answer.text + str(answer.headers)
        assert not [name for name in _secrets(credentials) if credentials.values[name] in told]


def test_an_unknown_client_is_refused_like_a_wrong_secret(
    http: httpx.Client, credentials: Credentials
):
    names = ("an unknown client", "a wrong secret", "a disabled client")
    answers = [TOKEN_CASES[name].sent(http, credentials) for name in names]
    assert len({(answer.status_code, answer.text) for answer in answers}) == 1


def test_failed_logins_are_limited_and_lock_nobody_out(credentials: Credentials):
    """Also of an unknown client; and the right secret gets a token at the same address."""
    with running(Path(credentials.values["folder"]), failed_logins=5) as service:
        log = service.folder / "logs/operator.jsonl"
        before = len(log.read_text().splitlines())
        with service.http() as http:
            for name in ("a wrong secret", "an unknown client"):
                case = TOKEN_CASES[name]
                answers = [case.sent(http, credentials) for _ in range(8)]
                assert [answer.status_code for answer in answers] == [401] * 5 + [429] * 3
                refused = answers[-1]
                assert refused.json()["error"] == "too_many_failures"
                assert 50 <= int(refused.headers["Retry-After"]) <= 60
            right = Case(200, None, RIGHT_BASIC, GRANT).sent(http, credentials)
            assert right.status_code == 200
            # Who has an ended token must learn that, however many there are.
            asked = [DATA_CASES["an ended token"].sent(http, credentials) for _ in range(8)]
            assert {answer.status_code for answer in asked} == {401}
    lines = [json.loads(line) for line in log.read_text().splitlines()[before:]]
    told = [(one["client"], one["what"], one["times"]) for one in lines if "times" in one]
    assert told == [
        ("cccapply", "token", 1),
        (None, "token", 1),
        (None, "bearer", 1),
        ("cccapply", "token", 7),
        (None, "token", 7),
        (None, "bearer", 7),
    ]
    assert {one["address"] for one in lines if "times" in one} == {"127.0.0.1"}


def test_the_right_request_gets_a_token_and_data(http: httpx.Client, credentials: Credentials):
    for case in (
        Case(200, None, RIGHT_BASIC, GRANT),
        Case(200, None, RIGHT_BASIC, GRANT + "&scope=ssid:lookup&client_id={id}"),
        Case(200, None, _basic("rotated:{new secret}"), GRANT),
        Case(200, None, body=GRANT + "&client_id={id}&client_secret={secret}"),
        # RFC 6749, section 3.2: without a value a parameter counts as omitted.
        Case(200, None, RIGHT_BASIC, GRANT + "&scope=&client_id=&client_secret=&audience="),
        Case(200, None, RIGHT_BASIC, GRANT + "&scope=&scope=ssid:lookup"),
        Case(200, None, body=GRANT + "&scope=&client_id={id}&client_secret={secret}"),
    ):
        answer = case.sent(http, credentials)
        assert answer.status_code == 200, answer.text
        assert answer.headers["Cache-Control"] == "no-store"
        given = answer.json()
        assert (given["token_type"], given["expires_in"]) == ("Bearer", 600)
        assert given["scope"] == "ssid:lookup"
        asked = _asking(200, None, f"bearer {given['access_token']}").sent(http, credentials)
        assert asked.json() == {"SSID": SSID, "CCCID": CCCID}


def test_no_token_secret_or_personal_value_is_in_any_log(
    service: Service, http: httpx.Client, credentials: Credentials
):
    token = Case(200, None, RIGHT_BASIC, GRANT).sent(http, credentials).json()["access_token"]
    asking = f"Bearer {token}"
    number = len(service.operator_lines(0))
    for case in (
        *CASES.values(),
        _asking(200, None, asking),
        _asking(400, None, asking, body=json.dumps({**ASKED, "FirstName": "Quetzalli"})),
        _asking(422, None, asking, body=json.dumps({**ASKED, "BirthDate": "Quetzalli"})),
        _asking(404, None, path="/students/Quetzalli", query="?ssid=" + SSID),
    ):
        case.sent(http, credentials)
    http.request("QUETZALLI", LOOKUP_PATH)
    service.operator_lines(number + 4)
    written = service.everything_written()
    assert '"outcome": "match"' in written
    assert not [name for name in _secrets(credentials) if credentials.values[name] in written]
    for value in (token, "wrong-secret", SSID, *ASKED.values(), "Quetzalli", "QUETZALLI", "1=1"):
        assert value not in written


def _secrets(credentials: Credentials) -> list[str]:
    return [name for name in credentials.values if name not in {"id", "folder"}]
