"""The examples of ``docs/ssid-lookup.md`` do what the page says: each is run as it is printed.

Belongs here: running them against the real service over HTTPS, and comparing what they print.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from ccgi_pipeline.ssid_lookup.store import load_identities
from ccgi_pipeline_tests.docs.pages import PROJECT, Block, blocks_in
from ccgi_pipeline_tests.ssid_lookup.people import frame, identity
from ccgi_pipeline_tests.ssid_lookup.services import Service, registered, running

PAGE = PROJECT / "docs" / "ssid-lookup.md"
LIMIT = 3
"""Look-ups of an hour: as many as the page makes before it shows the limit."""


@pytest.fixture(scope="module")
def sections() -> dict[str, list[Block]]:
    """The blocks of the examples, by the heading that they stand under."""
    text = PAGE.read_text().split("\n## Asking without the client\n")[1].split("\n## ")[0]
    curl, python = text.split("\n### ")[1:]
    student = blocks_in(text.split("\n### ")[0])
    return {"student": student, "curl": blocks_in(curl), "python": blocks_in(python)}


def run(blocks: list[Block], folder: Path, service: Service, client: str) -> str:
    """What the shell blocks print, in one shell, with the variables that the page names."""
    assert service.certificate is not None
    script = "\n".join(["set -eu", *(block.text for block in blocks if block.language == "sh")])
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=folder,
        env={
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "CCGI_LOOKUP_ADDRESS": service.url,
            "CCGI_LOOKUP_CLIENT": client,
            "CCGI_LOOKUP_SECRET": registered(service.folder, client, hourly_limit=LIMIT),
            "CCGI_LOOKUP_CERTIFICATE": f"{service.certificate.certificate}",
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


def without_seconds(text: str) -> str:
    """The text with a sign for the seconds until the end of the hour."""
    return re.sub(r"\b3[56]\d\d\b", "<seconds>", text)


def test_the_examples_print_what_the_page_says(
    sections: dict[str, list[Block]], tmp_path: Path
) -> None:
    load_identities(tmp_path, [frame([identity("9000000001")])])
    [student] = sections["student"]
    (tmp_path / "student.json").write_text(student.text)
    [program] = [block for block in sections["python"] if block.language == "python"]
    (tmp_path / "look_up.py").write_text(program.text)
    with running(tmp_path, tls=True) as service:
        for name in ("curl", "python"):
            printed = run(sections[name], tmp_path, service, name)
            shown = "".join(block.text for block in sections[name] if block.language == "text")
            assert without_seconds(printed) == without_seconds(shown)
        written = service.everything_written()
    assert "Marisol" not in written
