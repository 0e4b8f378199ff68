"""The description of the service: OpenAPI's parts of each address, and the page for people.

Belongs here: schemas, examples and responses, from the same declarations by which requests are
checked and answered. Does not belong here: checking and answering (``service``).

The page is made of the OpenAPI document and needs nothing from another host: it is often read where
the internet cannot be reached, and a stranger's script would run beside the service.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

from fastapi.security import OAuth2
from jinja2 import Environment, StrictUndefined
from pydantic import BaseModel, Field

from ccgi_pipeline.http_service import refusals as http_refusals
from ccgi_pipeline.http_service.refusals import Refusal
from ccgi_pipeline.ssid_lookup import refusals
from ccgi_pipeline.ssid_lookup.client_registry import SCOPES
from ccgi_pipeline.ssid_lookup.contract import (
    LOOKUP_FIELDS,
    NO_STUDENT_FOUND,
    ContractField,
    FieldProblem,
    InvalidRequestError,
    ProblemCode,
    build_example,
    build_invalid_request_answer,
    build_json_schema,
)

_FORM = "application/x-www-form-urlencoded"
_JSON = "application/json"


class FieldFault(BaseModel):
    """A field that does not meet the contract."""

    field: str | None = Field(description="The field; null if the fault is of none of them")
    problem: ProblemCode
    message: str


class ErrorAnswer(BaseModel):
    """The body of every response with a status of 400 or above."""

    error: str = Field(description="A code that stays the same")
    message: str = Field(description="What is wrong, for a person")
    fields: list[FieldFault] | None = Field(default=None, description="With 422 only")
    error_description: str | None = Field(
        default=None, description="The message once more, at the token endpoint (RFC 6749)"
    )


class TokenAnswer(BaseModel):
    """A bearer token (RFC 6749, section 5.1)."""

    access_token: str
    token_type: str
    expires_in: int = Field(description="Seconds")
    scope: str


def build_security(token_path: str) -> OAuth2:
    """Returns the declaration of the service's OAuth 2.0."""
    scopes = {str(scope): meaning for scope, meaning in SCOPES.items()}
    flow = {"clientCredentials": {"tokenUrl": token_path, "scopes": scopes}}
    return OAuth2(flows=flow, auto_error=False)


TOKEN_BODY = {
    "required": True,
    "content": {
        _FORM: {
            "schema": {
                "type": "object",
                "required": ["grant_type"],
                "properties": {
                    "grant_type": {"type": "string", "const": "client_credentials"},
                    "scope": {
                        "type": "string",
                        "description": "All scopes of the client if it is left out",
                    },
                    "client_id": {
                        "type": "string",
                        "description": "With client_secret, in place of HTTP Basic",
                    },
                    "client_secret": {"type": "string", "format": "password"},
                },
            },
            "example": {"grant_type": "client_credentials", "scope": "ssid:lookup"},
        }
    },
}

TOKEN_EXAMPLE = {
    "access_token": "q8B4...",
    "token_type": "Bearer",
    "expires_in": 600,
    "scope": "ssid:lookup",
}


def describe_body(fields: Sequence[ContractField]) -> dict[str, Any]:
    """Returns the description of a JSON request."""
    described = {"schema": build_json_schema(fields), "example": build_example(fields)}
    return {"required": True, "content": {_JSON: described}}


def describe_fields(meaning: str, fields: Sequence[ContractField]) -> dict[str, Any]:
    """Returns the description of a successful JSON response."""
    described = {"schema": build_json_schema(fields), "example": build_example(fields)}
    return {"description": meaning, "content": {_JSON: described}}


