"""What went wrong with a server, as an error of ours.

Belongs here: the two kinds, and which of the many errors of a connection is which. Everything is
caught, and what stays until somebody acts is then told apart: a wrong password that looks like
"nothing new today" would be noticed after weeks (so teamster's engineers found).

No message repeats what a library or a server said: both quote names of files, and those may hold a
pupil's name.
"""

from __future__ import annotations

import socket
from enum import StrEnum

import paramiko  # type: ignore[import-untyped]

from ccgi_pipeline.common.errors import PermanentError, TransientError
from ccgi_pipeline.sftp.protocol import GarbledError, RefusedError, Status


class SftpTransientError(TransientError):
    """The server or the way to it fails for now: try again later."""


class SftpPermanentError(PermanentError):
    """The server refuses, and will until somebody acts."""


class SftpMissingError(SftpPermanentError):
    """There is no such file or folder: a path is wrong, or somebody took it away meanwhile."""


SftpError = SftpTransientError | SftpPermanentError


class Doing(StrEnum):
    """What was being done, as messages say it."""

    CONNECTING = "connecting"
    LISTING = "listing files"
    READING = "reading a file"
    WRITING = "writing a file"
    RENAMING = "renaming a file"
    MAKING_FOLDERS = "making a folder"
    REMOVING = "removing a file"
    LOOKING = "looking for a file"


def fault(error: Exception, server: str, doing: Doing) -> SftpError:
    """``error`` as one of ours, without its words."""
    start = f"{server}, {doing}"
    if isinstance(error, RefusedError):
        return _refusal(error, start, doing)
    if isinstance(error, paramiko.ChannelException):
        return _no_session(error, start)
    if type(error) is OSError and error.errno is None:
        error = EOFError()  # so paramiko says that a channel was closed before this was sent
    for kinds, words in _PERMANENT:
        if isinstance(error, kinds):
            return SftpPermanentError(f"{start}: {words}")
    if isinstance(error, socket.gaierror):
        return _name_resolution(error, start)
    for kinds, words in _TRANSIENT:
        if isinstance(error, kinds):
            return SftpTransientError(f"{start}: {words}")
    # Nobody foresaw it, so nobody knows that it goes away.
    return SftpPermanentError(f"{start}: something unforeseen happened ({type(error).__name__})")


_PERMANENT: tuple[tuple[type[Exception], str], ...] = (
    (
        paramiko.BadAuthenticationType,
        (
            "the server does not take this kind of credential. Ask its operator which it takes "
            "(key or password), and set that one"
        ),
    ),
    (
        paramiko.AuthenticationException,
        (
            "the server does not take the credentials. Look whether its operator has our public "
            "key, or whether the password was changed, and whether the user is right"
        ),
    ),
    (
        paramiko.IncompatiblePeer,
        (
            "the server and we know no common algorithm. Ask its operator for one of today's "
            "(signatures with SHA-1 and ciphers in CBC mode are not used here)"
        ),
    ),
    (
        paramiko.MessageOrderError,
        (
            "somebody changed the order of messages when the connection began, which is an attack, "
            "or a server that breaks the rules. Ask its operator"
        ),
    ),
    (
        GarbledError,
        (
            "the server answers with something that is no SFTP. Look whether host and port are "
            "right; an account that prints a greeting cannot be used either"
        ),
    ),
)

_TRANSIENT: tuple[tuple[type[Exception], str], ...] = (
    (TimeoutError, "the server did not answer in time"),
    (ConnectionRefusedError, "the server does not take connections just now"),
    (EOFError, "the connection broke off"),
    (ConnectionError, "the connection broke off"),
    (OSError, "the server cannot be reached just now"),
    (paramiko.SSHException, "the connection failed"),
)


def _no_session(error: paramiko.ChannelException, start: str) -> SftpError:
    """A server that has too much to do says so; otherwise it does not want to."""
    if error.code == paramiko.common.OPEN_FAILED_RESOURCE_SHORTAGE:
        return SftpTransientError(f"{start}: the server has too much to do just now")
    return SftpPermanentError(
        f"{start}: the server takes no SFTP session of this account. Ask its operator"
    )


def _name_resolution(error: socket.gaierror, start: str) -> SftpError:
    """A name that nobody knows is misspelt or gone; a name server that is silent comes back."""
    unknown = {socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)}
    if error.errno in unknown:
        return SftpPermanentError(
            f"{start}: there is no host of this name. Look at the server's setting"
        )
    return SftpTransientError(f"{start}: the host's address could not be found out just now")


MISSING = frozenset({Status.NO_SUCH_FILE, Status.NO_SUCH_PATH})
"""Answers about what is not there."""

_NO_ROOM = "the server has no room left, or our quota there is used up. Ask its operator for room"

_REFUSALS: dict[int, str] = {
    Status.PERMISSION_DENIED: "the account may not. Ask the server's operator for the right",
    Status.WRITE_PROTECTED: "nothing can be written there. Ask the server's operator",
    Status.BAD_MESSAGE: "the server does not take the path. Look at the paths that are set",
    Status.UNSUPPORTED: "the server cannot do this at all. Ask its operator",
    Status.ALREADY_EXISTS: "something of that name is there already. Ask the server's operator",
    Status.NO_SPACE: _NO_ROOM,
    Status.QUOTA_EXCEEDED: _NO_ROOM,
}
"""Answers that stay as they are until somebody acts."""

_CHANGING = frozenset(
    {Doing.WRITING, Doing.RENAMING, Doing.MAKING_FOLDERS, Doing.REMOVING},
)


def _refusal(error: RefusedError, start: str, doing: Doing) -> SftpError:
    """The one ambiguous answer is "failure": servers give it for all that has no code of its own.

    To a change of theirs that is a full disk, a quota, or a folder in the way: nothing goes away by
    itself, so it is loud. To reading it is a file that its writer has locked (on Windows), or a
    disk that hiccups: the next look may have it.
    """
    if error.no_room:
        return SftpPermanentError(f"{start}: {_NO_ROOM}")
    if error.code in MISSING:
        words = "there is no such file or folder. Look at the paths that are set"
        return SftpMissingError(f"{start}: {words}")
    if error.code in _REFUSALS:
        return SftpPermanentError(f"{start}: {_REFUSALS[error.code]}")
    if error.code == Status.FAILURE and doing in _CHANGING:
        return SftpPermanentError(
            f"{start}: the server says no more than that it failed. Ask its operator whether there "
            "is room, a quota, or something else of that name"
        )
    return SftpTransientError(f"{start}: the server failed (status {error.code})")
