"""What people are called for short, as data.

Belongs here: common nicknames of the first names of ``names``, English and Spanish. It is a list
of its own, not one that a rule of matching looks names up in, since a rule judged by the list that
it knows by heart would always be right. Does not belong here: who uses one (mistakes, students).
"""

from __future__ import annotations

NICKNAMES = {
    "Abigail": "Abby", "Alejandra": "Ale", "Alejandro": "Alex", "Alexis": "Lexi",
    "Andrea": "Andy", "Andrew": "Drew", "Anthony": "Tony", "Antonio": "Toño",
    "Benjamin": "Ben", "Cameron": "Cam", "Carolina": "Caro", "Charlotte": "Charlie",
    "Christian": "Chris", "Daniel": "Danny", "Daniela": "Dani", "David": "Dave",
    "Eduardo": "Eddie", "Elijah": "Eli", "Elizabeth": "Liz", "Emily": "Em",
    "Enrique": "Kike", "Esmeralda": "Esme", "Estefanía": "Fany", "Fernanda": "Fer",
    "Fernando": "Nando", "Francisco": "Paco", "Gabriel": "Gabe", "Gabriela": "Gaby",
    "Guadalupe": "Lupe", "Isabella": "Bella", "Jackson": "Jack", "Jacob": "Jake",
    "James": "Jimmy", "Jasmine": "Jas", "Javier": "Javi", "Jesús": "Chuy", "Jordan": "Jordy",
    "Joseph": "Joe", "Joshua": "Josh", "José": "Pepe", "Juan Carlos": "JC", "Justin": "Jus",
    "Kristine": "Kris", "Leonardo": "Leo", "Lucas": "Luke", "Madison": "Maddie",
    "Manuel": "Manny", "Matthew": "Matt", "Melissa": "Mel", "Michael": "Mike", "Miguel": "Mike",
    "Mónica": "Moni", "Natalia": "Nati", "Natalie": "Nat", "Nathan": "Nate",
    "Nathaniel": "Nate", "Oliver": "Ollie", "Olivia": "Liv", "Rafael": "Rafa",
    "Ricardo": "Ricky", "Samantha": "Sam", "Samuel": "Sam", "Santiago": "Santi",
    "Savannah": "Savvy", "Sebastián": "Sebas", "Thomas": "Tom", "Valentina": "Val",
    "Valeria": "Vale", "Vanessa": "Nessa", "Victoria": "Vicky", "Víctor": "Vic",
    "William": "Will", "Zachary": "Zach",
}  # fmt: skip
