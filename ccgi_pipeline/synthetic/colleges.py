"""Colleges, majors and careers that students look at, as data.

Belongs here: public names of California's public colleges, and plain words for the rest. Does not
belong here: who looks at what (activity).
"""

from __future__ import annotations

CSU = (
    "Cal Poly Humboldt", "Cal Poly Pomona", "Cal Poly San Luis Obispo", "CSU Bakersfield",
    "CSU Channel Islands", "CSU Chico", "CSU Dominguez Hills", "CSU East Bay", "CSU Fresno",
    "CSU Fullerton", "CSU Long Beach", "CSU Los Angeles", "CSU Monterey Bay", "CSU Northridge",
    "CSU Sacramento", "CSU San Bernardino", "CSU San Marcos", "CSU Stanislaus",
    "San Diego State University", "San Francisco State University", "San José State University",
    "Sonoma State University",
)  # fmt: skip
UC = (
    "UC Berkeley", "UC Davis", "UC Irvine", "UC Los Angeles", "UC Merced", "UC Riverside",
    "UC San Diego", "UC Santa Barbara", "UC Santa Cruz",
)  # fmt: skip
CCC = (
    "Allan Hancock College", "American River College", "Antelope Valley College",
    "Bakersfield College", "Barstow Community College", "Butte College", "Cabrillo College",
    "Cerritos College", "Cerro Coso Community College", "Chabot College", "Chaffey College",
    "Citrus College", "City College of San Francisco", "Coastline College", "College of Marin",
    "College of San Mateo", "College of the Canyons", "College of the Desert",
    "College of the Redwoods", "College of the Sequoias", "College of the Siskiyous",
    "Columbia College", "Compton College", "Contra Costa College", "Copper Mountain College",
    "Cosumnes River College", "Crafton Hills College", "Cuesta College", "Cuyamaca College",
    "Cypress College", "De Anza College", "Diablo Valley College", "East Los Angeles College",
    "El Camino College", "Evergreen Valley College", "Feather River College", "Folsom Lake College",
    "Foothill College", "Fresno City College", "Fullerton College", "Gavilan College",
    "Glendale Community College", "Golden West College", "Grossmont College", "Hartnell College",
    "Imperial Valley College", "Irvine Valley College", "Lake Tahoe Community College",
    "Laney College", "Las Positas College", "Lassen College", "Long Beach City College",
    "Los Angeles City College", "Los Medanos College", "Mendocino College", "Merced College",
    "Merritt College", "MiraCosta College", "Mission College", "Modesto Junior College",
    "Monterey Peninsula College", "Moorpark College", "Mt. San Antonio College",
    "Mt. San Jacinto College", "Napa Valley College", "Norco College", "Ohlone College",
    "Orange Coast College", "Oxnard College", "Palo Verde College", "Palomar College",
    "Pasadena City College", "Porterville College", "Reedley College", "Rio Hondo College",
    "Riverside City College", "Sacramento City College", "Saddleback College",
    "San Bernardino Valley College", "San Diego City College", "San Diego Mesa College",
    "San Joaquin Delta College", "Santa Ana College", "Santa Barbara City College",
    "Santa Monica College", "Santa Rosa Junior College", "Shasta College", "Sierra College",
    "Skyline College", "Solano Community College", "Southwestern College", "Taft College",
    "Ventura College", "Victor Valley College", "West Valley College", "Woodland Community College",
    "Yuba College",
)  # fmt: skip
MAJORS = (
    "Agricultural Business", "Anthropology", "Architecture", "Art", "Biology",
    "Business Administration", "Chemistry", "Child Development", "Civil Engineering",
    "Communication Studies", "Computer Science", "Criminal Justice", "Dance", "Economics",
    "Electrical Engineering", "English", "Environmental Science", "Ethnic Studies", "Film",
    "Geography", "Graphic Design", "History", "Hospitality Management", "Journalism",
    "Kinesiology", "Liberal Studies", "Mathematics", "Mechanical Engineering", "Music", "Nursing",
    "Nutrition", "Philosophy", "Physics", "Political Science", "Psychology", "Public Health",
    "Social Work", "Sociology", "Spanish", "Theatre", "Viticulture",
)  # fmt: skip
CAREERS = (
    "Accountant", "Airline Pilot", "Architect", "Automotive Technician", "Biologist", "Carpenter",
    "Chef", "Civil Engineer", "Computer Programmer", "Construction Manager", "Dental Hygienist",
    "Electrician", "Elementary School Teacher", "Emergency Medical Technician", "Farm Manager",
    "Fashion Designer", "Firefighter", "Graphic Designer", "High School Teacher", "Journalist",
    "Lawyer", "Librarian", "Marketing Manager", "Mechanical Engineer", "Musician", "Nurse",
    "Pharmacist", "Photographer", "Physical Therapist", "Physician", "Plumber", "Police Officer",
    "Psychologist", "Real Estate Agent", "Registered Nurse", "School Counselor", "Social Worker",
    "Software Developer", "Veterinarian", "Web Developer", "Welder", "Wildlife Biologist",
)  # fmt: skip
