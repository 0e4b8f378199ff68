"""Declares California's code sets, each with its source and the dates of use of its codes.

Belongs here: CALPADS code sets and the county codes, as data. Does not belong here: which column
uses which set (the feeds say that), and what a report prints for a code.
"""

from __future__ import annotations

from datetime import date

from ccgi_pipeline.feeds import sources
from ccgi_pipeline.feeds.columns import Code, CodeSet

CALPADS_CODE_SETS = "CALPADS Code Sets v9.3 (CDE, 19 December 2017)"


def _names(pairs: dict[str, str]) -> tuple[Code, ...]:
    return tuple(Code(value, name) for value, name in pairs.items())


GENDER = CodeSet(
    "CALPADS Gender",
    (
        Code("F", "Female"),
        Code("M", "Male"),
        Code("X", "Nonbinary", start=date(2019, 7, 1)),
    ),
    source=f"{CALPADS_CODE_SETS}; X since 2019-20 (CDE file layouts)",
)

GRADE_LEVEL = CodeSet(
    "CALPADS Grade Level",
    (
        *(Code(f"{grade:02d}", f"Grade {grade}") for grade in range(1, 13)),
        Code("AD", "Adult"),
        Code("IN", "Infant"),
        Code("KN", "Kindergarten"),
        Code("PS", "Prekindergarten"),
        Code("TD", "Toddlers"),
        Code("TK", "Transitional Kindergarten", start=date(2023, 7, 1)),
        Code("UE", "Ungraded Elementary", end=date(2018, 6, 30)),
        Code("US", "Ungraded Secondary", end=date(2018, 6, 30)),
        Code("UU", "Unknown", end=date(2016, 6, 30)),
    ),
    source=f"{CALPADS_CODE_SETS}; UE and US ended 30 June 2018 (Data Guide v11); TK (Flash 257)",
)

RACE_CATEGORY = CodeSet(
    "CALPADS Race Category",
    _names(
        {
            "100": "American Indian or Alaska Native",
            "201": "Chinese",
            "202": "Japanese",
            "203": "Korean",
            "204": "Vietnamese",
            "205": "Asian Indian",
            "206": "Laotian",
            "207": "Cambodian",
            "208": "Hmong",
            "299": "Other Asian",
            "301": "Hawaiian",
            "302": "Guamanian",
            "303": "Samoan",
            "304": "Tahitian",
            "399": "Other Pacific Islander",
            "400": "Filipino",
            "600": "Black or African American",
            "700": "White",
        }
    ),
    source=CALPADS_CODE_SETS,
)

_RACE_GROUPS = {"2": "Asian", "3": "Pacific Islander"}


def race_group(code: str) -> str:
    """Returns the group by which CDE reports a race category; most categories are a group alone.

    Source: CDE, race and ethnicity collection; the first digit tells the group.
    """
    names = {known.value: known.name for known in RACE_CATEGORY.codes}
    return _RACE_GROUPS.get(code[:1], names[code])


ENGLISH_LANGUAGE_ACQUISITION_STATUS = CodeSet(
    "CALPADS English Language Acquisition Status",
    _names(
        {
            "EL": "English Learner",
            "EO": "English or American Sign Language Only",
            "IFEP": "Initial Fluent English Proficient",
            "RFEP": "Reclassified Fluent English Proficient",
            "TBD": "To Be Determined",
            "Y": "English Learner (yes)",
            "N": "English Learner (no)",
        }
    ),
    source=f"{CALPADS_CODE_SETS}; Y and N are what some student systems send",
)

PARENT_EDUCATION_LEVEL = CodeSet(
    "CALPADS Highest Education Level",
    _names(
        {
            "10": "Graduate Degree or Higher",
            "11": "College Graduate",
            "12": "Some College or Associate's Degree",
            "13": "High School Graduate",
            "14": "Not a High School Graduate",
            "15": "Decline to State",
        }
    ),
    source=CALPADS_CODE_SETS,
)

NAME_SUFFIX = CodeSet(
    "CALPADS Name Suffix",
    _names(
        {
            "I": "The First",
            "II": "The Second",
            "III": "The Third",
            "IV": "The Fourth",
            "V": "The Fifth",
            "VI": "The Sixth",
            "VII": "The Seventh",
            "JR": "Junior",
            "SR": "Senior",
        }
    ),
    source=CALPADS_CODE_SETS,
)

