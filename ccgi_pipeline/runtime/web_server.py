"""Dagster's web server with the guard around it, and the project's pages beside it.

Run as a program, with that server's options::

    python -m ccgi_pipeline.runtime.web_server -h 127.0.0.1 -p 3000 -w workspace.yaml

Belongs here: putting the guard around the application. Which requests it refuses is decided in
origin_guard; the pages are in docs_pages.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from dagster_webserver import cli

from ccgi_pipeline.runtime import docs_pages
from ccgi_pipeline.runtime.origin_guard import OriginGuard

if TYPE_CHECKING:
    from starlette.applications import Starlette

HOSTS = "CCGI_UI_HOSTS"
"""Environment variable: names, with commas between, by which the UI is reached through the server
with the login, such as ``ccgi.example.org``."""

_CREATE_APP = "create_app_from_workspace_process_context"
"""The function by whose name Dagster's program makes its application. If a new version renames it,
the UI does not start, and a test fails."""


def main() -> None:
    """Serves the UI as ``dagster-webserver`` does, with the guard around it."""
    create_app = getattr(cli, _CREATE_APP)
    hosts = frozenset(name.strip() for name in os.environ.get(HOSTS, "").split(",")) - {""}

    def create_guarded_app(*args: Any, **kwargs: Any) -> Starlette:  # noqa: ANN401 - Dagster's own
        app: Starlette = create_app(*args, **kwargs)
        app.router.routes.insert(0, docs_pages.build_route())  # Dagster's last route takes any path
        app.add_middleware(OriginGuard, hosts=hosts)
        return app

    setattr(cli, _CREATE_APP, create_guarded_app)
    cli.main()  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    main()
