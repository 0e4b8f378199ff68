"""First and last names of synthetic students.

Belongs here: pools of plain, common names, a few of them with apostrophes, hyphens, accents and
blanks, which files must survive. They are combined at random and belong to no real person.
Does not belong here: who gets which (people).
"""

from __future__ import annotations

from typing import NamedTuple


class Pool(NamedTuple):
    """Names that often go together."""

    girls: tuple[str, ...]
    boys: tuple[str, ...]
    last: tuple[str, ...]


POOLS: dict[str, Pool] = {
    "english": Pool(
        girls=(
            "Abigail", "Alexis", "Amelia", "Audrey", "Ava", "Bella", "Brooke", "Charlotte",
            "Chloe", "Claire", "Destiny", "Elizabeth", "Ella", "Emily", "Emma", "Faith", "Grace",
            "Hailey", "Hannah", "Harper", "Imani", "Isabella", "Jada", "Jasmine", "Julia",
            "Kayla", "Kiara", "Lauren", "Leah", "Lily", "Madison", "Mary Jane", "Maya", "Mia",
            "Naomi", "Natalie", "Nevaeh", "Nia", "Olivia", "Riley", "Ruby", "Samantha", "Sarah",
            "Savannah", "Sophia", "Stella", "Sydney", "Taylor", "Trinity", "Victoria", "Zoe",
            "Zoë",
        ),
        boys=(
            "Aaron", "Adam", "Aiden", "Andrew", "Anthony", "Austin", "Benjamin", "Blake", "Caleb",
            "Cameron", "Carter", "Christian", "Darius", "David", "Dylan", "Elijah", "Ethan",
            "Evan", "Gavin", "Henry", "Hunter", "Ian", "Isaiah", "Jack", "Jackson", "Jacob",
            "Jalen", "James", "Jayden", "Jordan", "Joseph", "Joshua", "Julian", "Justin", "Liam",
            "Logan", "Lucas", "Malik", "Mason", "Matthew", "Michael", "Nathan", "Noah", "Oliver",
            "Owen", "Ryan", "Samuel", "Sean", "Thomas", "Tyler", "William", "Xavier", "Zachary",
        ),
        last=(
            "Adams", "Allen", "Anderson", "Bailey", "Baker", "Banks", "Barnes", "Bell", "Bennett",
            "Brooks", "Brown", "Bryant", "Butler", "Campbell", "Carter", "Clark", "Coleman",
            "Collins", "Cook", "Cooper", "Cox", "D'Amico", "Davis", "Edwards", "Evans", "Fisher",
            "Foster", "Franklin", "Gray", "Green", "Griffin", "Hall", "Harris", "Hayes", "Hill",
            "Howard", "Hughes", "Jackson", "James", "Jenkins", "Johnson", "Jones", "Kelly",
            "King", "Lewis", "Long", "MacDonald", "Marshall", "Martin", "McCoy", "Miller",
            "Mitchell", "Moore", "Morgan", "Murphy", "Myers", "Nelson", "O'Brien", "O'Neil",
            "Parker", "Perry", "Peterson", "Phillips", "Powell", "Price", "Reed", "Richardson",
            "Roberts", "Robinson", "Rogers", "Ross", "Russell", "Sanders", "Scott", "Simmons",
            "Smith", "Smith-Jones", "St. John", "Stewart", "Sullivan", "Taylor", "Thomas",
            "Thompson", "Turner", "Van Dyke", "Walker", "Ward", "Washington", "Watson", "White",
            "Williams", "Wilson", "Wood", "Wright", "Young",
        ),
    ),
    "spanish": Pool(
        girls=(
            "Adriana", "Alejandra", "Alondra", "Ana Sofía", "Andrea", "Ariana", "Camila",
            "Carolina", "Citlali", "Daniela", "Diana", "Elena", "Esmeralda", "Estefanía",
            "Fernanda", "Gabriela", "Guadalupe", "Itzel", "Jimena", "Julieta", "Karla", "Leslie",
            "Lizbeth", "Lucía", "María José", "Mariana", "Melissa", "Mónica", "Natalia", "Paola",
            "Perla", "Renata", "Rosa", "Sofía", "Valentina", "Valeria", "Vanessa", "Ximena",
            "Yaretzi", "Zoé",
        ),
        boys=(
            "Adrián", "Alejandro", "Alexis", "Ángel", "Antonio", "Armando", "Brayan", "Carlos",
            "César", "Damián", "Daniel", "Diego", "Eduardo", "Emiliano", "Enrique", "Esteban",
            "Fernando", "Francisco", "Gael", "Gerardo", "Héctor", "Iván", "Javier", "Jesús",
            "Jorge", "José", "José Luis", "Juan Carlos", "Leonardo", "Luis", "Manuel", "Mateo",
            "Miguel", "Oscar", "Pablo", "Ricardo", "Santiago", "Sebastián", "Sergio", "Víctor",
        ),
        last=(
            "Aguilar", "Alvarado", "Álvarez", "Ávila", "Ayala", "Barajas", "Cabrera", "Camacho",
            "Campos", "Cárdenas", "Castillo", "Castro", "Cervantes", "Chávez", "Contreras",
            "Cortez", "Cruz", "De La Cruz", "De La Torre", "Del Real", "Delgado", "Díaz",
            "Domínguez", "Escobar", "Espinoza", "Estrada", "Fernández", "Figueroa", "Flores",
            "Fuentes", "Gallegos", "García", "García-López", "Gómez", "González", "Guerrero",
            "Gutiérrez", "Guzmán", "Hernández", "Herrera", "Ibarra", "Jiménez", "Juárez", "Lara",
            "López", "Lozano", "Luna", "Macías", "Maldonado", "Márquez", "Martínez", "Medina",
            "Mejía", "Méndez", "Mendoza", "Meza", "Molina", "Montes", "Mora", "Morales", "Moreno",
            "Muñoz", "Navarro", "Núñez", "Ochoa", "Orozco", "Ortega", "Ortiz", "Pacheco",
            "Padilla", "Peña", "Pérez", "Ponce", "Quintero", "Ramírez", "Ramos", "Rangel",
            "Reyes", "Reyes-Soto", "Ríos", "Rivera", "Robles", "Rodríguez", "Rojas", "Rosales",
            "Ruiz", "Salazar", "Salgado", "Sánchez", "Sandoval", "Santiago", "Serrano", "Solís",
            "Soto", "Suárez", "Tapia", "Torres", "Trujillo", "Valdez", "Valencia", "Vargas",
            "Vázquez", "Vega", "Velasco", "Villa", "Villanueva", "Zamora", "Zavala", "Zúñiga",
        ),
    ),
    "chinese": Pool(
        girls=("Jia", "Jing", "Lin", "Mei", "Ming-Na", "Wei", "Xin Yi", "Xiu", "Yan", "Ying"),
        boys=("Bo", "Chen", "Hao", "Jian", "Jun", "Kai", "Li Wei", "Ming", "Wen", "Zhi"),
        last=(
            "Chan", "Chang", "Chen", "Cheng", "Feng", "Gao", "Guo", "He", "Hu", "Huang", "Lau",
            "Li", "Liang", "Lin", "Liu", "Lu", "Ma", "Sun", "Wang", "Wong", "Wu", "Xu", "Yang",
            "Ye", "Zhang", "Zhao", "Zheng", "Zhou",
        ),
    ),
    "vietnamese": Pool(
        girls=("Anh", "Hoa", "Hương", "Kim", "Lan", "Linh", "Mai", "Ngọc", "Thảo", "Trang"),
        boys=("Bảo", "Dũng", "Đức", "Hải", "Huy", "Khoa", "Long", "Minh", "Nam", "Tuấn"),
        last=("Bùi", "Đặng", "Đỗ", "Dương", "Hồ", "Hoàng", "Lê", "Ly", "Ngo", "Nguyen",
              "Nguyễn", "Phạm", "Phan", "Tran", "Trần", "Trinh", "Vo", "Vũ"),
    ),
    "korean": Pool(
        girls=("Eun-ji", "Ha-eun", "Hye-jin", "Ji-woo", "Min-ji", "Seo-yeon", "Soo-ah", "Yuna"),
        boys=("Dong-hyun", "Eun-woo", "Hyun", "Ji-ho", "Jun-seo", "Min-jun", "Seung", "Woo-jin"),
        last=("Ahn", "Bae", "Cho", "Choi", "Han", "Hong", "Hwang", "Jang", "Jung", "Kang",
              "Kim", "Kwon", "Lee", "Lim", "Oh", "Park", "Shin", "Song", "Yoo", "Yoon"),
    ),
    "indian": Pool(
        girls=("Aanya", "Anika", "Divya", "Harpreet", "Isha", "Jasleen", "Kavya", "Meera",
               "Navneet", "Pooja", "Priya", "Riya", "Saanvi", "Simran", "Zara"),
        boys=("Aarav", "Arjun", "Dev", "Gurpreet", "Ishaan", "Jaspreet", "Karan", "Manpreet",
              "Nikhil", "Pranav", "Rahul", "Rohan", "Sahil", "Vikram", "Zain"),
        last=("Ahmed", "Bains", "Brar", "Chaudhry", "Das", "Desai", "Dhillon", "Gill", "Grewal",
              "Gupta", "Iyer", "Joshi", "Kaur", "Khan", "Kumar", "Mehta", "Nair", "Patel",
              "Rao", "Reddy", "Sandhu", "Shah", "Sharma", "Sidhu", "Singh", "Verma"),
    ),
    "filipino": Pool(
        girls=("Althea", "Angelica", "Bea", "Bianca", "Jillian Mae", "Kristine", "Ma. Theresa",
               "Mary Grace", "Princess", "Trisha"),
        boys=("Angelo", "Christian Jay", "Gabriel", "Jericho", "John Paul", "Joshua", "Juan Miguel",
              "Nathaniel", "Paolo", "Rafael"),
        last=("Aquino", "Bautista", "Cabral", "Cruz", "De Guzman", "De Leon", "Dela Cruz",
              "Dizon", "Domingo", "Garcia", "Lacson", "Magsaysay", "Manalo", "Mendoza", "Ocampo",
              "Pascual", "Ramos", "Reyes", "Rosario", "Salonga", "San Juan", "Santos", "Soriano",
              "Tolentino", "Villanueva"),
    ),
    "hmong": Pool(
        girls=("Bao", "Gao Nou", "Kalia", "Mai", "Mee", "Pa Houa", "Pa Nhia", "Yer"),
        boys=("Chue", "Fue", "Kong", "Pao", "Tou", "Toua", "Xeng", "Yeng"),
        last=("Chang", "Her", "Kue", "Lee", "Lor", "Lo", "Moua", "Thao", "Vang", "Vue", "Xiong",
              "Yang"),
    ),
    "armenian": Pool(
        girls=("Anahit", "Ani", "Arev", "Gayane", "Lilit", "Lusine", "Mariam", "Nane", "Sona"),
        boys=("Aram", "Areg", "Davit", "Gor", "Hayk", "Narek", "Tigran", "Vahe", "Vardan"),
        last=("Abrahamyan", "Avetisyan", "Galstyan", "Grigoryan", "Hakobyan", "Harutyunyan",
              "Karapetyan", "Khachatryan", "Martirosyan", "Petrosyan", "Sargsyan", "Ter-Petrosyan"),
    ),
    "pacific": Pool(
        girls=("Alofa", "Kalani", "Leilani", "Losa", "Mele", "Noelani", "Sina", "Tiare"),
        boys=("Afa", "Ikaika", "Kai", "Keoni", "Sione", "Tavita", "Tui", "Viliami"),
        last=("Fa'asavalu", "Faleolo", "Fonoti", "Ka'ai", "Kahananui", "Leota", "Lolohea",
              "Mahe", "Pauni", "Tau", "Taufa", "Tuiasosopo", "Vea"),
    ),
}  # fmt: skip
