"""The tests' own OneRoster server does what the specification says, as long as it has no fault."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from authlib.oauth1.rfc5849.signature import construct_base_string

from ccgi_pipeline_tests.oneroster_api.authorization import (
    BASIC,
    BODY,
    OAUTH_1,
    Asked,
    scopes_of,
    signature_base,
)
from ccgi_pipeline_tests.oneroster_api.conftest import Districts
from ccgi_pipeline_tests.oneroster_api.objects import COMMON, SINGLE, VERSIONS, read_set
from ccgi_pipeline_tests.oneroster_api.plain_client import GRANT, PlainClient, sign
from ccgi_pipeline_tests.oneroster_api.server import DISCOVERY, PATHS, serve_oneroster

_LINK = re.compile(r'<([^>]*)>; rel="(\w+)"')


@pytest.fixture(scope="module", params=VERSIONS)
def client(request: pytest.FixtureRequest, districts: Districts) -> Iterator[PlainClient]:
    """A client, with a token, of a server of either version."""
    night = districts.of(request.param)[0]
    with serve_oneroster(night, version=request.param) as server, PlainClient(server) as asking:
        asking.take_token()
        yield asking


def _links(answer: httpx.Response) -> dict[str, str]:
    return {name: url for url, name in _LINK.findall(answer.headers["Link"])}


# --- pages ------------------------------------------------------------------------------------


def test_next_links_lead_through_all_rows_once(client: PlainClient):
    answer = client.ask("enrollments", limit=40)
    total, seen = int(answer.headers["X-Total-Count"]), []
    while True:
        seen += [row["sourcedId"] for row in answer.json()["enrollments"]]
        url = _links(answer).get("next")
        if url is None:
            break
        assert len(answer.json()["enrollments"]) == 40
        answer = client.get(url, headers={"Authorization": f"Bearer {client.token}"})
    assert len(seen) == len(set(seen)) == total > 80
    assert seen == sorted(seen)


def test_links_name_the_first_the_last_and_the_neighbouring_pages(client: PlainClient):
    total = int(client.ask("classes").headers["X-Total-Count"])
    middle = _links(client.ask("classes", limit=10, offset=10))
    offsets = {name: httpx.URL(url).params["offset"] for name, url in middle.items()}
    last = (total - 1) // 10 * 10
    assert offsets == {"first": "0", "prev": "0", "next": "20", "last": str(last)}
    assert _links(client.ask("classes", limit=10)).keys() == {"first", "last", "next"}
    end = client.ask("classes", limit=10, offset=last)
    assert _links(end).keys() == {"first", "last", "prev"}
    assert len(end.json()["classes"]) == total - last


def test_a_page_has_a_hundred_rows_unless_the_limit_says_otherwise(client: PlainClient):
    assert len(client.listed("enrollments")) == 100
    assert len(client.listed("enrollments", limit=3)) == 3
    beyond = client.ask("enrollments", offset=10**6)
    assert beyond.status_code == 200
    assert beyond.json() == {"enrollments": []}


@pytest.mark.parametrize(
    "wrong", [{"limit": 0}, {"limit": "ten"}, {"offset": -1}, {"orderBy": "down"}], ids=str
)
def test_a_wrong_number_or_order_is_refused(client: PlainClient, wrong: dict[str, str]):
    answer = client.ask("users", **wrong)
    assert answer.status_code == 422
    assert "failure" in answer.text


# --- filters, order, fields -------------------------------------------------------------------


def _ids(rows: list[dict[str, object]]) -> set[object]:
    return {row["sourcedId"] for row in rows}


def test_a_filter_keeps_what_fits_and_the_total_counts_that(client: PlainClient):
    everything = client.listed("users", limit=10_000)
    family = everything[3]["familyName"]
    wanted = {row["sourcedId"] for row in everything if row["familyName"] == family}
    answer = client.ask("users", filter=f"familyName='{family}'", limit=1)
    assert int(answer.headers["X-Total-Count"]) == len(wanted)
    assert _ids(client.listed("users", filter=f"familyName='{family}'")) == wanted
    rest = client.listed("users", filter=f"familyName!='{family}'", limit=10_000)
    assert _ids(rest) == _ids(everything) - wanted


def test_two_clauses_are_joined_by_and_or_or(client: PlainClient):
    first, second = client.listed("users", limit=2)
    one, two = (f"sourcedId='{row['sourcedId']}'" for row in (first, second))
    assert client.listed("users", filter=f"{one} AND {two}") == []
    assert client.listed("users", filter=f"{one} OR {two}") == [first, second]
    assert client.listed("users", filter=f"{one} AND status='active'") == [first]


def test_a_filter_may_look_into_a_reference_or_a_list(client: PlainClient):
    school = client.listed("schools", limit=1)[0]["sourcedId"]
    taught = client.listed("classes", filter=f"school.sourcedId='{school}'", limit=10_000)
    assert taught
    assert {row["school"]["sourcedId"] for row in taught} == {school}
    ninth = client.listed("classes", filter="grades~'09'", limit=10_000)
    assert all("09" in row["grades"] for row in ninth)


@pytest.mark.parametrize(
    "wrong",
    ["color='red'", "status=active", "status='a' AND", "status='a' AND role='b' AND role='c'"],
)
def test_a_filter_that_cannot_be_read_is_refused(client: PlainClient, wrong: str):
    answer = client.ask("users", filter=wrong)
    assert answer.status_code == 400
    assert "invalid_filter_field" in answer.text


def test_rows_are_sorted_by_any_field_in_either_direction(client: PlainClient):
    names = [row["familyName"] for row in client.listed("users", sort="familyName", limit=10_000)]
    assert names == sorted(names)
    back = client.listed("users", sort="familyName", orderBy="desc", limit=10_000)
    assert [row["familyName"] for row in back] == names[::-1]


def test_an_unknown_field_to_sort_by_changes_nothing(client: PlainClient):
    answer = client.ask("orgs", sort="color")
    assert answer.status_code == 200
    assert answer.json()["orgs"] == client.listed("orgs")
    assert ("invalid_sort_field" in answer.text) == (client.server.version == "1.1")


def test_only_the_named_fields_are_sent(client: PlainClient):
    rows = client.listed("users", fields="sourcedId,familyName")
    assert {tuple(row) for row in rows} == {("sourcedId", "familyName")}
    assert client.ask("users", fields="sourcedId,").status_code == 400
    unknown = client.ask("orgs", fields="color,sourcedId")
    assert unknown.json()["orgs"] == client.listed("orgs")
    assert ("invalid_selection_field" in unknown.text) == (client.server.version == "1.1")


# --- objects ----------------------------------------------------------------------------------


def test_each_collection_has_the_name_of_its_kind_and_single_objects_their_own(
    client: PlainClient,
):
    for path, listed in PATHS.items():
        content = client.ask(path, limit=1).json()
        assert set(content) == {listed.kind}
        for row in content[listed.kind]:
            assert set(COMMON) <= row.keys()
            own = client.ask(f"{path}/{row['sourcedId']}").json()
            assert own == {SINGLE[listed.kind]: row}
    missing = client.ask("users/nobody")
    assert missing.status_code == 404
    assert "unknownobject" in missing.text


def test_students_teachers_and_schools_are_parts_of_users_and_orgs(client: PlainClient):
    everybody = _ids(client.listed("users", limit=10_000))
    students = _ids(client.listed("students", limit=10_000))
    teachers = _ids(client.listed("teachers", limit=10_000))
    assert students
    assert teachers
    assert not students & teachers
    assert students | teachers < everybody
    assert {row["type"] for row in client.listed("schools")} == {"school"}


def test_every_line_of_the_set_is_an_object_with_its_references(
    client: PlainClient, districts: Districts
):
    lines = read_set(districts.of(client.server.version)[0])
    for kind in SINGLE:
        rows = client.listed(kind, limit=100_000)
        assert _ids(rows) == {line["sourcedId"] for line in lines.get(kind, [])}
    line = lines["enrollments"][0]
    row = client.ask(f"enrollments/{line['sourcedId']}").json()["enrollment"]
    assert row["user"] == {
        "href": f"{client.server.url}/users/{line['userSourcedId']}",
        "sourcedId": line["userSourcedId"],
        "type": "user",
    }
    assert row["class"]["sourcedId"] == line["classSourcedId"]
    assert row["role"] == line["role"]
    assert row["status"] == "active"


def test_users_have_roles_in_1_2_and_one_role_in_1_1(client: PlainClient, districts: Districts):
    lines = read_set(districts.of(client.server.version)[0])
    by_id = {row["sourcedId"]: row for row in client.listed("users", limit=100_000)}
    if client.server.version == "1.1":
        for line in lines["users"]:
            user = by_id[line["sourcedId"]]
            assert user["role"] == line["role"]
            orgs = ",".join(org["sourcedId"] for org in user["orgs"])
            assert orgs == line["orgSourcedIds"]
        return
    assert lines["roles"]
    for line in lines["roles"]:
        (role,) = by_id[line["userSourcedId"]]["roles"]
        assert (role["role"], role["roleType"]) == (line["role"], line["roleType"])
        assert role["org"]["sourcedId"] == line["orgSourcedId"]
    (profile,) = by_id[lines["userProfiles"][0]["userSourcedId"]]["userProfiles"]
    assert profile["profileId"] == lines["userProfiles"][0]["sourcedId"]
    assert profile["credentials"][0]["type"] == lines["userProfiles"][0]["credentialType"]


@pytest.mark.parametrize("version", VERSIONS)
def test_a_set_of_the_other_version_is_served_too(districts: Districts, version: str):
    other = "1.2" if version == "1.1" else "1.1"
    with (
        serve_oneroster(districts.of(other)[0], version=version) as server,
        PlainClient(server) as asking,
    ):
        asking.take_token()
        rows = asking.listed("students", limit=10_000)
        assert rows
        if version == "1.1":
            assert all(row["orgs"] and "roles" not in row for row in rows)
        else:
            assert all(row["roles"][0]["org"] for row in rows)
            assert all(row["primaryOrg"] and "orgs" not in row for row in rows)


# --- changes ----------------------------------------------------------------------------------


@pytest.mark.parametrize("version", VERSIONS)
def test_a_filter_by_date_shows_what_a_night_changed_and_deleted(
    districts: Districts, version: str
):
    nights = districts.of(version)
    with serve_oneroster(nights[0], version=version) as server, PlainClient(server) as asking:
        asking.take_token()
        before = {row["sourcedId"]: row for row in asking.listed("users", limit=10_000)}
        last = max(row["dateLastModified"] for row in before.values())
        server.change(nights[1])
        after = {row["sourcedId"]: row for row in asking.listed("users", limit=10_000)}
        said = asking.listed("users", filter=f"dateLastModified>'{last}'", limit=10_000)
        there = {line["sourcedId"] for line in read_set(nights[1])["users"]}
        gone = {row["sourcedId"] for row in said if row["status"] == "tobedeleted"}
        assert gone == before.keys() - there
        assert gone
        assert _ids(said) - gone
        assert _ids(said) == {own for own, row in after.items() if row != before.get(own)}
        here = asking.listed("users", filter="status='active'", limit=10_000)
        assert _ids(here) == there


# --- who may ask ------------------------------------------------------------------------------


@pytest.mark.parametrize("way", [BASIC, BODY])
def test_without_a_valid_token_nothing_is_told(districts: Districts, way: str):
    with (
        serve_oneroster(districts.of_1_2[0], version="1.2", authentication=way) as server,
        PlainClient(server) as asking,
    ):
        assert asking.ask("users").status_code == 401
        granted = asking.take_token()
        assert "Bearer" in granted.text
        assert asking.ask("users").status_code == 200
        server.authorization.end_tokens()
        ended = asking.ask("users")
        assert ended.status_code == 401
        assert "unauthorisedrequest" in ended.text
        own = (server.client_id, server.client_secret)
        other = {**GRANT, "scope": server.scopes[0]}
        wrong = (
            asking.post(server.token_url, data=other, auth=(own[0], "other"))
            if way == BASIC
            else asking.post(server.token_url, data=other, auth=own)
        )
        assert wrong.status_code == 401
        assert wrong.json() == {"error": "invalid_client"}


def test_a_scope_opens_what_it_is_for(districts: Districts):
    scopes = scopes_of("1.2")
    with (
        serve_oneroster(districts.of_1_2[0], version="1.2") as server,
        PlainClient(server) as asking,
    ):
        asking.take_token(scope=scopes["roster-core.readonly"])
        assert asking.ask("users").status_code == 200
        assert asking.ask("demographics").status_code == 403
        asking.take_token(scope=scopes["roster-demographics.readonly"])
        assert asking.ask("users").status_code == 403
        assert asking.ask("demographics").status_code == 200
        assert asking.take_token(scope="").status_code == 400
        assert asking.take_token(scope="all").json() == {"error": "invalid_scope"}


@pytest.mark.parametrize("method", ["HMAC-SHA1", "HMAC-SHA256"])
def test_a_signature_covers_every_parameter(districts: Districts, method: str):
    with (
        serve_oneroster(districts.of_1_1[0], authentication=OAUTH_1) as server,
        PlainClient(server) as asking,
    ):
        url = f"{server.url}/users?limit=5&filter=status%3D%27active%27"
        header = sign(server, url, method)
        assert asking.get(url, headers={"Authorization": header}).status_code == 200
        again = asking.get(url, headers={"Authorization": header})
        assert again.status_code == 401
        for other in (url.replace("limit=5", "limit=6"), f"{url}&offset=5"):
            signed = {"Authorization": sign(server, url, method)}
            assert asking.get(other, headers=signed).status_code == 401
        old = sign(server, url, method, oauth_timestamp=str(int(time.time()) - 3600))
        assert asking.get(url, headers={"Authorization": old}).status_code == 401
        assert asking.get(url).status_code == 401


def test_the_signed_text_is_the_one_that_authlib_signs():
    url = "https://Roster.example:8443/a%20b/users?limit=5&filter=a%3D%27b%20c%27&offset=0&x="
    said = {"oauth_consumer_key": "key/1", "oauth_nonce": "n", "oauth_timestamp": "1"}
    pairs = [("limit", "5"), ("filter", "a='b c'"), ("offset", "0"), ("x", ""), *said.items()]
    theirs = construct_base_string("GET", url, pairs)
    assert signature_base(Asked("GET", url, {}), said) == theirs


# --- the rest ---------------------------------------------------------------------------------


def test_only_the_path_of_its_version_answers_and_1_2_describes_itself(client: PlainClient):
    server = client.server
    bearer = {"Authorization": f"Bearer {client.token}"}
    other = server.url.replace("v1p1", "v1p2").replace("rostering/", "")
    if server.version == "1.2":
        other = server.url.replace("rostering/v1p2", "v1p1")
    assert client.get(f"{other}/users", headers=bearer).status_code == 404
    described = client.get(f"{server.url}/discovery/{DISCOVERY}")
    assert described.status_code == (200 if server.version == "1.2" else 404)
    if server.version == "1.2":
        flows = described.json()["components"]["securitySchemes"]["OAuth2CC"]["flows"]
        assert flows["clientCredentials"]["tokenUrl"] == server.token_url


def test_an_unknown_authority_is_not_trusted(client: PlainClient):
    with httpx.Client() as stranger, pytest.raises(httpx.ConnectError):
        stranger.get(client.server.url)


def test_a_server_without_tls_is_there_for_benchmarks(districts: Districts):
    with serve_oneroster(districts.of_1_1[0], tls=False) as server:
        assert server.url.startswith("http://")
        with PlainClient(server) as asking:
            asking.take_token()
            assert asking.listed("orgs")
        assert [seen.status for seen in server.requests] == [200, 200]


def test_metadata_columns_become_a_metadata_object(tmp_path: Path):
    (tmp_path / "orgs.csv").write_text(
        "sourcedId,status,dateLastModified,name,type,identifier,parentSourcedId,metadata.color\n"
        "1,,,One,district,,,red\n2,,,Two,school,,1,\n"
    )
    with serve_oneroster(tmp_path) as server, PlainClient(server) as asking:
        asking.take_token()
        first, second = asking.listed("orgs")
        assert first["metadata"] == {"color": "red"}
        assert [child["sourcedId"] for child in first["children"]] == ["2"]
        assert "metadata" not in second
        assert second["parent"]["sourcedId"] == "1"
        assert json.loads(asking.ask("users").text) == {"users": []}
