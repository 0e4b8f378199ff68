"""The running service: matches, misses, the limit over restarts and workers, faults, its page.

Belongs here: what is seen from outside of one or more real processes. Does not belong here: fields
(test_truth_table) and OAuth (test_oauth_refusals).
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import re
import secrets
import signal
import stat
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from cryptography.x509 import load_pem_x509_certificate

from ccgi_pipeline.ssid_lookup.client_registry import ClientRegistry, ClientScope
from ccgi_pipeline.ssid_lookup.contract import (
    LOOKUP_PATH,
    TOKEN_PATH,
    VERIFICATION_PATH,
    InsecureError,
)
from ccgi_pipeline.ssid_lookup.group_commit import GroupCommit
from ccgi_pipeline.ssid_lookup.server import _sign_certificate, make_self_signed, serve
from ccgi_pipeline.ssid_lookup.service import (
    HEALTH_PATH,
    OPENAPI_PATH,
    PAGE_PATH,
    ServiceSettings,
    create_app,
)
from ccgi_pipeline.ssid_lookup.store import CccidStore, load_identities
from ccgi_pipeline_tests.ssid_lookup.people import (
    HAYWARD_HIGH,
    PALM_SPRINGS_HIGH,
    Identity,
    frame,
    identity,
)
from ccgi_pipeline_tests.ssid_lookup.services import Service, registered, running

KNOWN = identity("9000000001", alias_first="Mari")
TWINS = [identity("9000000002", first="Ana"), identity("9000000003", first="Ana")]
MEMBERS = {
    "CCCID": "ABC1234",
    "FirstName": "Marisol",
    "LastName": "de la Cruz",
    "BirthDate": "2008-04-09",
    "CDSCode": HAYWARD_HIGH,
}
JSON = {"Content-Type": "application/json"}


@dataclass(frozen=True)
class Asker:
    """Somebody with a token."""

    service: Service
    http: httpx.Client
    token: str
    client_id: str = "cccapply"

    def post(self, path: str = LOOKUP_PATH, **options: Any) -> httpx.Response:  # noqa: ANN401
        headers = {"Authorization": f"Bearer {self.token}", **options.pop("headers", {})}
        return self.http.post(path, headers=headers, **options)

    def look_up(
        self, headers: Mapping[str, str] = MappingProxyType({}), **others: str
    ) -> httpx.Response:
        return self.post(json={**MEMBERS, **others}, headers=headers)

    def operator_lines(self, number: int) -> list[dict[str, Any]]:
        """What the operator's log has of this client, its token aside."""
        ends = time.monotonic() + 30
        while True:
            lines = [
                line
                for line in self.service.operator_lines(0)
                if line["client"] == self.client_id and line["what"] != "token"
            ]
            if len(lines) >= number or time.monotonic() > ends:
                return lines
            time.sleep(0.01)

    def access_lines(self) -> list[dict[str, Any]]:
        """The access log."""
        log = self.service.folder / "logs/access.jsonl"
        return [json.loads(line) for line in log.read_text().splitlines()]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with three students."""
    _load(tmp_path, [KNOWN, *TWINS])
    return tmp_path


def _load(folder: Path, identities: list[Identity]) -> None:
    load_identities(folder, [frame(identities)])


@contextmanager
def _asking(folder: Path, client_id: str) -> Iterator[Asker]:
    secret = registered(folder, client_id)
    with running(folder) as service, service.http() as http:
        yield Asker(service, http, service.token(client_id, secret), client_id)


@pytest.fixture
def alone(folder: Path) -> Iterator[Asker]:
    """A client of a service of its own, which a test may harm."""
    with _asking(folder, "cccapply") as asker:
        yield asker


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asker]:
    folder = tmp_path_factory.mktemp("shared")
    _load(folder, [KNOWN, *TWINS])
    with _asking(folder, "shared") as asker:
        yield asker


@pytest.fixture
def asker(shared: Asker) -> Asker:
    """A new client of a service that others ask, too."""
    client_id = f"client-{secrets.token_hex(4)}"
    secret = registered(shared.service.folder, client_id)
    token = shared.service.token(client_id, secret)
    return Asker(shared.service, shared.http, token, client_id)


def test_misses_look_alike_and_only_the_operator_learns_why(asker: Asker):
    answers = {
        "birth_day_month_swapped": asker.look_up(BirthDate="2008-09-04"),
        "other_school": asker.look_up(CDSCode=PALM_SPRINGS_HIGH),
        "alias": asker.look_up(FirstName="Mari"),
        "ambiguous": asker.look_up(FirstName="Ana"),
        "unknown": asker.look_up(FirstName="Nobody"),
    }
    assert {answer.status_code for answer in answers.values()} == {400}
    assert len({answer.content for answer in answers.values()}) == 1
    shapes = {tuple(name for name, _ in answer.headers.items()) for answer in answers.values()}
    assert len(shapes) == 1
    lines = asker.operator_lines(5)
    assert [line["reason"] for line in lines] == list(answers)
    assert {line["outcome"] for line in lines} == {"no_match"}
    assert {tuple(line) for line in lines} == {("at", "client", "what", "outcome", "reason")}


def test_a_match_stores_the_cccid_with_the_student_for_good(alone: Asker):
    for cccid in ("ABC1234", "ABC1234", "XYZ98765"):
        answer = alone.look_up(CCCID=cccid)
        assert answer.json() == {"SSID": "9000000001", "CCCID": cccid}
    alone.look_up(FirstName="Ana", CCCID="NOT1234")
    _load(alone.service.folder, [KNOWN])
    with closing(CccidStore(alone.service.folder)) as cccids:
        assert cccids.list_cccids("9000000001") == ["ABC1234", "XYZ98765"]
        assert cccids.count() == 2


def test_a_cccid_of_two_students_is_told_to_the_operator_once(asker: Asker):
    asker.look_up(CCCID="TWO1234")
    for _ in range(2):
        other = asker.look_up(FirstName="Ana", SSID="9000000003", CCCID="TWO1234")
        assert other.json() == {"SSID": "9000000003", "CCCID": "TWO1234"}
    lines = asker.operator_lines(3)
    assert [line["reason"] for line in lines] == [None, "cccid_shared", None]
    assert "TWO1234" not in str(lines)
    with closing(CccidStore(asker.service.folder)) as cccids:
        assert cccids.is_shared("TWO1234")
        assert cccids.count_shared() >= 1


def test_a_supplied_ssid_decides_between_students_and_changes_nothing_else(asker: Asker):
    assert asker.look_up(FirstName="Ana").status_code == 400
    assert asker.look_up(FirstName="Ana", SSID="9000000003").json()["SSID"] == "9000000003"
    assert asker.look_up(FirstName="Ana", SSID="9000000001").status_code == 400
    assert asker.look_up(SSID="9000000003", CCCID="OWN1234").json()["SSID"] == "9000000001"
    assert "ssid_differs" in {line["reason"] for line in asker.operator_lines(4)}


def test_the_running_service_notices_a_new_extract(alone: Asker):
    assert alone.look_up().status_code == 200
    _load(alone.service.folder, TWINS)
    assert alone.look_up().status_code == 400


def test_the_hour_and_the_token_outlive_a_restart(folder: Path):
    secret = registered(folder, "cccapply", hourly_limit=10)
    with running(folder) as service, service.http() as http:
        first = Asker(service, http, service.token("cccapply", secret))
        assert [first.look_up().status_code for _ in range(6)] == [200] * 6
    with running(folder) as service, service.http() as http:
        second = Asker(service, http, first.token)
        assert [second.look_up().status_code for _ in range(6)] == [200] * 4 + [429] * 2
        refused = second.look_up()
    assert refused.json()["error"] == "limit_reached"
    assert 3500 <= int(refused.headers["Retry-After"]) <= 3600
    assert refused.headers["RateLimit-Policy"] == '"hour";q=10;w=3600'
    assert refused.headers["RateLimit"] == f'"hour";r=0;t={refused.headers["Retry-After"]}'


def test_an_hour_is_not_given_back_by_a_service_that_was_killed(folder: Path):
    secret = registered(folder, "cccapply", hourly_limit=10)
    with running(folder) as service, service.http() as http:
        first = Asker(service, http, service.token("cccapply", secret))
        assert [first.look_up().status_code for _ in range(6)] == [200] * 6
        service.process.kill()
        service.process.wait()
    with running(folder) as service, service.http() as http:
        second = Asker(service, http, first.token)
        assert [second.look_up().status_code for _ in range(6)] == [200] * 4 + [429] * 2


def test_two_workers_share_limit_tokens_and_cccids(folder: Path):
    """Half of 400 requests on as many connections are granted, whichever worker takes them."""
    secret = registered(folder, "cccapply")
    with running(folder, workers=2, hourly_limit=200) as service:
        token = service.token("cccapply", secret)

        def ask(number: int) -> int:
            # With a connection of its own, so that both workers get some.
            answer = asker.look_up(CCCID=f"ABC{number:04d}", headers={"Connection": "close"})
            return answer.status_code

        with service.http() as http, ThreadPoolExecutor(8) as pool:
            asker = Asker(service, http, token)
            statuses = list(pool.map(ask, range(400)))
    assert (statuses.count(200), statuses.count(429)) == (200, 200)
    with closing(CccidStore(folder)) as cccids:
        assert cccids.count() == 200
    for line in (folder / "logs/access.jsonl").read_text().splitlines():
        json.loads(line)


def test_a_refused_request_tells_how_long_to_wait_and_is_not_looked_into(folder: Path):
    secret = registered(folder, "cccapply", hourly_limit=1)
    with running(folder) as service, service.http() as http:
        asker = Asker(service, http, service.token("cccapply", secret))
        assert asker.look_up().headers["RateLimit"] == '"hour";r=0;t=3600'
        for refused in (asker.look_up(), asker.post(content=b"no JSON", headers=JSON)):
            assert refused.status_code == 429
            assert int(refused.headers["Retry-After"]) > 3500


def test_a_disabled_client_is_out_at_once(asker: Asker):
    assert asker.look_up().status_code == 200
    with closing(ClientRegistry(asker.service.folder)) as clients:
        clients.disable(asker.client_id)
    assert asker.look_up().status_code == 401


BODIES = {
    "nothing": (b"", 422),
    "no JSON": (b"FirstName=Marisol", 422),
    "half an object": (b'{"FirstName": "Marisol', 422),
    "a list": (b"[]", 422),
    "a string": (b'"Marisol"', 422),
    "null": (b"null", 422),
    "an empty object": (b"{}", 422),
    "a member twice": (json.dumps(MEMBERS)[:-1].encode() + b', "CCCID": "ABC1235"}', 422),
    "UTF-16": (json.dumps(MEMBERS).encode("utf-16"), 422),
    "no text": (b'{"FirstName": "\xff"}', 422),
    "very deep": (b"[" * 10_000, 422),
    "a number without end": (b'{"SSID": ' + b"9" * 10_000 + b"}", 422),
    "not a number": (b'{"SSID": NaN}', 422),
    "too large": (b" " * 20_000 + json.dumps(MEMBERS).encode(), 413),
}


def test_a_body_that_is_no_look_up_is_refused_in_words_of_a_stable_shape(asker: Asker):
    for name, (body, status) in BODIES.items():
        answer = asker.post(content=body, headers=JSON)
        assert answer.status_code == status, name
        told = answer.json()
        assert told["error"] == {422: "invalid_request", 413: "too_large"}[status]
        assert isinstance(told["message"], str)
        assert status == 413 or isinstance(told["fields"], list)
        assert "Marisol" not in answer.text
    assert asker.post(content=json.dumps(MEMBERS)).status_code == 415
    assert asker.look_up().status_code == 200


def test_a_body_without_an_announced_length_is_read_no_further_than_allowed(asker: Asker):
    def endless() -> Iterator[bytes]:
        for _ in range(1000):
            yield b" " * 1024

    assert asker.post(content=endless(), headers=JSON).status_code == 413


def test_other_addresses_and_methods_are_refused_in_json(asker: Asker):
    for method, path, status in (
        ("GET", "/", 404),
        ("POST", "/students/Marisol", 404),
        ("GET", LOOKUP_PATH, 405),
        ("DELETE", VERIFICATION_PATH, 405),
        ("GET", "/oauth/token", 405),
    ):
        answer = asker.http.request(method, path)
        assert answer.status_code == status
        assert set(answer.json()) == {"error", "message"}
        assert "Marisol" not in answer.text


def test_the_page_shows_what_the_contract_says(asker: Asker):
    shown = asker.http.get(OPENAPI_PATH).json()
    asked = shown["paths"][LOOKUP_PATH]["post"]
    schema = asked["requestBody"]["content"]["application/json"]["schema"]
    assert {name: spec["maxLength"] for name, spec in schema["properties"].items()} == {
        "SSID": 10,
        "CCCID": 8,
        "FirstName": 30,
        "LastName": 50,
        "BirthDate": 10,
        "CDSCode": 14,
    }
    assert schema["required"] == ["CCCID", "FirstName", "LastName", "BirthDate", "CDSCode"]
    assert asked["security"] == [{"OAuth2": ["ssid:lookup"]}]
    assert {"200", "400", "401", "403", "422", "429"} <= set(asked["responses"])
    flow = shown["components"]["securitySchemes"]["OAuth2"]["flows"]["clientCredentials"]
    assert set(flow["scopes"]) == {"ssid:lookup", "enrollment:verify"}


def test_every_error_is_described_with_its_form_and_an_example(asker: Asker):
    """Those of the contract, and those that any request may get."""
    shown = asker.http.get(OPENAPI_PATH).json()
    required = {
        LOOKUP_PATH: {"400", "401", "403", "408", "413", "415", "422", "429", "500", "503"},
        VERIFICATION_PATH: {"400", "401", "403", "408", "413", "415", "422", "429", "500"},
        TOKEN_PATH: {"400", "401", "408", "413", "429", "500"},
        HEALTH_PATH: {"503"},
    }
    for path, statuses in required.items():
        (described,) = shown["paths"][path].values()
        assert statuses == {status for status in described["responses"] if status >= "400"}
        for status, response in described["responses"].items():
            content = response["content"]["application/json"]
            examples = [one["value"] for one in content.get("examples", {}).values()]
            for example in examples or [content["example"]]:
                if status >= "400":
                    assert content["schema"] == {"$ref": "#/components/schemas/ErrorAnswer"}
                    assert {"error", "message"} <= set(example)
        if "requestBody" in described:
            for content in described["requestBody"]["content"].values():
                assert set(content["schema"]["required"]) <= set(content["example"])
    described = shown["paths"][LOOKUP_PATH]["post"]["responses"]["401"]["description"]
    assert described.startswith("A bearer token is needed; The token has ended")
    form = shown["components"]["schemas"]["ErrorAnswer"]
    assert form["required"] == ["error", "message"]
    answers = shown["paths"][LOOKUP_PATH]["post"]["responses"]["400"]["content"]
    told = answers["application/json"]["examples"]["no_student_found"]["value"]
    assert told == asker.look_up(FirstName="Nobody").json()


def test_the_examples_are_requests_of_the_contract(asker: Asker):
    shown = asker.http.get(OPENAPI_PATH).json()
    for path, status in ((LOOKUP_PATH, 400), (VERIFICATION_PATH, 200)):
        content = shown["paths"][path]["post"]["requestBody"]["content"]["application/json"]
        assert asker.post(path, json=content["example"]).status_code == status


def test_the_page_shows_everything_and_needs_no_other_host(asker: Asker):
    answer = asker.http.get(PAGE_PATH)
    assert answer.headers["Content-Type"].startswith("text/html")
    policy = answer.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    page = answer.text
    for shown in (TOKEN_PATH, LOOKUP_PATH, VERIFICATION_PATH, "BirthDate", "No student found"):
        assert shown in page
    for status in ("400", "401", "403", "415", "422", "429", "503"):
        assert f"<code>{status}</code>" in page
    assert "<script" not in page
    assert re.findall(r"https?://|//[a-z]", page) == []
    # What the policy allows is the style of the page, which is not changed on the way.
    style = page.partition("<style>")[2].partition("</style>")[0]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"'sha256-{digest}'" in policy


def test_no_answer_sends_a_client_to_the_host_that_its_request_names(asker: Asker):
    addresses = [TOKEN_PATH, LOOKUP_PATH, VERIFICATION_PATH, HEALTH_PATH, PAGE_PATH, OPENAPI_PATH]
    for path in [*addresses, "/", "/docs/oauth2-redirect", "/redoc", "//attacker.example/docs"]:
        for asked in (path, path + "/", path + "//", path + "/..", path + "%2f"):
            for method in ("GET", "POST"):
                answer = asker.http.request(method, asked, headers={"Host": "attacker.example"})
                assert not answer.is_redirect
                assert "attacker" not in answer.text + str(answer.headers)


def test_health_tells_whether_look_ups_can_be_answered(tmp_path: Path):
    secret = registered(tmp_path, "cccapply")
    with running(tmp_path) as service, service.http() as http:
        assert http.get(HEALTH_PATH).status_code == 503
        asker = Asker(service, http, service.token("cccapply", secret))
        assert asker.look_up().status_code == 503
        _load(tmp_path, [KNOWN])
        assert http.get(HEALTH_PATH).json() == {"status": "ok"}
        assert asker.look_up().status_code == 200


def test_the_access_log_holds_what_it_may_and_nothing_else(asker: Asker):
    asker.look_up()
    asker.http.get(f"{HEALTH_PATH}?ssid=9000000001")
    token, look_up, health = asker.access_lines()[-3:]
    for line in (token, look_up, health):
        assert set(line) == {"at", "method", "path", "status", "milliseconds", "client"}
    assert [(line["path"], line["status"], line["client"]) for line in (look_up, health)] == [
        (LOOKUP_PATH, 200, asker.client_id),
        (HEALTH_PATH, 200, None),
    ]
    assert asker.service.output.read_text() == ""


def test_logs_may_be_rotated_away_while_the_service_runs(alone: Asker):
    log = alone.service.folder / "logs/access.jsonl"
    log.rename(log.with_suffix(".1"))
    alone.look_up()
    assert len(log.read_text().splitlines()) == 1


def test_a_fault_tells_neither_the_client_nor_a_log_a_value(alone: Asker):
    (alone.service.folder / "identities.sqlite").write_bytes(b"no index any more" * 1000)
    answer = alone.look_up()
    assert (answer.status_code, answer.json()["error"]) == (500, "server_error")
    written = alone.service.everything_written()
    assert '"fault"' in written
    assert "store.py" in written
    for value in MEMBERS.values():
        assert value not in written


def test_all_files_are_their_owners_alone(asker: Asker):
    asker.look_up()
    files = [*asker.service.folder.glob("*.sqlite*"), *asker.service.folder.glob("logs/*")]
    assert len(files) >= 6
    open_to_others = [
        file.name
        for file in files
        if stat.S_IMODE(file.stat().st_mode) & 0o077 and not file.name.endswith(".opening")
    ]
    assert open_to_others == []


def test_told_to_stop_the_service_answers_what_is_under_way_and_ends(alone: Asker):
    assert alone.look_up().status_code == 200
    alone.service.process.send_signal(signal.SIGTERM)
    started = time.monotonic()
    alone.service.process.wait(10)
    assert time.monotonic() - started < 5
    with closing(CccidStore(alone.service.folder)) as cccids:
        assert cccids.count() == 1


def test_without_a_certificate_only_loopback_is_served_and_only_if_asked(tmp_path: Path):
    with pytest.raises(InsecureError):
        serve(ServiceSettings(tmp_path), "127.0.0.1", 1)
    for host in ("0.0.0.0", "192.0.2.1", "example.org"):  # noqa: S104 - it is refused
        with pytest.raises(InsecureError):
            serve(ServiceSettings(tmp_path), host, 1, plain_http=True)


def test_plain_http_is_not_answered_where_tls_is_served(folder: Path):
    with running(folder, tls=True) as service:
        with service.http() as http:
            assert http.get(HEALTH_PATH).status_code == 200
        with pytest.raises(httpx.HTTPError):
            httpx.get(f"http://127.0.0.1:{service.port}{HEALTH_PATH}")
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"{service.url}{HEALTH_PATH}")


def test_a_certificate_of_a_clock_that_was_ahead_is_made_again(tmp_path: Path):
    """Clients would refuse it until the day from which it is valid."""
    made = make_self_signed(tmp_path)
    key = load_pem_private_key(made.key.read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    good = made.certificate.read_bytes()
    assert make_self_signed(tmp_path).certificate.read_bytes() == good
    ahead = datetime.now(tz=UTC) + timedelta(days=3650)
    made.certificate.write_bytes(_sign_certificate(key, ahead).public_bytes(Encoding.PEM))
    remade = make_self_signed(tmp_path)
    until = load_pem_x509_certificate(remade.certificate.read_bytes()).not_valid_after_utc
    assert until < datetime.now(tz=UTC) + timedelta(days=31)


def test_the_key_of_the_demo_is_its_owners_alone_and_used_again(folder: Path):
    with running(folder, tls=True) as service:
        assert service.certificate is not None
        key = service.certificate.key.read_bytes()
    assert stat.S_IMODE((folder / "demo_key.pem").stat().st_mode) == 0o600
    with running(folder, tls=True):
        assert (folder / "demo_key.pem").read_bytes() == key


def test_a_token_ends_after_its_minutes_and_an_hour_goes_by(folder: Path):
    """The app itself, with a clock of its own: three hours of a client that asks all the time."""
    now = [1_800_000_000.0]
    secret = registered(folder, "cccapply", ClientScope.LOOKUP)
    app = create_app(ServiceSettings(folder, hourly_limit=60), lambda: now[0])

    async def statuses() -> list[int]:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="https://lookup") as http:
            seen, token = [], ""
            for _ in range(3 * 60 * 2):
                asking = {"Authorization": f"Bearer {token or 'none'}"}
                answer = await http.post(LOOKUP_PATH, json=MEMBERS, headers=asking)
                seen.append(answer.status_code)
                if answer.status_code == 401:
                    grant = {"grant_type": "client_credentials"}
                    given = await http.post("/oauth/token", auth=("cccapply", secret), data=grant)
                    token = given.json()["access_token"]
                now[0] += 30
        app.state.resources.close()
        return seen

    seen = asyncio.run(statuses())
    # A token lasts ten minutes: it is asked for anew with every twenty-first request.
    assert seen.count(401) == pytest.approx(360 / 21, abs=1.5)
    assert seen.count(200) == 180
    assert set(seen) == {200, 401, 429}


def test_what_waits_together_is_written_together_and_each_gets_its_own_answer():
    writes = []

    def write(items: list[int]) -> list[int]:
        time.sleep(0.01)
        writes.append(items)
        if 13 in items:
            msg = "the disk is full"
            raise OSError(msg)
        return [-item for item in items]

    async def put_all() -> list[int | BaseException]:
        commit: GroupCommit[int, int] = GroupCommit(write)
        first = await asyncio.gather(*(commit.put(item) for item in range(10)))
        broken = await asyncio.gather(commit.put(13), return_exceptions=True)
        return [*first, *broken, await commit.put(14)]

    *good, broken, after = asyncio.run(put_all())
    assert good == [-item for item in range(10)]
    assert isinstance(broken, OSError)
    assert after == -14
    assert len(writes) <= 4
