"""The command ``lookup``: the SSID Data Lookup, its service, its client and its analysis.

Belongs here: its arguments and what is printed. Secrets come from the environment, never from an
argument: what is typed stays in the shell's history.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from datetime import date
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ccgi_pipeline.cli.common import (
    EXAMPLE,
    FOLDER,
    date_option,
    echo,
    print_table,
    progress_bars,
    today,
    warehouse_option,
)
from ccgi_pipeline.operations.audit_log import Act, recorded_act

if TYPE_CHECKING:
    from ccgi_pipeline.operations.ssid_files import RefusedLines

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_store = click.option(
    "--store",
    type=FOLDER,
    default=Path("data/lookup"),
    show_default=True,
    help="The folder of the look-up: its index, clients and logs.",
)


@click.group()
def lookup() -> None:
    """Serves, asks and analyses the SSID Data Lookup."""


@lookup.command(
    "generate", epilog=EXAMPLE.format("ccgi lookup generate --out data/state --identities 100000")
)
@click.option("--out", type=FOLDER, required=True, help="Where the two files go.")
@click.option("--identities", "count", default=100_000, show_default=True, help="Students.")
@click.option("--applications", default=1_000, show_default=True)
@click.option("--seed", default=1, show_default=True)
def generate_(out: Path, count: int, applications: int, seed: int) -> None:
    """Writes synthetic identities, and applications about some of them."""
    from ccgi_pipeline.synthetic.identities.files import write_state

    with progress_bars():
        for path, lines in write_state(out, count, applications, seed):
            echo(f"{path}: {lines:,} lines")


@lookup.command("load", epilog=EXAMPLE.format("ccgi lookup load data/state/calpads_identity.csv"))
@click.argument("paths", nargs=-1, required=True, type=_FILE)
@_store
@date_option
def load(paths: Sequence[Path], store: Path, on: date | None) -> None:
    """Replaces all identities; the service uses the old ones until the new ones are complete."""
    from ccgi_pipeline.operations.ssid_files import load_identity_files

    store.mkdir(parents=True, exist_ok=True)
    with progress_bars(), recorded_act(store, Act.IDENTITIES_LOADED, {"files": len(paths)}):
        made, refused = load_identity_files(store, paths, on or today())
    echo(f"{made.lines:,} lines, {made.keys:,} keys, {made.seconds:.1f} s")
    _print_refused(refused)


def _print_refused(refused: RefusedLines) -> None:
    """Prints the lines that were not loaded, by rule."""
    from ccgi_pipeline.feeds.registry import RULES

    if refused.lines:
        echo(f"{refused.lines:,} lines were not loaded:")
        print_table(
            ("rule", "lines", "what is wrong"),
            [(rule, count, RULES[rule].text) for rule, count in refused.rules.most_common()],
        )


# --- clients and service --------------------------------------------------------------------------


@lookup.group()
def client() -> None:
    """Manages the clients of the service."""


@client.command("add", epilog=EXAMPLE.format("ccgi lookup client add cccapply"))
@click.argument("client_id")
@click.option("--hourly-limit", type=int, help="Requests in any hour [5,000].")
@click.option(
    "--verify-only", is_flag=True, help="The client may verify enrollments, but look up no student."
)
@_store
def add(client_id: str, hourly_limit: int | None, store: Path, *, verify_only: bool) -> None:
    """Registers a client and prints its secret, once."""
    from ccgi_pipeline.ssid_lookup.client_registry import ClientRegistry, ClientScope

    store.mkdir(parents=True, exist_ok=True)
    scopes = [ClientScope.VERIFY] if verify_only else [ClientScope.LOOKUP, ClientScope.VERIFY]
    try:
        with recorded_act(store, Act.CLIENT_ADDED, {"client": client_id}):
            secret = ClientRegistry(store).register(client_id, scopes, hourly_limit)
    except ValueError as wrong:
        raise click.ClickException(str(wrong)) from None
    echo(secret)


@client.command("rotate", epilog=EXAMPLE.format("ccgi lookup client rotate cccapply"))
@click.argument("client_id")
@_store
def rotate(client_id: str, store: Path) -> None:
    """Makes a new secret. The old one, and every token, ends at once."""
    from ccgi_pipeline.ssid_lookup.client_registry import ClientRegistry

    try:
        about = {"client": client_id, "change": "new secret"}
        with recorded_act(store, Act.CLIENT_CHANGED, about):
            echo(ClientRegistry(store).rotate_secret(client_id))
    except (ValueError, KeyError) as wrong:
        raise click.ClickException(str(wrong)) from None


@client.command("disable", epilog=EXAMPLE.format("ccgi lookup client disable cccapply"))
@click.argument("client_id")
@_store
def disable(client_id: str, store: Path) -> None:
    """Disables a client and all its tokens at once."""
    from ccgi_pipeline.ssid_lookup.client_registry import ClientRegistry

    try:
        with recorded_act(store, Act.CLIENT_CHANGED, {"client": client_id, "change": "disabled"}):
            ClientRegistry(store).disable(client_id)
    except (ValueError, KeyError) as wrong:
        raise click.ClickException(str(wrong)) from None
    echo(f"{client_id} is disabled")


@client.command("list", epilog=EXAMPLE.format("ccgi lookup client list"))
@_store
def list_(store: Path) -> None:
    """Shows the clients."""
    from ccgi_pipeline.ssid_lookup.client_registry import ClientRegistry

    rows = [
        (
            known.client_id,
            " ".join(sorted(known.scopes)),
            known.hourly_limit or "usual",
            "enabled" if known.enabled else "disabled",
        )
        for known in ClientRegistry(store).list_clients()
    ]
    print_table(("client", "scopes", "requests an hour", "state"), rows)


@lookup.command(epilog=EXAMPLE.format("ccgi lookup serve --self-signed --port 8443"))
@_store
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=8443, show_default=True)
@click.option("--certificate", type=_FILE, help="The certificate (PEM).")
@click.option("--key", type=_FILE, help="The certificate's key (PEM).")
@click.option("--self-signed", is_flag=True, help="Make a certificate for a trial.")
@click.option("--plain-http", is_flag=True, help="Serve without TLS, on loopback only.")
@click.option("--workers", default=1, show_default=True)
@click.option(
    "--hourly-limit",
    default=5000,
    show_default=True,
    help="The limit of clients without their own.",
)
@click.option(
    "--connections",
    default=500,
    show_default=True,
    type=click.IntRange(1),
    help="Connections at once, for each worker.",
)
@click.option(
    "--connections-per-address",
    "per_address",
    default=100,
    show_default=True,
    type=click.IntRange(0),
    help="Of them, from one address; 0 behind a proxy: all come from its address.",
)
def serve(  # noqa: PLR0913, PLR0917 - one for each option
    store: Path,
    host: str,
    port: int,
    certificate: Path | None,
    key: Path | None,
    self_signed: bool,  # noqa: FBT001 - click passes by name
    plain_http: bool,  # noqa: FBT001
    workers: int,
    hourly_limit: int,
    connections: int,
    per_address: int,
) -> None:
    """Serves look-ups and verifications over HTTPS until it is stopped.

    The page /docs of the service describes them.
    """
    from ccgi_pipeline.http_service.connections import ConnectionLimits, reserve_files
    from ccgi_pipeline.ssid_lookup import server
    from ccgi_pipeline.ssid_lookup.service import ServiceSettings

    store.mkdir(parents=True, exist_ok=True)
    shown = server.TlsFiles(certificate, key) if certificate and key else None
    if self_signed and shown is None:
        shown = server.make_self_signed(store)
    limits = reserve_files(ConnectionLimits(connections, per_address))
    if limits.connections < connections:
        echo(f"the system's limit of open files allows {limits.connections} connections", err=True)
    echo(f"serving on http{'s' if shown else ''}://{host}:{port}", err=True)
    server.serve(
        ServiceSettings(store, hourly_limit=hourly_limit),
        host,
        port,
        certificate=shown,
        plain_http=plain_http,
        workers=workers,
        limits=limits,
    )


@lookup.group(invoke_without_command=True, epilog=EXAMPLE.format("ccgi lookup enrollments"))
@_store
@click.pass_context
def enrollments(context: click.Context, store: Path) -> None:
    """Counts the verified enrollments by college, term and status; or sends some.

    Without a command: those that the service in the folder --store has received.
    """
    if context.invoked_subcommand is None:
        _print_enrollments(store)


def _print_enrollments(store: Path) -> None:
    from ccgi_pipeline.ssid_lookup.enrollments import EnrollmentStore

    rows = [
        (counted.college, counted.term, str(counted.status), counted.students, counted.looked_up)
        for counted in EnrollmentStore(store).count_by_status()
    ]
    print_table(("college", "term", "status", "students", "looked up before"), rows)


@enrollments.command(
    "send",
    epilog=EXAMPLE.format(
        "CCGI_LOOKUP_ADDRESS=https://127.0.0.1:8443 CCGI_LOOKUP_CLIENT=cccapply "
        "CCGI_LOOKUP_SECRET=... ccgi lookup enrollments send enrollments.csv"
    ),
)
@click.argument("file", type=_FILE)
@click.option(
    "--backlog",
    type=FOLDER,
    default=Path("data/lookups"),
    show_default=True,
    help="The folder that remembers what was sent.",
)
@click.option(
    "--refused",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The file for lines that are refused, CSV [<backlog>/refused_enrollments.csv].",
)
@click.option("--wait", is_flag=True, help="Wait for the next hours' budget until all are sent.")
@click.option("--again", is_flag=True, help="Send also what was sent before.")
def send(file: Path, backlog: Path, refused: Path | None, *, wait: bool, again: bool) -> None:
    """Sends verifications of enrollment to the service; resumes where it was stopped.

    The file is a CSV with the columns CCCID, SSID, College, Term, Status (enrolled, not_enrolled or
    withdrawn) and Date (YYYY-MM-DD, from which the status holds). Sending it twice is sending it
    once. Exit status 1: lines were refused or wait.

    The service is named as for `ccgi lookup match`. Its client needs the scope enrollment:verify.
    """
    from ccgi_pipeline.operations import ssid_files
    from ccgi_pipeline.ssid_lookup.batch import Remaining

    place = refused or backlog / "refused_enrollments.csv"
    with progress_bars(), recorded_act(backlog, Act.ENROLLMENTS_SENT, {"of": "a file"}):
        told = ssid_files.send_enrollment_file(file, backlog, place, wait=wait, again=again)
    counts = {
        **{_WORDS_OF_FATES[str(fate or "stored")]: count for fate, count in told.sent.items()},
        "sent by an earlier run, and there since": told.already_sent,
        "a later line is about the same enrollment": told.superseded,
        "refused": told.refused.height,
        "waiting": told.waiting,
    }
    print_table(
        ("enrollments", "lines"), [(what, count) for what, count in counts.items() if count]
    )
    if told.refused.height:
        echo(f"refused lines, with the reasons: {place} (SSIDs: restricted)")
    if told.waiting and told.left is Remaining.SERVICE_UNAVAILABLE:
        echo("the service did not answer: send the file again later")
    elif told.waiting:
        minutes = ceil(told.seconds_left / 60)
        echo(f"{told.waiting:,} wait; at this limit about {minutes:,} more minutes")
    sys.exit(1 if told.waiting or told.refused.height else os.EX_OK)


_WORDS_OF_FATES = {
    "inserted": "new at the service",
    "updated": "changed at the service",
    "unchanged": "already there",
    "stored": "stored",
}


# --- asking ---------------------------------------------------------------------------------------


@lookup.command(
    epilog=EXAMPLE.format(
        "CCGI_LOOKUP_ADDRESS=https://127.0.0.1:8443 CCGI_LOOKUP_CLIENT=cccapply "
        "CCGI_LOOKUP_SECRET=... ccgi lookup match applications.csv"
    )
)
@click.argument("file", type=_FILE)
@click.option(
    "--backlog",
    type=FOLDER,
    default=Path("data/lookups"),
    show_default=True,
    help="The folder with applications and answers.",
)
@click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), help="The file for the answers, CSV."
)
@click.option(
    "--wait", is_flag=True, help="Wait for the next hours' budget until all are answered."
)
@date_option
def match(file: Path, backlog: Path, out: Path | None, on: date | None, *, wait: bool) -> None:
    """Looks up the SSIDs of applications that have none; resumes where it was stopped.

    The service is named by CCGI_LOOKUP_ADDRESS, CCGI_LOOKUP_CLIENT and CCGI_LOOKUP_SECRET, and
    CCGI_LOOKUP_CERTIFICATE where its certificate is of its own making.
    """
    from polars import selectors

    from ccgi_pipeline.common.spreadsheet_cells import sanitize_cells
    from ccgi_pipeline.operations import ssid_files

    about = {"of": "the applications of a file"}
    with progress_bars(), recorded_act(backlog, Act.LOOKED_UP, about):
        told = ssid_files.match_file(file, backlog, on or today(), wait=wait)
    print_table(("answer", "applications"), sorted(told.counts.items()))
    _print_refused(told.refused)
    if told.waiting:
        echo(f"{told.waiting:,} wait; at this limit about {told.eta_minutes:,} more minutes")
    if out is not None:
        out.touch(mode=0o600)
        texts = told.answers.select(selectors.string()).columns
        sanitize_cells(told.answers, texts).write_csv(out)
        echo(f"answers: {out} (SSIDs: restricted)")
    sys.exit(os.EX_OK if not told.waiting else 1)


@lookup.command("shared-cccids", epilog=EXAMPLE.format("ccgi lookup shared-cccids"))
@warehouse_option()
def shared_cccids(warehouse: Path) -> None:
    """Shows where applications of two students stand that have one CCCID.

    Each case is a CCCID; students are numbered within it, 0 has no SSID yet. No value is printed.
    """
    from ccgi_pipeline.warehouse.queries.applications import read_shared_cccids
    from ccgi_pipeline.warehouse.storage.connection import open_warehouse

    with open_warehouse(warehouse, read_only=True) as connection:
        found = read_shared_cccids(connection)
    if found.is_empty():
        echo("Every CCCID is one student's.")
        return
    print_table(
        ("case", "student", "night", "drop", "line"),
        [
            (case, student, f"{night:%Y-%m-%d}" if night else "", drop[:12], line)
            for case, student, night, drop, line in found.iter_rows()
        ],
    )


# --- analysis -------------------------------------------------------------------------------------


@lookup.command(epilog=EXAMPLE.format("ccgi lookup uniqueness calpads_identity.csv"))
@click.argument("paths", nargs=-1, required=True, type=_FILE)
@click.option(
    "--key", "keys", multiple=True, help="The name of a key [name_and_birth, initial_and_birth]."
)
@click.option("--format", "form", type=click.Choice(["text", "csv", "svg"]), default="text")
@date_option
def uniqueness(paths: Sequence[Path], keys: Sequence[str], form: str, on: date | None) -> None:
    """Counts the students that share a key with others: CDE's table, for any key."""
    from ccgi_pipeline.operations import ssid_files
    from ccgi_pipeline.ssid_lookup.research import uniqueness as analysis

    wanted = keys or ("name_and_birth", "initial_and_birth")
    unknown = [key for key in wanted if key not in analysis.KEYS]
    if unknown:
        msg = f"there is no key {unknown[0]}; there are {', '.join(analysis.KEYS)}"
        raise click.ClickException(msg)
    with progress_bars():
        tables = ssid_files.measure_uniqueness(paths, wanted, on or today())
    for name, table in tables.items():
        if form == "csv":
            echo(analysis.format_csv(table), nl=False)
        elif form == "svg":
            echo(analysis.draw_svg(table, name), nl=False)
        else:
            alone = analysis.percent_unique(table)
            echo(f"\n{name}: {alone:.3f} % of the students share it with nobody")
            echo(analysis.format_text(table), nl=False)


@lookup.command("rules", epilog=EXAMPLE.format("ccgi lookup rules --identities 200000"))
@click.option(
    "--identities", "count", default=200_000, show_default=True, help="Synthetic students."
)
@click.option("--applications", default=20_000, show_default=True)
@click.option("--seed", default=1, show_default=True)
@click.option("--probabilistic", is_flag=True, help="Compare with Splink, too; this is slow.")
def rules_(count: int, applications: int, seed: int, *, probabilistic: bool) -> None:
    """Compares wider matching rules: matches found and wrong ones, on synthetic errors."""
    from ccgi_pipeline.operations import ssid_files

    table = ssid_files.compare_matching_rules(
        count, applications, seed, probabilistic=probabilistic
    )
    print_table(table.columns, [tuple(_cell(cell) for cell in row) for row in table.iter_rows()])


def _cell(cell: object) -> str:
    return (
        f"{cell:,.3f}"
        if isinstance(cell, float)
        else f"{cell:,}"
        if isinstance(cell, int)
        else str(cell)
    )