LANGUAGE = CodeSet(
    "CALPADS Language",
    _names(
        {
            "00": "English",
            "01": "Spanish",
            "02": "Vietnamese",
            "03": "Cantonese",
            "04": "Korean",
            "05": "Filipino (Pilipino or Tagalog)",
            "06": "Portuguese",
            "07": "Mandarin (Putonghua)",
            "08": "Japanese",
            "09": "Khmer (Cambodian)",
            "10": "Lao",
            "11": "Arabic",
            "12": "Armenian",
            "13": "Burmese",
            "15": "Dutch",
            "16": "Farsi (Persian)",
            "17": "French",
            "18": "German",
            "19": "Greek",
            "20": "Chamorro (Guamanian)",
            "21": "Hebrew",
            "22": "Hindi",
            "23": "Hmong",
            "24": "Hungarian",
            "25": "Ilocano",
            "26": "Indonesian",
            "27": "Italian",
            "28": "Punjabi",
            "29": "Russian",
            "30": "Samoan",
            "32": "Thai",
            "33": "Turkish",
            "34": "Tongan",
            "35": "Urdu",
            "36": "Cebuano (Visayan)",
            "37": "Sign Language",
            "38": "Ukrainian",
            "39": "Chaozhou (Chiuchow)",
            "40": "Pashto",
            "41": "Polish",
            "42": "Assyrian",
            "43": "Gujarati",
            "44": "Mien (Yao)",
            "45": "Rumanian",
            "46": "Taiwanese",
            "47": "Lahu",
            "48": "Marshallese",
            "49": "Mixteco",
            "50": "Khmu",
            "51": "Kurdish (Kurdi, Kurmanji)",
            "52": "Serbo-Croatian (Bosnian, Croatian, Serbian)",
            "53": "Toishanese",
            "54": "Chaldean",
            "56": "Albanian",
            "57": "Tigrinya",
            "60": "Somali",
            "61": "Bengali",
            "62": "Telugu",
            "63": "Tamil",
            "64": "Marathi",
            "65": "Kannada",
            "66": "Amharic",
            "67": "Bulgarian",
            "68": "Kikuyu (Gikuyu)",
            "69": "Kashmiri",
            "70": "Swedish",
            "71": "Zapoteco",
            "72": "Uzbek",
            "99": "Other non-English languages",
            "UU": "Unknown",
        }
    ),
    source=CALPADS_CODE_SETS,
)

SUBJECT_AREA = CodeSet(
    "CCGI Subject Area",
    _names(
        {
            "A": "History/Social Science",
            "B": "English",
            "C": "Mathematics",
            "D": "Science",
            "E": "Language other than English",
            "F": "Visual and Performing Arts",
            "G": "College-Preparatory Elective",
            "Z": "Not an A-G course",
        }
    ),
    source="CCGI CourseGradeTemplate as student systems produce it",
)

TERM = CodeSet(
    "CCGI Term",
    _names(
        {
            "F": "Full Year",
            "FY": "Full Year",
            "S1": "First Semester",
            "S2": "Second Semester",
            "T1": "First Trimester",
            "T2": "Second Trimester",
            "T3": "Third Trimester",
            "Q1": "First Quarter",
            "Q2": "Second Quarter",
            "Q3": "Third Quarter",
            "Q4": "Fourth Quarter",
            "H1": "First Hexmester",
            "H2": "Second Hexmester",
            "H3": "Third Hexmester",
            "H4": "Fourth Hexmester",
            "H5": "Fifth Hexmester",
            "H6": "Sixth Hexmester",
            "SS": "Summer Session",
            "SS1": "First Summer Session",
            "SS2": "Second Summer Session",
            "IS": "Intersession",
            "SP": "Supplemental Session",
        }
    ),
    source=f"CCGI CourseGradeTemplate as student systems produce it; {CALPADS_CODE_SETS}",
)

EXIT_REASON = CodeSet(
    "CALPADS Student Exit Category",
    (
        *_names(
            {
                "E125": "Prior completer special education",
                "E130": "Died",
                "E140": "No known enrollment, truant",
                "E170": "Secondary enrollment exit",
                "E230": "Completer exit",
                "E300": "Expelled, no known enrollment",
                "E400": "Other or unknown",
                "E410": "Medical reasons",
                "E450": "Prekindergarten to grade 6 exit",
                "N470": "No show",
                "T160": "Transfer to a California school, regular",
                "T165": "Transfer for special, disciplinary reasons or judgment",
                "T180": "Transfer to a private school",
                "T200": "Transfer to another state",
                "T240": "Transfer out of the United States",
                "T260": "In adult education",
                "T280": "In college",
                "T370": "Transfer to an institution with a high school diploma program",
                "T380": "Transfer to an institution without such a program",
            }
        ),
        Code("E150", "Mid-year enrollment update", start=date(2014, 7, 1)),
        Code("E155", "Year-end exit, same school", start=date(2014, 5, 1)),
        Code("T167", "Transfer to an alternative program", start=date(2010, 7, 1)),
        Code("E490", "Summer or intersession exit", end=date(2014, 6, 30)),
        Code("N420", "No show, same school", end=date(2014, 8, 16)),
        Code("T270", "Dropped from adult education", end=date(2018, 6, 30)),
        Code("T310", "In a health facility", end=date(2018, 6, 30)),
        Code("T460", "Home schooling", end=date(2018, 6, 30)),
    ),
    source=f"{CALPADS_CODE_SETS}; CALPADS Data Guide v11.0, appendix C",
)

