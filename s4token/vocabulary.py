"""Words of indoor scans, written by hand: names, their synonyms and what people say of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

# One entry a line: name: synonyms; descriptions separated by bars. Indented lines continue.
_THINGS = """
wall: room wall, interior wall, side wall, walls of the room, brickwork, drywall, wall surface,
    plaster wall, house wall, wall panel, wainscot; upright surface that encloses a room
    | large flat vertical surface between floor and ceiling | where you hang paintings
    | what divides two rooms | vertical plane | you drill holes in it | paint goes on it
floor: ground, floorboards, parquet, laminate floor, floor tiles, hardwood floor, linoleum,
    room floor, the ground floor surface; surface under your feet | what you stand on
    | horizontal surface at the bottom of a room | flat ground of a room | the lowest plane
    | where furniture stands | you sweep and mop it | what carpets lie on
ceiling: room ceiling, suspended ceiling, ceiling tiles, false ceiling, roof of the room, ceiling
    panel; upper surface of a room | what is above you indoors | horizontal surface at the top
    | overhead plane of a room | where lamps hang from | the highest plane inside
column: pillar, pilaster, concrete pillar, round pillar, stone column, building column; vertical
    structural support | tall upright shaft that holds a building | cylindrical support of a roof
    | upright that carries the ceiling | holds up the roof
beam: ceiling beam, wooden beam, roof beam, girder, joist, rafter, steel beam, crossbeam; long
    horizontal bar that carries a ceiling | horizontal structural member under the roof
    | long piece of timber that spans a room
window: glass window, window frame, glazing, windowpane, skylight, bay window, sash window, double
    glazing, shop window; framework of glass in a wall | lets light and air in | you open it to let
    fresh air in | transparent opening | you see the street through it
door: doorway, door panel, wooden door, sliding door, entrance door, interior door, door leaf,
    entrance, double door, doorframe, gate of a room; you open it to enter | movable barrier at an
    entrance | you knock on it | it closes a room | way in and out | has hinges and a handle
board: notice board, whiteboard, blackboard, chalkboard, pinboard, dry erase board, message board,
    writing board; flat panel on a wall to write on | teacher writes on it | where notices are
    pinned | surface for chalk or markers
clutter: stuff, mess, miscellaneous objects, assorted things, odds and ends, junk, other things,
    untidy heap, belongings, various items, bits and pieces; pile of many small things
    | things lying around | everything else in a room | disorder of mixed objects
stairs: staircase, stairway, steps, flight of stairs, stair, spiral staircase; steps from one floor
    to another | you climb it to go up | connects two storeys | how you get upstairs
railing: handrail, banister, balustrade, guard rail; bar you hold on the stairs | barrier along
    stairs or a balcony | keeps people from falling
door handle: doorknob, door knob, door lever; what you turn to open a door
air vent: vent, ventilation grille, air duct opening, ventilation shaft, hvac vent; opening that
    lets air into a room
radiator: heating radiator, heater, central heating, wall heater; metal panel that warms a room
    | hot water runs through it to heat the room
pipe: tube, water pipe, drain pipe, plumbing, conduit; long hollow cylinder for water or gas
cable: wire, power cord, electric cord, extension lead, cord, lead; carries electricity
power outlet: wall socket, plug socket, electrical outlet, power point, socket; where you plug in a
    charger
light switch: switch, wall switch, dimmer; you press it to turn on the light
roof: rooftop, roof tiles, housetop; covers the top of a building
fence: fencing, picket fence, paling, wooden fence; barrier around a garden
chair: seat, dining room chair, wooden chair, desk chair, swivel chair, sitting chair, straight
    chair, kitchen seat; something to sit on | a seat for one person | furniture to sit on
    | what you sit on at a table | has four legs, a seat and a backrest | where one person sits
    | take a seat | somewhere to sit | sitting furniture | thing for sitting
armchair: easy chair, arm chair, lounge chair, wing chair, club chair, upholstered chair;
    comfortable chair with arms | soft seat for one person
office chair: task chair, computer chair, swivel office chair, rolling chair, ergonomic chair,
    desk chair with wheels; chair with wheels | you sit on it at a computer
rocking chair: rocker, rocking armchair; chair that moves back and forth
highchair: baby chair, child seat; tall seat for feeding a baby
stool: bar stool, counter stool, kitchen stool, three-legged seat, footstool seat, milking stool,
    backless seat; simple seat with no back or arms | small round seat | you perch on it
