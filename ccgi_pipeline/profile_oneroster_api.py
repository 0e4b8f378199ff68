"""The settings of districts whose roster is fetched by the OneRoster API.

Belongs here: the table ``oneroster_api`` of a district's profile, with its defaults. Does not
belong here: fetching (``oneroster_api``), and secrets: the table only names where they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, Self, get_args
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from ccgi_pipeline.profile_tables import SettingsTable, Texts

ApiVersion = Literal["1.1", "1.2", "found_out"]
ApiAuthentication = Literal["oauth2_basic", "oauth2_body", "oauth1"]
OAuth1Signature = Literal["HMAC-SHA256", "HMAC-SHA1"]
FetchMode = Literal["full", "delta"]
CollectionName = Literal[
    "academicSessions", "orgs", "courses", "classes", "users", "enrollments",
]  # fmt: skip
COLLECTION_NAMES: tuple[CollectionName, ...] = get_args(CollectionName)
"""The collections of a roster, in the order in which they refer to each other."""


def _checked_address(address: str) -> str:
    try:
        parts = urlsplit(address)
        good = parts.scheme == "https" and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if not good or parts.username or parts.password or parts.fragment:
        msg = (
            "must be an address that begins with https://, without a name, a password or a #; "
            "found another text"
        )
        raise ValueError(msg)
    return address


def _checked_server(address: str) -> str:
    if urlsplit(_checked_address(address)).query:
        msg = "must be the address below which /users and so on are, without a question mark"
        raise ValueError(msg)
    return address.rstrip("/")


def _checked_variable(name: str) -> str:
    if not name.isidentifier() or not name.isascii():
        msg = "must be the name of a variable of the environment; found another text"
        raise ValueError(msg)
    return name


def find_shared_clients(tables: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Yields the faults of districts that fetch as one client: both would get one roster.

    ``tables``: the table ``oneroster_api`` of each district. They need not be valid.
    """
    owners: dict[tuple[str, str], str] = {}
    for cd, table in tables.items():
        server, client = table.get("server"), table.get("client_id")
        if isinstance(server, str) and isinstance(client, str):
            other = owners.setdefault((server.casefold().rstrip("/"), client), cd)
            if other != cd:
                yield (
                    f"districts.{cd}.oneroster_api has the server and the client_id of district "
                    f"{other}: both would get the roster of one of them. Correct one of the two"
                )


Hours = Annotated[int, Field(ge=1)]


class OneRosterApiProfile(SettingsTable):
    """The OneRoster API of one district's student information system (docs/oneroster-api.md)."""

    server: Annotated[str, AfterValidator(_checked_server)] | None = None
    """The whole address below which the collections are, as the vendor gives it, such as
    "https://sis.example.org/ims/oneroster/rostering/v1p2". Without it nothing is fetched."""
    version: ApiVersion = "found_out"
    """The version of OneRoster that the server speaks. "found_out" tells it from the answers."""
    authentication: ApiAuthentication = "oauth2_basic"
    """How the client proves itself: by OAuth 2.0 with the secret in a header (oauth2_basic) or in
    the form (oauth2_body), or by OAuth 1.0a signatures (oauth1)."""
    token_url: Annotated[str, AfterValidator(_checked_address)] | None = None
    """The address that gives tokens. OAuth 2.0 needs it; it cannot be derived from server."""
    scope: str | None = None
    """The scopes to ask for, with blanks between them. By default those of the version that are
    needed; "" asks for none."""
    signature: OAuth1Signature = "HMAC-SHA256"
    """The signature of OAuth 1.0a."""
    client_id: str | None = None
    """The client id (the consumer key of OAuth 1.0a)."""
    secret_variable: Annotated[str, AfterValidator(_checked_variable)] | None = None
    """The variable of the environment that holds the secret (or, with _FILE at its end, the path
    of a file that does)."""
    secret_file: str | None = None
    """The file that holds the secret, instead of a variable."""
    ca_file: str | None = None
    """A PEM file with the private authority that signed the server's certificate."""
    collections: Annotated[tuple[CollectionName, ...], Field(strict=False, min_length=1)] = (
        COLLECTION_NAMES
    )
    """The collections that are fetched."""
    demographics: Texts = ()
    """The columns of demographics that are read, such as "birthDate". By default the collection is
    not even asked for."""
    user_profiles: bool = False
    """Whether version 1.2's profiles of users are read (never their passwords)."""
    ask_for_fields: bool = False
    """Whether the server is asked to send only the fields that are read. Not every server can."""
    page_size: int = Field(default=5000, ge=2, le=50_000)
    """Records asked for at once. A server may send fewer."""
    every_hours: Hours = 24
    """Hours between fetches, counted from hour."""
    hour: int = Field(default=22, ge=0, le=23)
    """The hour of the day, in California, of the fetches. The night is at two o'clock."""
    late_hours: Hours = 6
    """A fetch that has not succeeded so many hours after its time is overdue."""
    mode: FetchMode = "full"
    """Whether each fetch asks for everything (full), or for changes between full ones (delta)."""
    full_days: int = Field(default=7, ge=1, le=31)
    """Days after which a delta fetch is a full one again."""
    overlap_hours: int = Field(default=48, ge=24)
    """Hours before the newest change known from which a delta fetch asks: many systems rebuild
    their answers nightly, and date changes late."""
    tries: int = Field(default=3, ge=1, le=10)
    """How often a collection is fetched that changes meanwhile, before the fetch is refused."""
    timeout_seconds: int = Field(default=120, ge=1)
    """Seconds without a byte after which a request is given up and sent again."""
    most_megabytes: int = Field(default=4000, ge=1)
    """The most that a fetch may read, in megabytes."""
    most_pages: int = Field(default=50_000, ge=1)
    """The most pages that a fetch may read."""
    most_minutes: int = Field(default=180, ge=1)
    """The longest time that a fetch may take."""

    @model_validator(mode="after")
    def _check_access(self) -> Self:
        if self.server is None:
            return self
        if self.client_id is None:
            msg = "needs client_id, as it has a server"
            raise ValueError(msg)
        if (self.secret_variable is None) == (self.secret_file is None):
            msg = "needs either secret_variable or secret_file, as it has a server"
            raise ValueError(msg)
        if self.authentication != "oauth1" and self.token_url is None:
            msg = "needs token_url, as OAuth 2.0 asks it for tokens"
            raise ValueError(msg)
        return self
