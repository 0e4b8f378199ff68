"""The error types of SFTP connections.

Belongs here: the classes alone. Whoever catches one does not load paramiko, which takes a quarter
of a second. Does not belong here: which error of paramiko or of the server becomes which (faults).
"""

from __future__ import annotations

from ccgi_pipeline.common.errors import PermanentError, TransientError


class SftpTransientError(TransientError):
    """The server or the network fails for now: try again later."""


class SftpPermanentError(PermanentError):
    """The server refuses until somebody acts."""


class SftpMissingError(SftpPermanentError):
    """There is no such file or folder: the path is wrong, or somebody removed the file."""


SftpError = SftpTransientError | SftpPermanentError
