"""Declares rules of whole OneRoster drops: manifest, files, modes.

Belongs here: the declaration of rules about drops. Does not belong here: finding them
(verification.oneroster), rules of lines (rules).
"""

from __future__ import annotations

from ccgi_pipeline.feeds.file_rules import SAVE_AS_UTF_8
from ccgi_pipeline.feeds.oneroster.vocabulary import SOURCE
from ccgi_pipeline.feeds.rules import Rule, Severity

_E, _W, _I = Severity.ERROR, Severity.WARNING, Severity.INFO


def _rule(
    id_: str, severity: Severity, text: str, fix: str, strict: Severity | None = Severity.ERROR
) -> Rule:
    return Rule(id=id_, severity=severity, text=text, fix=fix, source=SOURCE, strict=strict)


NO_MANIFEST = _rule(
    "OR-PKG-MANIFEST",
    _I,
    "The drop has no manifest.csv; version and mode were told from the files themselves.",
    "Send manifest.csv with every set.",
)
NO_VERSION = _rule(
    "OR-PKG-VERSION",
    _W,
    "The manifest does not say which version of OneRoster the set has.",
    "Send the properties manifest.version and oneroster.version.",
)
NO_MANIFEST_VERSION = _rule(
    "OR-PKG-MANIFEST-VERSION",
    _I,
    "The manifest has no line manifest.version.",
    "Send the property manifest.version with the value 1.0.",
)
NO_ROLES = _rule(
    "OR-PKG-ROLES",
    _W,
    "The set is of version 1.2 and has no roles.csv: nobody in it counts as a student or a "
    "teacher.",
    "Send roles.csv with users.csv, and declare it as bulk in the manifest; or export version 1.1.",
    None,
)
TO_THE_LETTER = tuple(
    Rule(
        id=f"OR-PKG-{name}",
        severity=_I,
        strict=_E,
        text=f"{text}, which the specification does not permit; nothing of the file was loaded.",
        fix=fix,
        source=SOURCE,
    )
    for name, text, fix in (
        ("UTF8", "The file is not UTF-8", SAVE_AS_UTF_8),
        ("CELLS", "The file has lines with more cells than the header", "Take the cells out."),
        ("HEADER-ONLY", "The file has a header and no lines", "Declare the file as absent."),
    )
)
"""What a tolerant reading mends with a finding of its own: told only to the strict."""
ONLY_MANIFEST = _rule(
    "OR-PKG-NOTHING",
    _I,
    "The drop has a manifest and nothing else: there were no updates.",
    "Nothing needs to be done.",
    None,
)
NOT_SENT = _rule(
    "OR-PKG-ABSENT",
    _W,
    "The manifest names a file that is not in the drop; what was known of it stays.",
    "Send the file, or declare it absent.",
    None,
)
NOT_NAMED = _rule(
    "OR-PKG-UNDECLARED",
    _W,
    "The manifest declares a file absent, or not at all, that is in the drop; it was read.",
    "Declare the file as bulk or delta.",
    None,
)
MISSING_FILE = _rule(
    "OR-PKG-FILE",
    _I,
    "The drop lacks a file of the set; what was known of it stays.",
    "Send all files of the set, or declare in the manifest which are absent.",
    None,
)
NOTHING_TO_REFER_TO = _rule(
    "OR-PKG-REFERENCE",
    _E,
    "Lines refer to a file that is not in the drop, and of which nothing is known.",
    "Send that file too: a set defines everything that it refers to.",
    None,
)
TWICE = _rule(
    "OR-PKG-TWICE",
    _E,
    "The drop has this file twice; this one was not read. The one with the specification's name "
    "is, or the one with the latest date in its name; where neither tells, none is.",
    "Send each file once.",
    None,
)
FOLDER = _rule(
    "OR-PKG-FOLDER",
    _W,
    "The file lies in a folder of the zip; it was read all the same.",
    "Zip the files themselves, not the folder that they are in.",
)
FILE_NAME = _rule(
    "OR-PKG-NAME",
    _W,
    "The file has another name than the specification gives it; it was understood.",
    "Names are case-sensitive: call the file as the data dictionary does.",
)
LEFT_ALONE = _rule(
    "OR-PKG-LEFT-ALONE",
    _I,
    "A file of the gradebook or of resources: its lines were counted and left alone.",
    "Nothing needs to be done; we only ask for rostering files.",
    None,
)
CHANGES_AFTER_ALL = _rule(
    "OR-MODE-DATA",
    _W,
    "The manifest says bulk, but every line has status and dateLastModified: the file was read as "
    "changes, and no record was ended for not being in it.",
    "In bulk files leave status and dateLastModified blank; or declare the file as delta.",
)
CHANGES_REFER = _rule(
    "OR-PKG-CHANGES-REFER",
    _I,
    "Changes refer to a file of which nothing is known here; whether its records exist was not "
    "checked.",
    "Nothing needs to be done: changes need not define what they refer to.",
    None,
)
RULES = (
    *(value for value in list(globals().values()) if isinstance(value, Rule)),
    *TO_THE_LETTER,
)

LEFT_ALONE_FILES = (
    "categories",
    "classResources",
    "courseResources",
    "lineItemLearningObjectiveIds",
    "lineItems",
    "lineItemScoreScales",
    "resources",
    "resultLearningObjectiveIds",
    "results",
    "resultScoreScales",
    "scoreScales",
    "userResources",
)
"""Files of a full set that this project does not use."""