bench: wooden bench, pew, long seat, garden bench, hallway bench, settle; long seat for two or more
    people | several people sit on it side by side | seat in a park
sofa: couch, settee, davenport, divan, lounge, sofa bed, three seater, corner sofa, sofa couch,
    two seater, leather couch, loveseat, futon couch; upholstered seat for more than one person
    | soft seat in the living room | where you lounge | a place to relax and watch films
    | where guests sit in the living room | long soft seat with cushions
ottoman: pouf, pouffe, hassock, footrest, foot stool; soft low seat for your feet
bean bag: beanbag, bean bag chair; big soft bag to sit in
table: tabletop, wooden table, round table, dining table, dinner table top, kitchen table, folding
    table, eating table, breakfast table; flat surface on four legs | you eat at it
    | where you eat dinner | where meals are served | where plates are put | you put things on it
    | furniture with a flat top and legs | where people sit around
coffee table: low table, cocktail table, lounge table, tea table, living room table; low table in
    front of a sofa
side table: end table, occasional table, accent table, small table, lamp table; small table next to
    a sofa
desk: work desk, computer desk, study table, school desk, workstation, secretary desk, work table,
    study desk; table for working | where you study | where you work with a computer
    | furniture for writing and reading | office table with drawers
reception desk: front desk, service counter, check-in counter; where visitors are welcomed
workbench: work bench, craft table, tool bench; sturdy table for tools and repairs
bed: double bed, single bed, bedstead, bed frame, queen bed, cot bed, mattress bed, king bed, divan
    bed, guest bed, bunk; where you sleep | furniture for sleeping | something to sleep on
    | place to sleep at night | you lie on it | where you take a nap | has a mattress and a
    blanket | you rest in it at night
bunk bed: bunk beds, two-storey bed, loft bed; two beds one above the other
crib: cot, baby bed, cradle, infant cot; small bed with bars for a baby
mattress: bed mattress, foam mattress; soft pad on a bed
pillow: bed pillow, cushion, throw pillow, sofa cushion, scatter cushion, bolster; soft thing for
    your head in bed | you rest your head on it | soft bag filled with feathers
blanket: bed cover, duvet, quilt, comforter, bedspread, throw, bedding; keeps you warm in bed
bookshelf: bookcase, book shelf, bookshelves, book shelves, library shelf, bookrack, shelf of books;
    shelves for books | where books stand | where you keep books | furniture that holds books
    | rows of books
shelf: shelves, wall shelf, shelving, rack, storage rack, shelving unit, ledge, wall board; flat
    board to put things on | horizontal boards that hold things
cabinet: cupboard, kitchen cupboard, wall cabinet, storage cabinet, display cabinet, buffet,
    credenza, kitchen cabinet, cabinetry, pantry cupboard, locker; furniture with doors and shelves
    | where plates and cups are kept | piece of storage furniture | you store dishes in it
filing cabinet: file cabinet, office cabinet; metal drawers for documents
wardrobe: armoire, closet, clothing cabinet, garment closet, built-in closet, walk-in closet,
    fitted wardrobe; where you hang clothes | tall cabinet for clothes | keeps shirts and jackets
    | furniture where clothes are kept
dresser: chest of drawers, drawers, bedroom dresser, tallboy, lowboy, commode of drawers, drawer
    unit; furniture with drawers for clothes | where you keep socks and underwear
drawer: desk drawer, sliding drawer, pull-out; sliding box in furniture
nightstand: bedside table, night stand, bed side table, bedside stand, bedside locker; little table
    next to a bed | where the alarm clock stands | holds a lamp by the bed
tv stand: television stand, tv bench, media console, tv cabinet, entertainment unit; low furniture
    under a television
shoe rack: shoe shelf, shoe stand, shoe cabinet; where shoes are kept
coat rack: coat stand, hat stand, coat hooks, clothes rack, coat hanger stand; where you hang your
    coat
mirror: looking glass, wall mirror, bathroom mirror, full length mirror; glass in which you see
    yourself | shows your reflection | you look at yourself in it
refrigerator: fridge, icebox, freezer, fridge-freezer, cooler, mini fridge, refrigerating cabinet;
    keeps food cool | where you keep milk | cold cupboard for food | appliance that cools food
    | you get cold drinks from it | where leftovers are kept