def describe_example(meaning: str, example: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the description of a successful response that an example shows."""
    types = {str: "string", int: "integer"}
    schema = {
        "type": "object",
        "properties": {name: {"type": types[type(value)]} for name, value in example.items()},
        "required": list(example),
    }
    return {"description": meaning, "content": {_JSON: {"schema": schema, "example": example}}}


_NO_STUDENT = Refusal(400, NO_STUDENT_FOUND["error"], NO_STUDENT_FOUND["message"])
_BAD_FIELDS = Refusal(422, "invalid_request", InvalidRequestError(()).message)
_ANYWHERE = (
    http_refusals.NO_HTTP,
    refusals.INCOMPLETE,
    http_refusals.TOO_SLOW,
    http_refusals.TOO_LARGE,
    refusals.SERVER_ERROR,
)
_MALFORMED_TOKEN = Refusal(400, "invalid_request", "The Authorization header is malformed.")
_WITH_TOKEN = (
    _MALFORMED_TOKEN,
    refusals.NO_TOKEN,
    refusals.INVALID_TOKEN,
    refusals.WRONG_SCOPE,
    refusals.NOT_JSON,
    _BAD_FIELDS,
    refusals.LIMIT_REACHED,
    *_ANYWHERE,
)
TOKEN_REFUSALS = (*refusals.OAUTH_REFUSALS, refusals.TOO_MANY_FAILURES, *_ANYWHERE)
LOOKUP_REFUSALS = (_NO_STUDENT, *_WITH_TOKEN, refusals.NO_IDENTITIES)
VERIFICATION_REFUSALS = _WITH_TOKEN
"""What each address may answer in place of what was asked for."""


def describe_refusals(refused: Sequence[Refusal]) -> dict[int | str, dict[str, Any]]:
    """Returns the descriptions of errors by status, each with its examples."""
    described: dict[int | str, dict[str, Any]] = {}
    for refusal in refused:
        entry = described.setdefault(
            refusal.status,
            {"model": ErrorAnswer, "description": "", "content": {_JSON: {"examples": {}}}},
        )
        before = f"{entry['description']}; " if entry["description"] else ""
        entry["description"] = before + refusal.message.rstrip(".")
        entry["content"][_JSON]["examples"][refusal.error] = {"value": _build_body(refusal)}
    return described


def _build_body(refusal: Refusal) -> Mapping[str, Any]:
    if refusal is _BAD_FIELDS:
        birth_date = next(spec for spec in LOOKUP_FIELDS if spec.is_date)
        message = f"write it as {birth_date.form}"
        problem = FieldProblem(birth_date.name, ProblemCode.FORMAT, message)
        return build_invalid_request_answer(InvalidRequestError([problem]))
    if refusal in refusals.OAUTH_REFUSALS:
        return {**refusal.body, "error_description": refusal.message}
    return refusal.body


# --- the page -------------------------------------------------------------------------------------


def render_page(document: Mapping[str, Any]) -> tuple[str, Mapping[str, str]]:
    """Returns the page for people and its headers, from the OpenAPI document."""
    room = files("ccgi_pipeline.ssid_lookup")
    style = room.joinpath("page.css").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    environment = Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined
    )
    environment.policies["json.dumps_kwargs"] = {"indent": 2}
    template = environment.from_string(room.joinpath("page.html.jinja").read_text(encoding="utf-8"))
    page = template.render(document=document, operations=_list_operations(document), style=style)
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; frame-ancestors 'none'"
    return page, {"Content-Security-Policy": policy}


def _list_operations(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Returns what the page shows of each address."""
    return [
        {
            "method": method.upper(),
            "path": path,
            "summary": operation["summary"],
            "scopes": [
                scope
                for alternative in operation.get("security", ())
                for scopes in alternative.values()
                for scope in scopes
            ],
            "request": _show_content(operation.get("requestBody", {})),
            "responses": [
                {
                    "status": status,
                    "meaning": response["description"],
                    "examples": _show_content(response)["examples"],
                }
                for status, response in operation["responses"].items()
            ],
        }
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]


def _show_content(described: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the form, the fields and the examples of a request or a response."""
    for form, content in described.get("content", {}).items():
        schema = content.get("schema", {})
        required = schema.get("required", ())
        examples = [example["value"] for example in content.get("examples", {}).values()]
        return {
            "form": form,
            "fields": [
                {
                    "name": name,
                    "required": name in required,
                    "length": spec.get("maxLength", ""),
                    "description": spec.get("description") or spec.get("const", ""),
                }
                for name, spec in schema.get("properties", {}).items()
            ],
            "examples": examples or [content["example"]],
        }
    return {"form": "", "fields": [], "examples": []}