COMPLETION_STATUS = CodeSet(
    "CALPADS School Completion Status",
    (
        Code("100", "Graduated, standard high school diploma"),
        Code("104", "Requirements met, CAHSEE not passed", end=date(2014, 8, 15)),
        Code("106", "Graduated, CAHSEE modified or waived", end=date(2015, 8, 15)),
        Code("108", "Graduated, CAHSEE exempt", end=date(2015, 8, 15)),
        Code("120", "Students with disabilities, certificate of completion"),
        Code("250", "Adult education high school diploma"),
        Code("320", "High school equivalency certificate (GED)"),
        Code("330", "Passed CHSPE"),
        Code("360", "Completed grade 12 without the requirements"),
        Code("480", "Promoted within California public schools"),
        Code("485", "Promoted out of California public schools", start=date(2020, 7, 1)),
    ),
    source="CALPADS Valid Code Combinations v12.0 (CDE, 1 July 2020); Data Guide v11.0",
)

DISABILITY_CATEGORY = CodeSet(
    "CALPADS Disability Category",
    _names(
        {
            "210": "Intellectual disability",
            "220": "Hard of hearing",
            "230": "Deafness or hearing impairment",
            "240": "Speech or language impairment",
            "250": "Visual impairment",
            "260": "Emotional disturbance",
            "270": "Orthopedic impairment",
            "280": "Other health impairment",
            "281": "Established medical disability",
            "290": "Specific learning disability",
            "300": "Deaf-blindness",
            "310": "Multiple disabilities",
            "320": "Autism",
            "330": "Traumatic brain injury",
        }
    ),
    source=CALPADS_CODE_SETS,
)

GRADE_AS_SENT = CodeSet(
    "Grade level as student systems write it",
    (
        *(Code(f"{grade}", f"Grade {grade}") for grade in range(1, 10)),
        Code("K", "Kindergarten"),
        Code("0", "Kindergarten"),
        Code("00", "Kindergarten"),
        Code("PK", "Prekindergarten"),
        *GRADE_LEVEL.codes,
    ),
    source=f"{sources.FOSTER_FOCUS.title}: 'K' or a numeric value; {GRADE_LEVEL.source}",
)

COUNTY_NAMES = {
    "01": "Alameda",
    "02": "Alpine",
    "03": "Amador",
    "04": "Butte",
    "05": "Calaveras",
    "06": "Colusa",
    "07": "Contra Costa",
    "08": "Del Norte",
    "09": "El Dorado",
    "10": "Fresno",
    "11": "Glenn",
    "12": "Humboldt",
    "13": "Imperial",
    "14": "Inyo",
    "15": "Kern",
    "16": "Kings",
    "17": "Lake",
    "18": "Lassen",
    "19": "Los Angeles",
    "20": "Madera",
    "21": "Marin",
    "22": "Mariposa",
    "23": "Mendocino",
    "24": "Merced",
    "25": "Modoc",
    "26": "Mono",
    "27": "Monterey",
    "28": "Napa",
    "29": "Nevada",
    "30": "Orange",
    "31": "Placer",
    "32": "Plumas",
    "33": "Riverside",
    "34": "Sacramento",
    "35": "San Benito",
    "36": "San Bernardino",
    "37": "San Diego",
    "38": "San Francisco",
    "39": "San Joaquin",
    "40": "San Luis Obispo",
    "41": "San Mateo",
    "42": "Santa Barbara",
    "43": "Santa Clara",
    "44": "Santa Cruz",
    "45": "Shasta",
    "46": "Sierra",
    "47": "Siskiyou",
    "48": "Solano",
    "49": "Sonoma",
    "50": "Stanislaus",
    "51": "Sutter",
    "52": "Tehama",
    "53": "Trinity",
    "54": "Tulare",
    "55": "Tuolumne",
    "56": "Ventura",
    "57": "Yolo",
    "58": "Yuba",
}
"""County names by the first two digits of a CDS code (CDE)."""
