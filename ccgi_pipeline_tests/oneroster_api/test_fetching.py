"""One collection from a server that is a function: what is asked, and when it is asked again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import pytest

from ccgi_pipeline.oneroster_api.authorization import OneRosterApiRefusedError
from ccgi_pipeline.oneroster_api.client import OneRosterClient, PageAnswer, QueryRefused
from ccgi_pipeline.oneroster_api.collections import build_collection
from ccgi_pipeline.oneroster_api.fetching import CollectionTerms, fetch_collection
from ccgi_pipeline.oneroster_api.state import CollectionResult


class Server:
    """Has organizations of some ids; ``changes`` say after which request there are others."""

    def __init__(self, ids: str, changes: Mapping[int, str] | None = None) -> None:
        self.ids, self.changes = ids, changes or {}
        self.asked: list[tuple[int, int, Mapping[str, str]]] = []
        self.sorts = self.tells_total = True

    def get_page(
        self, collection: str, offset: int, limit: int, query: Mapping[str, str]
    ) -> PageAnswer:
        if "sort" in query and not self.sorts:
            msg = "no order"
            raise QueryRefused(msg)
        self.asked.append((offset, limit, query))
        records: list[dict[str, Any]] = [
            {"sourcedId": own, "status": "active", "name": own.upper(), "type": "school"}
            for own in sorted(self.ids)
        ]
        total = len(records) if self.tells_total else None
        body = json.dumps({collection: records[offset : offset + limit]}).encode()
        self.ids = self.changes.get(len(self.asked), self.ids)
        return PageAnswer(body, limit, total, None)


def fetched(server: Server, folder: Path, **terms: Any) -> CollectionResult:  # noqa: ANN401
    terms = {"page_size": 3, **terms}
    asked = CollectionTerms(build_collection("orgs", "1.1"), **terms)
    return fetch_collection(
        cast("OneRosterClient", server), asked, folder, lambda _name, _place, _body: None
    )


def lines(folder: Path) -> list[str]:
    return [line.split(",")[0] for line in (folder / "orgs.csv").read_text().splitlines()[1:]]


@pytest.mark.parametrize("tells_total", [True, False])
def test_each_page_begins_with_the_last_record_of_the_one_before(
    tmp_path: Path, *, tells_total: bool
) -> None:
    server = Server("abcdefg")
    server.tells_total = tells_total
    result = fetched(server, tmp_path)
    assert (result.records, result.tries) == (7, 1)
    assert [offset for offset, _, _ in server.asked] == [0, 2, 4, 6, 0]
    assert lines(tmp_path) == [*"abcdefg"]


@pytest.mark.parametrize("changed", ["xabcde", "abcdex", "bcde", "axcde"])
def test_a_change_after_the_last_page_is_seen_by_the_second_look(
    tmp_path: Path, changed: str
) -> None:
    # Requests: 0, 2, 4 (the end); the change; then the second look.
    result = fetched(Server("abcde", {3: changed}), tmp_path)
    assert result.tries == 2
    assert lines(tmp_path) == sorted(changed)


def test_a_record_that_leaves_while_another_comes_is_seen_though_the_total_stays(
    tmp_path: Path,
) -> None:
    result = fetched(Server("abcdefg", {2: "acdefgh"}), tmp_path)
    assert result.tries == 2
    assert lines(tmp_path) == [*"acdefgh"]


def test_a_collection_that_changes_each_time_is_refused_after_some_tries(tmp_path: Path) -> None:
    changes = {n: "abcdef"[: 4 + n % 2] for n in range(1, 40)}
    with pytest.raises(OneRosterApiRefusedError, match="did not come whole in 4 tries: the total"):
        fetched(Server("abcde", changes), tmp_path, tries=4)


def test_a_server_that_cannot_sort_is_asked_without_an_order(tmp_path: Path) -> None:
    server = Server("abc")
    server.sorts = False
    result = fetched(server, tmp_path)
    assert result.note == "the server cannot sort"
    assert lines(tmp_path) == [*"abc"]


def test_an_empty_collection_leaves_no_file(tmp_path: Path) -> None:
    assert fetched(Server(""), tmp_path).files == {}
    assert [*tmp_path.iterdir()] == []


def test_fields_are_named_where_the_profile_says_so(tmp_path: Path) -> None:
    server = Server("ab")
    fetched(server, tmp_path, fields=True)
    assert server.asked[0][2]["fields"] == (
        "sourcedId,status,dateLastModified,name,type,identifier,parent"
    )
