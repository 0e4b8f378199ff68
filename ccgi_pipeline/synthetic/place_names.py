"""Words from which plausible districts and schools get their names.

Belongs here: words of the Californian landscape and plain school names. Does not belong here:
how they are put together (places).
"""

from __future__ import annotations

FIRST_WORDS = (
    "Acorn", "Alder", "Amber", "Aspen", "Azalea", "Bay Laurel", "Bishop Pine", "Blue Oak",
    "Buckeye", "Canvasback", "Cedar", "Chaparral", "Clear", "Condor", "Copper", "Cottonwood",
    "Coyote", "Cypress", "Deer", "Knobcone", "Dogwood", "Eagle", "East", "Egret", "Elderberry",
    "Falcon", "Fern", "Foxtail", "Golden", "Granite", "Gray Pine", "Grizzly", "Hawk", "Heron",
    "Iron", "Ironwood", "Juniper", "Lupine", "Madrone", "Manzanita", "Maple", "Meadowlark",
    "Mesquite", "Mustang", "North", "Oak", "Osprey", "Palo Alamo", "Pelican", "Pine", "Poppy",
    "Quail", "Redbud", "Sage", "Silver", "South", "Sparrow", "Stone", "Sugar Pine", "Sunset",
    "Sycamore", "Tule", "Valley Oak", "West", "Willow",
)  # fmt: skip
SECOND_WORDS = (
    "Arroyo", "Basin", "Bend", "Bluff", "Canyon", "Cove", "Creek", "Crossing", "Falls", "Ferry",
    "Field", "Flat", "Ford", "Gap", "Glen", "Grade", "Grove", "Gulch", "Harbor", "Hill",
    "Hollow", "Junction", "Knoll", "Lake", "Landing", "Ledge", "Meadows", "Mesa", "Mill",
    "Pass", "Peak", "Plains", "Point", "Pond", "Ranch", "Ridge", "River", "Rock", "Slough",
    "Springs", "Summit", "Terrace", "Valley", "Vista", "Wash", "Woods",
)  # fmt: skip
HIGH_SCHOOLS = (
    "Del Norte Vista High", "El Camino High", "Golden State High", "Independence High",
    "Jefferson High", "Liberty High", "Lincoln High", "Madison High", "Monroe High",
    "Mission Hills High", "Pacific High", "Pioneer High", "Sierra High", "Valley View High",
    "Washington High",
)  # fmt: skip
MIDDLE_SCHOOLS = (
    "Bayview Middle", "Cesar Chavez Middle", "Creekside Middle", "Foothill Middle",
    "Harriet Tubman Middle", "Lakeside Middle", "Martin Luther King, Jr. Middle",
    "Mountain View Middle", "Orchard Middle", "Rosa Parks Middle", "Sally Ride Middle",
    "Willow Glen Middle",
)  # fmt: skip