stove: cooker, hob, range, kitchen stove, gas stove, electric stove, stovetop, burner, cooking
    stove; you cook on it | appliance for cooking | you boil water on it | where you cook a meal
oven: baking oven, wall oven, kitchen oven; you bake bread in it | where you roast a chicken
microwave: microwave oven, micro wave, microwave cooking oven; heats food quickly
    | you warm up food in it | small electric oven
dishwasher: dish washer, dishwashing machine; washes plates and cups | cleans the dishes
washing machine: washer, laundry machine, automatic washer, front loader; washes your clothes
    | does the laundry | where dirty clothes go to be cleaned
clothes dryer: tumble dryer, dryer, drying machine; dries wet clothes
kitchen sink: sink unit, kitchen basin; where dishes are washed
sink: washbasin, wash basin, bathroom sink, basin, washbowl, washstand; you wash your hands in it
    | you wash your face in it | bowl with a tap and a drain | where water runs from the tap
tap: faucet, water tap, spigot, mixer tap; water comes out of it
toilet: loo, lavatory, wc, bog, commode, can in the bathroom, throne in the bathroom, toilet seat,
    john, restroom bowl, flush toilet; where you pee | you sit on it in the bathroom | bathroom
    fixture with a seat and a cistern
urinal: pissoir, standing toilet; men pee in it
bathtub: bath, tub, bath tub, bathing tub, jacuzzi; where you take a bath | you bathe in it
    | big basin for washing your whole body | vessel in which you lie in hot water
shower: shower cabin, shower cubicle, shower stall, shower head, shower bath; where you wash
    standing up | water sprays on you from above
towel: bath towel, hand towel, beach towel; cloth for drying your body | you dry yourself with it
towel rail: towel rack, towel bar, towel holder; where wet towels hang
toilet paper: toilet roll, loo roll, bog roll, toilet tissue, bath tissue; soft paper in the
    bathroom
bathroom cabinet: medicine cabinet, vanity unit, mirror cabinet; cabinet above the sink
kitchen counter: countertop, worktop, counter, work surface, kitchen island, benchtop, bar counter;
    flat surface in a kitchen for preparing food
range hood: extractor hood, cooker hood, extractor fan, fume hood; sucks up smoke over a stove
coffee maker: coffee machine, coffeemaker, espresso machine; makes coffee | brews a hot drink
kettle: teakettle, electric kettle, tea kettle, water boiler; boils water for tea
toaster: bread toaster; browns slices of bread
blender: food mixer, liquidizer, smoothie maker; mixes fruit into a drink
cooking pot: saucepan, pot, stockpot, casserole, pan; you cook soup in it
frying pan: skillet, frypan; you fry eggs in it
knife: kitchen knife, carving knife; you cut bread with it
plate: dish, dinner plate, saucer plate; you eat from it | flat round dish
cup: mug, coffee cup, teacup, tumbler, drinking glass; you drink from it
bowl: salad bowl, cereal bowl, soup bowl; round deep dish
bottle: glass bottle, water bottle, flask, plastic bottle; holds a drink
can: tin, tin can, drinks can, soup can, soda can; metal container for food
jar: glass jar, jam jar, pot with a lid; glass container with a lid
rug: carpet, mat, doormat, persian rug, carpeting, runner, bath mat, throw rug, hearthrug; covers
    the floor softly | soft cloth on the floor | floor covering made of wool
curtain: drape, drapes, drapery, curtains, window curtain, blind, net curtain, shade, window blind,
    shower curtain; cloth over a window | you draw it to darken the room | hangs beside a window
    | textile at a window
lamp: table lamp, desk lamp, bedside lamp, standard lamp, light, lampstand, reading
    lamp, light fixture, lampshade, lantern; gives light | you switch it on when it is dark
    | makes a room bright | shines at night
floor lamp: standard lamp on a pole, torchiere, tall lamp; tall lamp that stands on the floor
ceiling light: ceiling lamp, pendant lamp, pendant light, downlight, hanging lamp, light on the
    ceiling, recessed light, spot light, ceiling spotlight; lamp that hangs from the ceiling
    | light above your head
chandelier: crystal lamp, branched hanging light, pendant chandelier; ornate lamp with many lights
ceiling fan: fan, ventilator, overhead fan; turning blades that cool a room
air conditioner: aircon, air con, ac unit, air conditioning, cooling unit; blows cold air into a
    room
