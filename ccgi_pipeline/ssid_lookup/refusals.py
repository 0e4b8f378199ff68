"""The errors that the service answers: status, code and words, all of one form.

Belongs here: each error once, for the handlers and for the description (``openapi``). Does not
belong here: what is no proper request of any service (``http_service.refusals``), and what is wrong
with single fields (``contract``).

The form is ``{"error": code, "message": words}``. A look-up with bad fields has ``fields`` beside
them, and the token endpoint repeats the words as ``error_description`` (RFC 6749, section 5.2).
"""

from __future__ import annotations

from ccgi_pipeline.http_service.refusals import Refusal

INCOMPLETE = Refusal(400, "incomplete", "The body is incomplete.")
NO_TOKEN = Refusal(401, "unauthorized", "A bearer token is needed.")
INVALID_TOKEN = Refusal(401, "invalid_token", "The token has ended, was revoked or is unknown.")
WRONG_SCOPE = Refusal(403, "insufficient_scope", "The token does not allow this request.")
NOT_FOUND = Refusal(404, "not_found", "The service has no such address; /docs lists its addresses.")
WRONG_METHOD = Refusal(
    405, "method_not_allowed", "This address does not accept this HTTP method; /docs lists them."
)
NOT_JSON = Refusal(415, "unsupported_media_type", "The body must be application/json.")
LIMIT_REACHED = Refusal(
    429, "limit_reached", "The hourly limit is reached; Retry-After says how long to wait."
)
TOO_MANY_FAILURES = Refusal(
    429, "too_many_failures", "Too many logins failed; Retry-After says how long to wait."
)
SERVER_ERROR = Refusal(500, "server_error", "An error happened in the service.")
NO_IDENTITIES = Refusal(503, "temporarily_unavailable", "No identities have been loaded yet.")

INVALID_CLIENT = Refusal(401, "invalid_client", "The client id or the secret is wrong.")
OAUTH_REFUSALS = (
    Refusal(400, "invalid_request", "The token request is malformed."),
    INVALID_CLIENT,
    Refusal(400, "unsupported_grant_type", "The grant type must be client_credentials."),
    Refusal(400, "invalid_scope", "The client is not registered for such a scope."),
    Refusal(400, "unauthorized_client", "The client may not use this grant type."),
)
"""The errors of the token endpoint (RFC 6749, section 5.2)."""
