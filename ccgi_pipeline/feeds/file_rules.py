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
SAVE_AS_UTF_8 = (
    "Save the file as UTF-8. Excel: Save As, CSV UTF-8 (Comma delimited). SQL Server: sqlcmd -f "
    "65001, or bcp -C 65001. A student system: choose UTF-8 (Unicode) as the export's encoding."
)
ENCODING = _rule(
    "FILE-ENCODING",
    _E,
    "The file is no text: neither UTF-8 nor UTF-16 nor an 8-bit encoding; nothing was loaded.",
    "Send the file as text. " + SAVE_AS_UTF_8,
)
WINDOWS_TEXT = _rule(
    "FILE-CP1252",
    _W,
    "The file is Windows text (cp1252), not UTF-8; accented letters were converted.",
    SAVE_AS_UTF_8,
)
OLD_ENCODING = _rule(
    "FILE-OLD-ENCODING",
    _W,
    "The file is in an encoding of DOS or of old Macintosh programs, not in UTF-8; accented "
    "letters were converted. Check that names are right.",
    SAVE_AS_UTF_8,
)
MIXED_ENCODING = _rule(
    "FILE-MIXED-ENCODING",
    _W,
    "The file is UTF-8, but this line has letters in another encoding; they were converted.",
    "Correct the names in this line where they are kept: they were probably pasted in. "
    + SAVE_AS_UTF_8,
)
SURROGATES = _rule(
    "FILE-SURROGATES",
    _W,
    "The line has a sign in an old form of UTF-8 (CESU-8), as some databases write it; it was "
    "converted.",
    "Oracle: export with the character set AL32UTF8 instead of UTF8. MySQL: use utf8mb4.",
)
LETTERS = _rule(
    "FILE-LETTERS",
    _W,
    "The cell has letters whose encoding cannot be told, or of which a half is missing; the value "
    "was left out.",
    SAVE_AS_UTF_8,
)
UTF16 = _rule("FILE-UTF16", _W, "The file is UTF-16, not UTF-8; it was converted.", SAVE_AS_UTF_8)
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
LITTER = _rule(
    "FILE-LITTER",
    _I,
    "The file has lines that an export tool left, such as a row count, dashes or separators only; "
    "they hold no record and were passed over.",
    "Nothing needs to be done. To be rid of them, turn off row counts and underlines in the tool "
    "(SQL Server: SET NOCOUNT ON; psql: -t; SQL*Plus: SET FEEDBACK OFF), and delete empty rows "
    "below a spreadsheet's last one.",
)
_AS_IT_STANDS = "It was loaded as it stands."
LOST_LETTER = _rule(
    "FILE-LOST-LETTER",
    _W,
    "The cell has a question mark or a replacement sign where a letter was lost, in an earlier "
    "import or export. " + _AS_IT_STANDS,
    "Correct the name in your student system, and import and export in UTF-8.",
)
ENCODED_TWICE = _rule(
    "FILE-ENCODED-TWICE",
    _W,
    "The cell's accented letters were encoded twice, so that each became two or three other signs. "
    + _AS_IT_STANDS,
    "Open the source as UTF-8 when you import or convert it (Excel: Data, From Text/CSV, File "
    "Origin 65001: Unicode (UTF-8)), and correct names that are already kept so.",
)
ENTITY = _rule(
    "FILE-ENTITY",
    _W,
    "The cell has a letter as web pages write it, such as an ampersand, a name and a semicolon. "
    + _AS_IT_STANDS,
    "Export text, not HTML, and correct names that are already kept so.",
)
SPREADSHEET_ERROR = _rule(
    "FILE-SPREADSHEET-ERROR",
    _W,
    "The cell holds an error of a spreadsheet: a look-up that found nothing, or number signs from "
    "a column that was too narrow. " + _AS_IT_STANDS,
    "Correct the formula or widen the column in the spreadsheet; better, send the export as it "
    "comes from your student system.",
)
POWER_OF_TEN = _rule(
    "FILE-POWER-OF-TEN",
    _W,
    "The cell holds a number as a power of ten: a spreadsheet has rounded it, and digits are lost. "
    + _AS_IT_STANDS,
    "Format the column as text before you fill it (Excel: Data, From Text/CSV, data type Text); "
    "better, send the export as it comes from your student system.",
)
NULL_WORD = _rule(
    "FILE-NULL-WORD",
    _W,
    "The cell holds a word with which databases and programs say that there is nothing. "
    + _AS_IT_STANDS,
    "Leave such cells blank: in SQL write COALESCE(column, ''), in pandas to_csv(na_rep='').",
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
    "Check the line for missing or extra separators. Put a cell that has a separator in it into "
    "quotation marks, or take the separator out.",
)
TRUNCATED = _rule(
    "FILE-TRUNCATED",
    _E,
    "The last line breaks off; it was not loaded. The file may be incomplete.",
    "Send the whole file again.",
)
KEPT = _rule(
    "FILE-KEPT",
    _W,
    "The line was not loaded, and it may be about a record that is no longer in the file. That "
    "record stays active because of the line.",
    "Mend the line. A record that is not in the next file then ends.",
)
EXTRA_CELLS = _rule(
    "FILE-EXTRA-CELLS",
    _W,
    "The line has extra blank cells at its end, as nearly all lines of the file have or as the "
    "header has; they were dropped.",
    "Take the extra separators out.",
)
QUOTES = _rule(
    "FILE-QUOTES",
    _E,
    "The line's quotation marks do not match; it was not loaded.",
    "Put quotation marks around the whole cell, and double those inside it.",
    RFC_4180,
)
QUOTED_CELLS = _rule(
    "FILE-QUOTED-CELLS",
    _W,
    "Nearly every line has quotation marks around its cells. This file has none: the marks were "
    "taken for a part of the values.",
    "Export without quotation marks (text qualifier: none). In SQL Server's export wizard leave "
    "Text qualifier at <none>; in Excel save as Text (Tab delimited) and not through a script.",
)
SOME_QUOTED_CELLS = _rule(
    "FILE-SOME-QUOTED-CELLS",
    _W,
    "Cells have quotation marks around them. This file has none: the marks were taken for a part "
    "of the values.",
    "Export without quotation marks (text qualifier: none).",
)
LINE_BREAK = _rule(
    "FILE-LINE-BREAK",
    _W,
    "A cell has a line break in it; a blank was loaded in its place.",
    "Take line breaks out of cells.",
)
REPEATED_HEADER = _rule(
    "FILE-REPEATED-HEADER",
    _I,
    "The header is repeated in the middle of the file; the line was passed over.",
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
OPENPGP = "RFC 4880 (OpenPGP), and docs/openpgp.md"
PGP_REQUIRED = _rule(
    "FILE-PGP-REQUIRED",
    _E,
    "The file is not encrypted, and it was agreed that your files are; it was not read.",
    "Encrypt the file for the key that CCGI gave you (gpg --encrypt --recipient FINGERPRINT).",
    OPENPGP,
)
PGP_NO_KEY = _rule(
    "FILE-PGP-NO-KEY",
    _E,
    "The file is encrypted with OpenPGP, and there is no key here that could open it; it was not "
    "read.",
    "To check a file by yourself, check it before it is encrypted. To send it encrypted, ask your "
    "contact at CCGI for the key; without one, send it as it is: SFTP encrypts it on its way.",
    OPENPGP,
)
PGP_OTHER_KEY = _rule(
    "FILE-PGP-OTHER-KEY",
    _E,
    "The file is encrypted to another key than CCGI's, so nobody here can open it.",
    "Encrypt it for the key that CCGI gave you, named by its whole fingerprint and not by an "
    "address (gpg --encrypt --recipient FINGERPRINT), and send it again.",
    OPENPGP,
)
PGP_RETIRED_KEY = _rule(
    "FILE-PGP-RETIRED-KEY",
    _E,
    "The file is encrypted to a former key of CCGI, which is accepted no longer; it was not read.",
    "Remove the former key from your program, encrypt the file for the present one, and send it "
    "again.",
    OPENPGP,
)
PGP_DAMAGED = _rule(
    "FILE-PGP-DAMAGED",
    _E,
    "The encrypted file was damaged or cut short on its way; nothing of it was used.",
    "Send it again, in binary mode, and under its name only when it is whole.",
    OPENPGP,
)
PGP_NO_INTEGRITY = _rule(
    "FILE-PGP-NO-INTEGRITY",
    _E,
    "The encrypted file has no protection against changes (MDC), so it cannot be told whether it "
    "is whole; nothing of it was used.",
    "Turn on integrity protection (MDC) in your program, or use one of this century, such as "
    "GnuPG.",
    OPENPGP,
)
PGP_NEWER_FORM = _rule(
    "FILE-PGP-NEWER-FORM",
    _E,
    "The file is encrypted in a newer form than RFC 4880, which cannot be read here.",
    "Encrypt it in the form that every program reads (GnuPG: gpg --rfc4880 --encrypt ...; others: "
    "choose RFC 4880, SEIPD version 1). Fetch CCGI's key again: it asks for that form.",
    OPENPGP,
)
PGP_PASSWORD = _rule(
    "FILE-PGP-PASSWORD",
    _E,
    "The file is encrypted with a password and for no key, so nobody here can open it.",
    "Encrypt it for CCGI's key (gpg --encrypt instead of gpg --symmetric). Send no password.",
    OPENPGP,
)
PGP_NOT_ENCRYPTED = _rule(
    "FILE-PGP-NOT-ENCRYPTED",
    _E,
    "The file is signed or packed with OpenPGP, but not encrypted; it was not read.",
    "Encrypt it for CCGI's key (gpg --sign --encrypt), or send the file itself.",
    OPENPGP,
)
PGP_NESTED = _rule(
    "FILE-PGP-NESTED",
    _E,
    "The encrypted file holds another file of OpenPGP; it was not read.",
    "Encrypt once: the zip or the file itself, not one that is encrypted already.",
    OPENPGP,
)
PGP_JOINED = _rule(
    "FILE-PGP-JOINED",
    _E,
    "Several encrypted messages were put into one file, or something follows the first; nothing of "
    "it was used.",
    "Send one message in each file; put several files into a zip before you encrypt it.",
    OPENPGP,
)
PGP_NO_MESSAGE = _rule(
    "FILE-PGP-NO-MESSAGE",
    _E,
    "The file is a public key, not data.",
    "Send the encrypted file. A new key of yours goes to your contact at CCGI, who asks for its "
    "fingerprint.",
    OPENPGP,
)
PGP_PRIVATE_KEY = _rule(
    "FILE-PGP-PRIVATE-KEY",
    _E,
    "The file is a private key, which only its owner may have.",
    "Revoke this key and make a new one, since others have seen it. Ask CCGI to delete the file.",
    OPENPGP,
)
PGP_DETACHED = _rule(
    "FILE-PGP-DETACHED",
    _W,
    "The file is a signature of its own; it was not checked.",
    "Sign and encrypt in one step (gpg --sign --encrypt), so that the signature is in the message.",
    OPENPGP,
)
PGP_BAD_SIGNATURE = _rule(
    "FILE-PGP-BAD-SIGNATURE",
    _E,
    "The signature of the encrypted file is wrong: it was changed after it was signed. Nothing of "
    "it was used.",
    "Encrypt and sign the file again, and send it again.",
    OPENPGP,
)
PGP_SIGNATURE = _rule(
    "FILE-PGP-SIGNATURE",
    _E,
    "It was agreed that your files are signed, and this one has no valid signature by a key that "
    "you agreed with CCGI; it was not read.",
    "Sign the file with the agreed key (gpg --sign --encrypt), or tell CCGI your new key.",
    OPENPGP,
)
PGP_TOO_LARGE = _rule(
    "FILE-PGP-TOO-LARGE",
    _E,
    "The encrypted file opens to more than a file of its size can hold; it was not read.",
    "Send fewer lines in a file. If it holds what it should, let CCGI know.",
    OPENPGP,
)
PGP_FORMER_KEY = _rule(
    "FILE-PGP-FORMER-KEY",
    _W,
    "The file is encrypted to a key of CCGI that is replaced by a new one, and is accepted for a "
    "while only.",
    "Fetch CCGI's present key, check its fingerprint, and encrypt for it from now on.",
    OPENPGP,
)
PGP_OLD_CIPHER = _rule(
    "FILE-PGP-OLD-CIPHER",
    _W,
    "The file is encrypted with an old cipher (3DES, CAST5, Blowfish or IDEA).",
    "Choose AES-256 in your program (GnuPG: --cipher-algo AES256, or remove such a line from "
    "gpg.conf).",
    OPENPGP,
)
PGP_NAME = _rule(
    "FILE-PGP-NAME",
    _I,
    "The encrypted file has another name inside; only the name counts under which it was sent.",
    "Nothing needs to be done, if the file is the right one.",
    OPENPGP,
)
PGP_OPENED = _rule(
    "FILE-PGP-OPENED",
    _I,
    "The file came encrypted, and was opened.",
    "Nothing needs to be done.",
    OPENPGP,
)
HELD = _rule(
    "FILE-HELD",
    _E,
    "Nothing of this delivery was loaded: it would end or add far more records than a day does, or "
    "has far more unknown students, so CCGI has to approve it first. What was known before stays.",
    "If the file is wrong, send the right one. If it is right, let CCGI know.",
)
TWICE = _rule(
    "FILE-TWICE",
    _E,
    "The delivery has two files of this kind with the same records, and no dates in their names "
    "say which is the newer one; neither was loaded. What was known before stays.",
    "Send one file of each kind; or put the date into each name, such as 20261126.",
)
TWICE_OLDER = _rule(
    "FILE-TWICE-OLDER",
    _W,
    "The delivery has a newer file of this kind, by the date in its name; this one was not loaded.",
    "Send one file of each kind.",
)
TWICE_SAME = _rule(
    "FILE-TWICE-SAME",
    _W,
    "The delivery has this file twice; one of them was loaded.",
    "Send one file of each kind.",
)
TWICE_RECORDS = _rule(
    "FILE-TWICE-RECORDS",
    _W,
    "Records of this file are also in another file of the delivery, with other values. Those of "
    "the file whose name comes last count.",
    "Send each record in one file only.",
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

MAY_BE_READ_LATER = (
    TOO_LARGE,
    PGP_REQUIRED,
    PGP_NO_KEY,
    PGP_OTHER_KEY,
    PGP_RETIRED_KEY,
    PGP_SIGNATURE,
    PGP_TOO_LARGE,
)
"""Rules by which a whole file is not read, and after which another limit, key or decision of the
operator may let it in, without its being sent again."""

FILE_RULES = tuple(value for value in list(globals().values()) if isinstance(value, Rule))