tv: television, telly, television set, tv set, flatscreen tv, smart tv, goggle box, tube, lcd tv,
    plasma tv; you watch it in the evening | screen on which you watch films | shows programmes
    | something to watch
computer: pc, desktop computer, computer tower, workstation pc, mac, computing machine, computer
    case; you work with it | electronic machine for data | machine that runs programs
computer monitor: monitor, display, computer screen, screen, lcd monitor; shows what a computer does
laptop: notebook computer, laptop computer, portable computer, macbook; computer that folds
keyboard: computer keyboard, typing keyboard, qwerty keyboard; board of keys for typing
    | you type with it | keys for writing on a computer
computer mouse: mouse, pc mouse, wireless mouse; you move the pointer with it
printer: laser printer, inkjet printer, photocopier, copier; puts text on paper
cell phone: mobile phone, smartphone, mobile, cellphone, iphone; you call people with it
telephone: phone, landline, desk phone; you talk to distant people with it
speaker: loudspeaker, sound box, hi-fi speaker, stereo speaker; plays music
radio: radio receiver, wireless set, radio set; receives broadcasts
projector: beamer, video projector; throws a picture on a wall
security camera: surveillance camera, cctv camera, cctv; watches a place for thieves
tablet: tablet computer, ipad; flat touch screen computer
piano: grand piano, upright piano, pianoforte; instrument with black and white keys
guitar: acoustic guitar, electric guitar; instrument with six strings
trash can: dustbin, rubbish bin, garbage can, waste bin, trash bin, wastebasket, waste basket, bin,
    garbage bin, waste paper basket, litter bin, trashcan, waste container, refuse bin; you throw
    rubbish into it | container for rubbish | where waste goes | somewhere to throw things away
storage bin: storage box, plastic box, tote, plastic bin, crate; box for keeping things
cardboard box: carton, cardboard carton, moving box, parcel, shipping box, packing case, box; paper
    box for packing things
basket: wicker basket, laundry basket, hamper; woven container
bucket: pail, mop bucket; carries water
suitcase: luggage, trunk, travel case, baggage; you pack clothes in it for a trip
backpack: rucksack, knapsack, school bag, bag; bag you carry on your back
potted plant: houseplant, house plant, plant pot, flower pot, indoor plant, plant in a pot, flower,
    pot plant, plant; green plant in a pot | you water it | something green in the room
vase: flower vase, urn, pottery vase; holds cut flowers
picture: painting, wall picture, artwork, framed picture, photo on the wall, photograph, wall art,
    canvas, poster, portrait, picture frame; hangs on the wall to look at | art on a wall
    | image in a frame
clock: wall clock, alarm clock, grandfather clock, timer, cuckoo clock; shows the time
    | tells the time | has hands and numbers
fireplace: open fire, chimney, fire place, mantelpiece, chimneypiece, inglenook; where logs burn
    | open fire in a living room | warms the living room with flames
candle: wax candle, taper, tealight; gives light by a small flame
book: textbook, hardback, paperback, volume, storybook, paperback book; you read it
    | has a cover and pages | bound printed pages
