"""Translates errors of SFTP connections into transient or permanent pipeline errors.

Belongs here: which error of paramiko, of the socket or of the server becomes which. A permanent
error must never look like a transient one: a wrong password that looked like "nothing new today"
would be noticed only after weeks. Does not belong here: the error types (errors).

No message repeats the words of a library or a server, because they may quote the name of a file,
which may contain a student's name.
"""

from __future__ import annotations

import socket
from enum import StrEnum

import paramiko  # type: ignore[import-untyped]

from ccgi_pipeline.sftp.errors import (
    SftpError,
    SftpMissingError,
    SftpPermanentError,
    SftpTransientError,
)
from ccgi_pipeline.sftp.protocol import GarbledError, RefusedError, StatusCode


class Operation(StrEnum):
    """An operation on a server, in the words of messages."""

    CONNECTING = "connecting"
    LISTING = "listing files"
    READING = "reading a file"
    WRITING = "writing a file"
    RENAMING = "renaming a file"
    MAKING_FOLDERS = "making a folder"
    REMOVING = "removing a file"
    LOOKING = "looking for a file"


def to_sftp_error(error: Exception, server: str, operation: Operation) -> SftpError:
    """Returns the pipeline error for ``error``, without its message."""
    start = f"{server}, {operation}"
    if isinstance(error, RefusedError):
        return _explain_refusal(error, start, operation)
    if isinstance(error, paramiko.ChannelException):
        return _explain_refused_channel(error, start)
    if type(error) is OSError and error.errno is None:
        error = EOFError()  # paramiko's way to say that the channel is already closed
    for kinds, words in _PERMANENT:
        if isinstance(error, kinds):
            return SftpPermanentError(f"{start}: {words}")
    if isinstance(error, socket.gaierror):
        return _explain_name_resolution(error, start)
    for kinds, words in _TRANSIENT:
        if isinstance(error, kinds):
            return SftpTransientError(f"{start}: {words}")
    # Nothing says that an unexpected error goes away by itself.
    return SftpPermanentError(f"{start}: an unexpected error happened ({type(error).__name__})")


_PERMANENT: tuple[tuple[type[Exception], str], ...] = (
    (
        paramiko.BadAuthenticationType,
        (
            "the server does not take this kind of credential. Ask its operator whether it takes "
            "a key or a password, and set that one"
        ),
    ),
    (
        paramiko.AuthenticationException,
        (
            "the server does not take the credentials. Check the user, and ask its operator "
            "whether the server has our public key and whether the password was changed"
        ),
    ),
    (
        paramiko.IncompatiblePeer,
        (
            "the server and we have no common algorithm. Ask its operator to allow current ones "
            "(we do not use signatures with SHA-1 or ciphers in CBC mode)"
        ),
    ),
    (
        paramiko.MessageOrderError,
        (
            "the messages at the start of the connection came in a wrong order: an attack, or a "
            "server that breaks the protocol. Ask its operator"
        ),
    ),
    (
        GarbledError,
        (
            "the server's answer is not SFTP. Check host and port, and ask its operator whether "
            "the account prints a greeting, which it must not"
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


def _explain_refused_channel(error: paramiko.ChannelException, start: str) -> SftpError:
    """Returns the error for a refused channel: the server is busy, or refuses the account."""
    if error.code == paramiko.common.OPEN_FAILED_RESOURCE_SHORTAGE:
        return SftpTransientError(f"{start}: the server is too busy just now")
    return SftpPermanentError(
        f"{start}: the server does not allow this account an SFTP session. Ask its operator"
    )


def _explain_name_resolution(error: socket.gaierror, start: str) -> SftpError:
    """Returns a permanent error for an unknown name, a transient one for a silent name server."""
    unknown = {socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)}
    if error.errno in unknown:
        return SftpPermanentError(
            f"{start}: there is no host of this name. Check the server's setting"
        )
    return SftpTransientError(f"{start}: the host's address could not be looked up just now")


MISSING = frozenset({StatusCode.NO_SUCH_FILE, StatusCode.NO_SUCH_PATH})
"""Replies about a file or folder that does not exist."""

_NO_ROOM = "the server has no room left, or our quota there is used up. Ask its operator for room"

_REFUSALS: dict[int, str] = {
    StatusCode.PERMISSION_DENIED: (
        "the account may not do this. Ask the server's operator for the permission"
    ),
    StatusCode.WRITE_PROTECTED: "nothing can be written there. Ask the server's operator",
    StatusCode.BAD_MESSAGE: "the server does not take the path. Check the paths that are set",
    StatusCode.UNSUPPORTED: "the server cannot do this at all. Ask its operator",
    StatusCode.ALREADY_EXISTS: (
        "a file or folder of that name is there already. Ask the server's operator"
    ),
    StatusCode.NO_SPACE: _NO_ROOM,
    StatusCode.QUOTA_EXCEEDED: _NO_ROOM,
}
"""Replies that stay the same until somebody acts."""

_WRITING_OPERATIONS = frozenset(
    {Operation.WRITING, Operation.RENAMING, Operation.MAKING_FOLDERS, Operation.REMOVING},
)


def _explain_refusal(error: RefusedError, start: str, operation: Operation) -> SftpError:
    """Returns the error for a refused request.

    Only the code FAILURE is ambiguous. After a write it means a full disk, a quota or a folder in
    the way, which stays until somebody acts. After a read it means a file that its writer has
    locked (on Windows) or a short fault of the disk, so it is tried again.
    """
    if error.no_room:
        return SftpPermanentError(f"{start}: {_NO_ROOM}")
    if error.code in MISSING:
        words = "there is no such file or folder. Check the paths that are set"
        return SftpMissingError(f"{start}: {words}")
    if error.code in _REFUSALS:
        return SftpPermanentError(f"{start}: {_REFUSALS[error.code]}")
    if error.code == StatusCode.FAILURE and operation in _WRITING_OPERATIONS:
        return SftpPermanentError(
            f"{start}: the server says only that it failed. Ask its operator whether the disk or "
            "a quota is full, or something else has that name"
        )
    return SftpTransientError(f"{start}: the server failed (status {error.code})")
