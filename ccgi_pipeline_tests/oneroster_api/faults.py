"""Names of what servers do wrong, a sentence each, and where a fault takes hold of an answer.

Belongs here: the list, and the registry in which the other modules enter what a fault does
(``paging_faults``, ``answer_faults``, ``access_faults``, ``content_faults``). Does not belong here:
what the faults do.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Any


class Fault(Enum):
    """What a server may do wrong, or unusually. "A later page" is one that begins after row 0."""

    # --- pages ---
    PAGE_MISSING = "The rows of the second page are never sent; the total counts them."
    PAGE_REPEATED = "The second page has the rows of the first one."
    PAGES_OVERLAP = "Each later page begins with the last row of the page before."
    ROW_INSERTED = "A row is added at the front after the first page of enrollments."
    ROW_DELETED = "The first row is deleted after the first page of enrollments."
    ROWS_NEVER_REST = "In every second answer the first row is missing, also from the total."
    EMPTY_PAGE = "The second page is empty; those after it are not."
    EMPTY_PAGE_ONCE = "The second page is empty when it is asked for the first time."
    EMPTY_IS_404 = "An empty page, and so an empty collection, is answered with 404."
    COLLECTION_404 = "All of enrollments is answered with 404."
    COLLECTION_EMPTY = "Enrollments are an empty list, and their total is 0."
    ALL_EMPTY = "Every collection is an empty list, as of a client without rights."
    PAGE_404 = "The second page is answered with 404."
    TOTAL_HIGH = "The total is three more than there are."
    TOTAL_LOW = "The total is three less than there are."
    TOTAL_ABSENT = "There is no total."
    TOTAL_TEXT = "The total is the word many."
    TOTAL_NEGATIVE = "The total is -1."
    TOTAL_MOVES = "The total grows by one with each answer, though the rows stay."
    TOTAL_OF_PAGE = "The total is the number of rows on the page."
    LIMIT_IGNORED = "Each page has all rows from its offset on."
    LIMIT_CLAMPED = "No page has more than seventy rows."
    LIMIT_REFUSED = "A limit of more than seventy is answered with 400."
    OFFSET_IGNORED = "Every page is the first one."
    OFFSET_IS_PAGE = "The offset counts pages."
    LINK_ABSENT = "There is no Link header."
    LINK_MALFORMED = "The Link header cannot be read."
    LINK_ENDLESS = "There is always a next link, also after the last page."
    LINK_LOOP = "The next link leads to the page itself."
    LINK_ELSEWHERE = "The next link leads to another host."
    SORT_IGNORED = "Rows come in an order of the server's own, always the same."
    SORT_CHANGES = "Rows come in another order in each answer."
    SORT_WITHIN_PAGE = "Pages are cut first, and each is sorted by itself."
    SORT_REFUSED = "A request with sort is answered with 400."
    FILTER_IGNORED = "The filter is ignored."
    FILTER_REFUSED = "A request with a filter is answered with 400."
    FIELDS_REFUSED = "A request with fields is answered with 400."
    TOMBSTONES_DROPPED = "Deleted records are dropped instead of being marked."

    # --- answers ---
    HTML_200 = "A later page is a page of HTML with status 200."
    HTML_AS_JSON = "A later page is HTML that says it is JSON."
    ERROR_200 = "A later page is an error object with status 200."
    EMPTY_BODY = "A later page has status 200 and no body."
    NO_CONTENT = "A later page is answered with 204."
    JSON_TRUNCATED = "A later page ends in the middle of its JSON."
    CONTENT_TYPE_TEXT = "Later pages say that they are plain text."
    LENGTH_LONG = "The Content-Length of a later page is larger than its body."
    LENGTH_SHORT = "The Content-Length of a later page is smaller than its body."
    ENVELOPE_NAME = "The list is called data."
    ENVELOPE_CASE = "The name of the list is in capitals."
    ENVELOPE_NONE = "The list has no name: the answer is the list."
    SINGLE_OBJECT = "A later page is its first object instead of a list."
    KEY_TWICE = "A later page has its list twice, half the rows in each."
    BYTE_ORDER_MARK = "Answers begin with a byte order mark."
    UTF_16 = "Later pages are UTF-16."
    LATIN_1 = "Later pages are ISO 8859-1, with a letter that is no UTF-8."
    GZIP_BOMB = "A later page is compressed, and 64 MiB for each 64 kB sent, without end."
    HUGE_PAGE = "A later page does not end: blanks follow the list for ever."
    DEEP_NESTING = "A row of a later page has a list in a list, 100,000 deep."
    HUGE_NUMBER = "A row of a later page has a number of 5,000 digits."
    NOT_A_NUMBER = "A row of a later page has the value NaN, which JSON does not know."
    CHUNKED = "Answers come in chunks, without a length."
    COMPRESSED = "Answers are compressed, whether asked for or not."
    HEADERS_HUGE = "A later page has 300 kB of headers."

    # --- access ---
    BUSY_SECONDS = "One request of each collection is answered with 429, to come back in a second."
    BUSY_DATE = "One request of each collection is answered with 429, with a time to come back."
    BUSY_ABSURD = "One request of each collection is answered with 429, to come back in 3 years."
    BUSY_HTML = "One request of each collection is answered with 429 in HTML, and no time."
    BUSY_ALWAYS = "Later pages are answered with 429, always."
    ERROR_500_ONCE = "One request of each collection is answered with 500."
    ERROR_502_ONCE = "One request of each collection is answered with 502 in HTML."
    ERROR_503_ONCE = "One request of each collection is answered with 503."
    ERROR_500_ALWAYS = "Later pages are answered with 500, always."
    ERROR_503_ALWAYS = "Later pages are answered with 503, always."
    SILENCE_ONCE = "One request of enrollments gets no answer."
    SILENCE_ALWAYS = "Later pages of enrollments get no answer."
    SLOW_DRIP = "Later pages of enrollments come a byte at a time."
    RESET_ONCE = "One later page of each collection is cut off in the middle."
    RESET_ALWAYS = "Later pages are cut off in the middle."
    CLOSED_ONCE = "One connection of each collection is closed before an answer."
    GRANT_EXPIRES = "The token ends in the middle of enrollments."
    GRANT_SHORT = "Each token is good for three requests."
    GRANT_NEVER_GOOD = "A token is given, and no request with it is answered."
    GRANT_REFUSED = "No token is given: 401 invalid_client."
    GRANT_HTML = "Instead of a token there is a page of HTML with status 200."
    GRANT_500_ONCE = "The first request for a token is answered with 500."
    GRANT_LOWER_CASE = "The type of the token is bearer, its end a text, and there is no scope."
    GRANT_ENDLESS = "The token does not say when it ends."
    GRANT_ENDS_OTHERS = "Each new token ends those before."
    SCOPE_LESS = "Fewer scopes are given than asked for: demographics are answered with 403."
    SCOPE_REFUSED = "No scope that is asked for is given: 400 invalid_scope."
    FORBIDDEN = "Enrollments are answered with 403."
    REDIRECT_TO_LOGIN = "A later page is redirected to a login page of another host."
    GRANT_REDIRECTED = "The request for a token is redirected to another host."
    CERTIFICATE_OTHER_HOST = "The certificate is another host's."
    CERTIFICATE_EXPIRED = "The certificate has expired."
    CERTIFICATE_UNKNOWN = "The certificate is from another authority."

    # --- content ---
    NUMBERS_FOR_TEXT = "Texts that are numbers come as numbers, ids too."
    NUMBERS_WITH_POINT = "School years come as 2027.0."
    BOOLEANS_REAL = "true and false come as booleans."
    BOOLEANS_AS_NUMBERS = "true and false come as 1 and 0."
    NULLS = "Fields without a value are null."
    EMPTY_STRINGS = "Fields without a value are empty strings, lists and references too."
    EMPTY_REFERENCES = "A missing reference is an empty object."
    UNKNOWN_FIELDS = "Objects have fields that no version knows, with a login's data."
    DATES_WITH_TIMES = "Dates have a time: midnight."
    DATES_AT_NIGHT = "Dates have a time of the evening before, with an offset."
    MODIFIED_WITH_OFFSET = "dateLastModified has a blank for T and an offset for Z."
    MODIFIED_WITHOUT_ZONE = "dateLastModified does not say its zone."
    MODIFIED_IN_FUTURE = "The first record of each page was modified in 2099."
    MODIFIED_ABSENT = "Objects have no dateLastModified."
    MODIFIED_UNREADABLE = "dateLastModified is the word yesterday."
    STATUS_ABSENT = "Objects have no status."
    STATUS_INACTIVE = "A deleted record's status is inactive."
    STATUS_CAPITALS = "The status is ACTIVE or TOBEDELETED."
    DUPLICATE_IN_PAGE = "The last row of a page comes twice."
    DUPLICATE_ACROSS_PAGES = "The first row of enrollments comes again at the end, and is counted."
    DUPLICATE_DIFFERENT = "An id of enrollments comes twice, with another user."
    DANGLING_REFERENCE = "An enrollment is of a user who is not in the set."
    ROW_WITHOUT_ID = "A row of a later page has no id."
    ROW_NULL = "A row of a later page is null."
    ROW_TEXT = "A row of a later page is a text."
    REFERENCES_FLAT = "References are plain ids, named as in CSV."
    REFERENCES_ELSEWHERE = "The addresses in references are of another host."
    REFERENCES_OTHER_CASE = "Enrollments name users in another case than users do."
    IDS_ALL_NEW = "All ids are new, as after an upgrade."
    IDS_ILLEGAL = "Ids have a blank in them."
    LISTS_AS_TEXT = "Lists come as text with commas."
    TEXTS_AS_LISTS = "Roles come as lists of one."
    COMMA_IN_ITEM = "An item of a list has a comma in it."
    CONTROL_CHARACTERS = "Names have line ends, tabs and a NUL in them."
    LONE_SURROGATE = "Names have half a character in them."


class Stage(Enum):
    """Where a fault takes hold: what it is given, and gives back changed."""

    GRANT = "the answer to a request for a token"
    BEFORE = "no answer yet: None, or one that ends the matter"
    ASK = "the question"
    CHOOSE = "all records that were asked for"
    PAGE = "the records of the page"
    ROWS = "the objects of the page, which may be changed"
    ANSWER = "the answer"


Effect = Callable[[Any, Any], Any]
EFFECTS: dict[Stage, dict[Fault, Effect]] = {stage: {} for stage in Stage}


def at(stage: Stage, *faults: Fault) -> Callable[[Effect], Effect]:
    """Enters a function of the exchange and of what is there at ``stage`` for some faults."""

    def enter(effect: Effect) -> Effect:
        for fault in faults:
            EFFECTS[stage][fault] = effect
        return effect

    return enter