newspaper: paper, daily paper, magazine; prints the news of the day
toy: plaything, toys, doll, game; children play with it
teddy bear: stuffed bear, cuddly toy, soft toy; soft bear to cuddle
ball: football, sports ball, play ball; you throw and kick it
bicycle: bike, pushbike, cycle; two wheels and pedals
ladder: stepladder, step ladder; you climb it to reach high places
dumbbell: weight, hand weight, barbell; lifted to train your arms
weight bench: exercise bench, gym bench, workout bench; you lie on it to lift weights
treadmill: running machine, jogging machine; you run on it indoors
vacuum cleaner: hoover, vacuum; sucks dust from the carpet
broom: sweeping brush, besom; you sweep the floor with it
iron: flat iron, clothes iron; presses clothes smooth
ironing board: pressing board; you press shirts on it
umbrella: brolly, parasol; keeps you dry in the rain
shoe: shoes, boot, trainers, sneaker, slipper; you wear it on your foot
clothes: clothing, garments, apparel, shirt; you wear them
person: human, man, woman, someone, people, guy, lady; a human being
cat: house cat, kitty, pussycat; pet that says meow
dog: hound, puppy, doggy; pet that barks
fire extinguisher: extinguisher; red bottle that puts out a fire
sign: signboard, notice, plaque; shows information
drill: power drill, electric drill, cordless drill; makes holes in walls
hammer: claw hammer, mallet; drives nails into wood
"""

# What people add to a noun without meaning another thing.
_ATTRIBUTES = """
red green blue yellow white black grey gray brown orange purple pink beige golden silver dark
light bright colourful wooden metal plastic glass leather fabric velvet stone marble concrete
brick ceramic steel wicker oak walnut pine cotton woollen paper big small large little tall low
long short wide narrow huge tiny thin thick round square rectangular oval curved flat old new
modern antique vintage rustic broken dirty clean empty full open closed soft hard heavy
comfortable cheap elegant simple ugly beautiful dusty shiny painted striped padded folding
wall-mounted free-standing upholstered built-in portable electric
"""
ATTRIBUTES: tuple[str, ...] = tuple(_ATTRIBUTES.split())

# Wordings around a noun; what is said of a picture or a scan adds nothing to the thing.
TEMPLATES: tuple[str, ...] = (
    *("{}",) * 6,
    *("a {}", "a {}", "the {}", "a photo of a {}", "a photo of the {}", "a picture of a {}"),
    *("an image of a {}", "a 3d scan of a {}", "a 3d model of a {}", "a scan of a {}"),
    *("point cloud of a {}", "a point cloud of a {}", "a depth map of a {}", "a rendering of a {}"),
    *("a {} in a room", "a {} in a scene", "there is a {} in the scene", "this is a {}", "some {}"),
    *("a blurry photo of a {}", "a close-up photo of a {}", "my {}", "one {}", "{} object"),
    *("a mesh of a {}", "a low resolution {}", "a part of a {}", "points of a {}", "find the {}"),
)
_PLURAL_TEMPLATES = ("{}", "{}", "{}", "the {}", "some {}", "two {}", "many {}", "photo of {}")
ROOMS: tuple[str, ...] = (
    *("kitchen", "bathroom", "bedroom", "living room", "office", "hallway", "garage", "hotel"),
    *("dining room", "classroom", "library", "shop", "warehouse", "house", "flat", "lounge"),
)
"""Places that say where a thing is, not what it is."""


@dataclass(frozen=True)
class Thing:
    """Hold an indoor category with other names for it and what it is for."""

    name: str
    synonyms: tuple[str, ...]
    descriptions: tuple[str, ...]


def normalised(phrase: str) -> str:
    """Return a phrase in lower case, with single spaces and no underscores."""
    return " ".join(phrase.replace("_", " ").lower().split())


def things() -> tuple[Thing, ...]:
    """Return the indoor categories that were written by hand."""
    return tuple(_parse(_THINGS))


def _parse(text: str) -> Iterator[Thing]:
    for line in text.strip().replace("\n    ", " ").splitlines():
        name, rest = line.split(":", 1)
        synonyms, _, descriptions = rest.partition(";")
        yield Thing(
            name.strip(),
            tuple(normalised(s) for s in synonyms.split(",")),
            tuple(normalised(d) for d in descriptions.split("|") if d.strip()),
        )


def plural(noun: str) -> str:
    """Return the English plural of a noun phrase, by the ordinary rules."""
    irregular = {
        "shelf": "shelves",
        "bookshelf": "bookshelves",
        "knife": "knives",
        "person": "people",
        "mouse": "mice",
    }
    head, _, last = noun.rpartition(" ")
    lead = head + " " if head else ""
    if last in irregular:
        return lead + irregular[last]
    if last.endswith(("s", "x", "ch", "sh")):
        return lead + (last if last.endswith("s") and not last.endswith("ss") else last + "es")
    if last.endswith("y") and last[-2:-1] not in "aeiou":
        return lead + last[:-1] + "ies"
    return lead + last + "s"


def pick(rng: np.random.Generator, options: Sequence[str]) -> str:
    """Return one of the options; ``rng.choice`` would make an array of them each time."""
    return options[int(rng.integers(len(options)))]


def wordings(noun: str, rng: np.random.Generator) -> str:
    """Return one of the ways to write a noun: template, article, plural or upper case."""
    if rng.random() < 0.2:
        text = pick(rng, _PLURAL_TEMPLATES).format(plural(noun))
    else:
        text = pick(rng, TEMPLATES).format(noun)
        if noun[:1] in "aeiou":
            text = text.replace(f"a {noun}", f"an {noun}")
    case = rng.random()
    return text.upper() if case < 0.04 else text.capitalize() if case < 0.12 else text
