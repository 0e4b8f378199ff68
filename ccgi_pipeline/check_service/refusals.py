"""What the service refuses: status, code and words for the person at the browser.

Belongs here: each refusal once. Does not belong here: what is wrong with a file, which its receipt
says (``verification``), and what is no proper request of any service (``http_service``).
"""

from __future__ import annotations

from ccgi_pipeline.http_service.refusals import Refusal

UNKNOWN_HOST = Refusal(
    421, "unknown_host", "This name of the page is not known: name it in CCGI_CHECK_HOSTS."
)
OTHER_SITE = Refusal(403, "other_site", "Pages of other sites may not send files to this one.")
NOT_FOUND = Refusal(404, "not_found", "There is no such page.")
WRONG_METHOD = Refusal(405, "method_not_allowed", "This page does not accept this HTTP method.")
NO_FORM = Refusal(415, "no_form", "Files are sent as a form: multipart/form-data.")
BROKEN_FORM = Refusal(400, "broken_form", "The form arrived damaged or incomplete: send it again.")
NO_FILE = Refusal(400, "no_file", "No file was chosen: choose one, then check again.")
TOO_MANY_FILES = Refusal(
    413, "too_many_files", "More than 200 files came at once: put them into a zip, or send fewer."
)
NAME = Refusal(
    400,
    "name",
    "A file has a name that cannot be used: give it a name of at most 200 characters.",
)
SAME_NAME = Refusal(
    400, "same_name", "Two of the files have the same name: check them one after the other."
)
TOO_LARGE = Refusal(
    413,
    "too_large",
    "The files are larger than this page takes: zip them, send fewer at once, or use the command "
    "ccgi check on your own computer.",
)
TOO_SLOW = Refusal(408, "too_slow", "The files arrived too slowly: send fewer at once, or a zip.")
FAMILY = Refusal(400, "family", "There is no such kind of files: choose one of the list.")
DATE = Refusal(400, "date", "The day is not a date: write it as YYYY-MM-DD.")
DISTRICT = Refusal(
    400, "district", "The CD code is not one: it has 7 digits, such as 3367173. Or leave it empty."
)
FORMAT = Refusal(400, "format", "The form of the answer is html or json.")
BUSY = Refusal(503, "busy", "Other files are being judged: please try again in a minute.")
NO_ROOM = Refusal(503, "no_room", "The service has no room for the files: try again later.")
OUT_OF_TIME = Refusal(
    422,
    "out_of_time",
    "Judging the files took too long here, so it was ended: send fewer at once, or use the command "
    "ccgi check on your own computer.",
)
OUT_OF_MEMORY = Refusal(
    422,
    "out_of_memory",
    "Judging the files needs more memory than they may use here: send fewer at once, or use the "
    "command ccgi check on your own computer.",
)
LONG_RESULT = Refusal(
    422,
    "long_result",
    "There are more findings than this page can send: use the command ccgi check on your own "
    "computer.",
)
FAULT = Refusal(
    500,
    "fault",
    "The service failed at these files. That is its own fault: please tell who runs it, and do not "
    "send the files by mail.",
)


class RefusedError(Exception):
    """A request that is refused; it has no words of the request."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.error)
        self.refusal = refusal
