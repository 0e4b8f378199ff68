"""Declares rules of bytes, names and packages, which apply to a file before its feed's rules.

Belongs here: the declaration of the ``FILE-...`` rules, so that reader, receipts and dictionary
use the same ones. The reader (intake) checks them.
"""

from __future__ import annotations

from ccgi_pipeline.feeds.rules import Rule, Severity

SOURCE = "this project: every received line is accounted for"
RFC_4180 = "RFC 4180 (comma-separated values)"


def _rule(id_: str, severity: Severity, text: str, fix: str, source: str = SOURCE) -> Rule:
    return Rule(id=id_, severity=severity, text=text, fix=fix, source=source)


_E, _W, _I = Severity.ERROR, Severity.WARNING, Severity.INFO

UNRECOGNISED = _rule(
    "FILE-UNRECOGNISED",
    _E,
    "Neither the file's name nor its header is one that we know; nothing was loaded.",
    "Give the file one of the names in the data dictionary, and send its header line.",
)
FAULT = _rule(
    "FILE-FAULT",
    _E,
    "The file could not be judged, by a fault of this system; nothing was loaded.",
    "Nothing needs to be changed: the file is kept, and CCGI has been told.",
)
EMPTY = _rule("FILE-EMPTY", _E, "The file is empty.", "Send the file again with its lines.")
HEADER_ONLY = _rule(
    "FILE-HEADER-ONLY",
    _W,
    "The file has a header and no lines; what was known before stays.",
    "If lines are missing, send the file again.",
)
HEADER = _rule(
    "FILE-HEADER",
    _E,
    "Line 1 is not the header of this file; nothing was loaded.",
    "Send the column names in line 1, as the data dictionary lists them.",
)
COLUMN_MISSING = _rule(
    "FILE-COLUMN-MISSING",
    _E,
    "A required column is missing; nothing was loaded.",
    "Add the column to the file.",
)
COLUMN_ABSENT = _rule(
    "FILE-COLUMN-ABSENT",
    _I,
    "A column that is not required is missing; it was read as blank.",
    "Add the column if your system can export it.",
)
COLUMN_UNKNOWN = _rule(
    "FILE-COLUMN-UNKNOWN",
    _I,
    "A column is none of this file's; it was not loaded.",
    "Take the column out, or correct its name.",
)
COLUMN_TWICE = _rule(
    "FILE-COLUMN-TWICE",
    _E,
    "A column appears twice; nothing was loaded.",
    "Send each column once.",
)
ENCODING = _rule(
    "FILE-ENCODING",
    _E,
    "The file is neither UTF-8 nor UTF-16 nor Windows text; nothing was loaded.",
    "Save the file as UTF-8.",
)
WINDOWS_TEXT = _rule(
    "FILE-CP1252",
    _W,
    "The file is Windows text (cp1252), not UTF-8; accented letters were converted.",
    "Save the file as UTF-8.",
)
UTF16 = _rule(
    "FILE-UTF16", _W, "The file is UTF-16, not UTF-8; it was converted.", "Save it as UTF-8."
)
BYTE_ORDER_MARK = _rule(
    "FILE-BOM", _I, "The file begins with a byte order mark.", "Nothing needs to be done."
)
LINE_ENDS = _rule(
    "FILE-LINE-ENDS",
    _I,
    "The file mixes kinds of line ends, or uses bare carriage returns.",
    "End every line the same way.",
)
BLANK_LINES = _rule(
    "FILE-BLANK-LINES",
    _I,
    "The file has blank lines; they hold nothing and were passed over.",
    "Take blank lines out.",
)
NUL = _rule(
    "FILE-NUL",
    _E,
    "The line has a NUL character; it was not loaded.",
    "Export the file again; the line is damaged.",
)
FIELDS = _rule(
    "FILE-FIELDS",
    _E,
    "The line does not have as many cells as the header; it was not loaded.",
    "Check the line for missing or extra separators.",
)
TRUNCATED = _rule(
    "FILE-TRUNCATED",
    _E,
    "The last line breaks off; it was not loaded. The file may be incomplete.",
    "Send the whole file again.",
)
EXTRA_CELLS = _rule(
    "FILE-EXTRA-CELLS",
    _W,
    "The line has extra blank cells at its end; they were dropped.",
    "Take the extra separators out.",
)
QUOTES = _rule(
    "FILE-QUOTES",
    _E,
    "The line's quotation marks do not match; it was not loaded.",
    "Put quotation marks around the whole cell, and double those inside it.",
    RFC_4180,
)
LINE_BREAK = _rule(
    "FILE-LINE-BREAK",
    _W,
    "A cell has a line break in it; a blank was loaded in its place.",
    "Take line breaks out of cells.",
)
REPEATED_HEADER = _rule(
    "FILE-REPEATED-HEADER",
    _E,
    "The header is repeated in the middle of the file; the line was not loaded.",
    "Send the header once, in line 1.",
)
ZIP_BROKEN = _rule(
    "FILE-ZIP-BROKEN", _E, "The zip file cannot be opened.", "Make the zip file again."
)
ZIP_NAME = _rule(
    "FILE-ZIP-NAME",
    _E,
    "A file in the zip has a name that leads out of it, or a link; it was not read.",
    "Zip plain files only.",
)
ZIP_NESTED = _rule(
    "FILE-ZIP-NESTED",
    _E,
    "The zip holds another zip; that one was not read.",
    "Zip the files themselves.",
)
ZIP_TOO_LARGE = _rule(
    "FILE-ZIP-TOO-LARGE",
    _E,
    "The zip unpacks to more than a zip of such files can hold; it was not read.",
    "Send fewer or smaller files in a zip.",
)
TOO_LARGE = _rule(
    "FILE-TOO-LARGE",
    _E,
    "The files that came together are larger than is taken at once; none of them was read.",
    "If they hold what they should, let CCGI know: the limit can be raised.",
)
ZIP_ENCRYPTED = _rule(
    "FILE-ZIP-ENCRYPTED",
    _E,
    "The zip is locked with a password; it was not read.",
    "Send the zip without a password: SFTP encrypts it on the way.",
)
HELD = _rule(
    "FILE-HELD",
    _E,
    "Nothing of this delivery was loaded: it would end or add far more records than a day does, or "
    "has far more unknown students, so CCGI has to approve it first. What was known before stays.",
    "If the file is wrong, send the right one. If it is right, let CCGI know.",
)
CORRECTION = _rule(
    "FILE-CORRECTION",
    _I,
    "The file lies in a folder named corrections: its lines were taken as some of many, and no "
    "record was ended for not being among them.",
    "Nothing needs to be done. Send a full set outside that folder.",
)
PACKAGE_MANIFEST = _rule(
    "TR-PKG-MANIFEST",
    _I,
    "The package has no manifest; it was taken as complete.",
    "Send a Manifest that names the package's files.",
)
PACKAGE_ROSTER = _rule(
    "TR-PKG-ROSTER",
    _I,
    "The package has no StudentTemplate; the roster of the last one stays.",
    "Send StudentTemplate with every package.",
)

FILE_RULES = tuple(value for value in list(globals().values()) if isinstance(value, Rule))
