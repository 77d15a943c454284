"""What stands together: dining sets, workplaces, kitchen runs, racks, in metres."""

from __future__ import annotations

from . import appliances, furniture
from . import materials as m
from .catalog import DESKTOP, TABLEWARE, WORKTOP, Maker, chance, load, loaded
from .materials import pick
from .shapes import Part, Piece, Pose, Top, box, group

BEDSIDE = (
    *(
        "table lamp",
        "table lamp",
        "table lamp",
        "book",
        "cup",
        "vase",
        "telephone",
        "picture frame",
    ),
)
"""What stands on small tables beside beds and sofas."""


def seats_around(make: Maker, table: Piece, name: str, density: float) -> list[tuple[Piece, Pose]]:
    """Return seats around a table, facing it."""
    rng, things = make.rng, []
    wide, deep, _ = table.size
    seat = make(name)
    gap = rng.uniform(-0.12, 0.12)
    for side, long, off in (
        (0, wide, deep),
        (180, wide, deep),
        (90, deep, wide),
        (270, deep, wide),
    ):
        count = int(long / rng.uniform(0.58, 0.75))
        for i in range(count):
            if not chance(rng, density):
                continue
            again = seat if chance(rng, 0.8) else make(name)
            along = (i - (count - 1) / 2) * long / max(count, 1) + rng.normal(0, 0.02)
            away = off / 2 + seat.size[1] / 2 + gap + abs(rng.normal(0, 0.08)) - 0.1
            # A chair faces -y, so one at +y of the table faces it.
            things.append((again, Pose(along, away, 0, rng.normal(0, 7)).then(Pose(yaw=side))))
    return things


def dining(make: Maker) -> Piece:
    """Return a table with chairs and tableware."""
    table = loaded(make, make("table"), TABLEWARE, 4)
    seats = seats_around(make, table, "chair", make.rng.uniform(0.6, 1.0))
    return group((table, Pose()), *seats)


def meeting(make: Maker) -> Piece:
    """Return a large table with many chairs, laptops and papers."""
    rng = make.rng
    wide, deep = rng.uniform(1.8, 3.6), rng.uniform(0.9, 1.4)
    table = furniture.tabletop(rng, "table", wide, deep, rng.uniform(0.71, 0.76), False)
    table = loaded(make, table, ("laptop", "paper", "cup", "bottle", "telephone"), 6)
    seats = seats_around(make, table, pick(rng, "office chair", "chair"), rng.uniform(0.7, 1.0))
    return group((table, Pose()), *seats)


def lounge(make: Maker) -> Piece:
    """Return a sofa with coffee table, rug and what stands beside it; its back is at +y."""
    rng = make.rng
    sofa = make("sofa")
    wide, deep, _ = sofa.size
    things = [(sofa, Pose())]
    low_table = loaded(make, make("coffee table"), TABLEWARE, 2.5)
    ahead = -deep / 2 - low_table.size[1] / 2 - rng.uniform(0.3, 0.5)
    if chance(rng, 0.8):
        things.append((low_table, Pose(rng.normal(0, 0.1), ahead)))
    if chance(rng, 0.7):
        things.append((make("rug"), Pose(rng.normal(0, 0.1), ahead)))
    if chance(rng, 0.45):
        side = pick(rng, -1, 1)
        x = side * (low_table.size[0] / 2 + 0.85)
        things.append(
            (
                make("armchair", "armchair", "ottoman"),
                Pose(x, ahead, 0, -90 * side + rng.normal(0, 12)),
            )
        )
    for side in (-1, 1):
        if chance(rng, 0.4):
            beside = make("side table", "floor lamp", "potted plant")
            if beside.tops:
                beside = loaded(make, beside, BEDSIDE, 1.2)
            things.append((beside, Pose(side * (wide / 2 + 0.05 + beside.size[0] / 2), deep * 0.2)))
    return group(*things)


def television(make: Maker) -> Piece:
    """Return a television on its stand."""
    rng = make.rng
    stand = make("tv stand", "tv stand", "cabinet")
    z = float(stand.bounds[1, 2])
    things = [(stand, Pose()), (make("tv"), Pose(rng.normal(0, 0.05), 0, z))]
    if chance(rng, 0.5):
        x = stand.size[0] / 2 + 0.2
        things.append((make("speaker", "potted plant"), Pose(pick(rng, -1, 1) * x)))
    return group(*things)


def sleeping(make: Maker) -> Piece:
    """Return a bed with nightstands, lamps and a rug; its head is at +y."""
    rng = make.rng
    bed = make("bed")
    wide, deep, _ = bed.size
    things = [(bed, Pose())]
    for side in (-1, 1):
        if chance(rng, 0.75):
            stand = make("nightstand")
            stand = loaded(make, stand, BEDSIDE, 1.8)
            x = side * (wide / 2 + stand.size[0] / 2 + rng.uniform(0.03, 0.15))
            things.append((stand, Pose(x, deep / 2 - stand.size[1] / 2 - 0.03)))
    if chance(rng, 0.4):
        things.append((make("rug"), Pose(rng.normal(0, 0.3), -deep * 0.2)))
    return group(*things)


def workplace(make: Maker) -> Piece:
    """Return a desk with computer, clutter and a chair; its back is at +y."""
    rng = make.rng
    desk = make("desk")
    wide, deep, _ = desk.size
    z = float(desk.bounds[1, 2])
    things = [(desk, Pose())]
    if chance(rng, 0.75):
        screens = pick(rng, 1, 1, 2)
        for i in range(screens):
            x = (i - (screens - 1) / 2) * 0.62 + rng.normal(0, 0.03)
            yaw = rng.normal(0, 6) - 15 * (i - (screens - 1) / 2)
            things.append((make("computer monitor"), Pose(x, deep * 0.22, z, yaw)))
        things.append(
            (make("keyboard"), Pose(rng.normal(0, 0.05), -deep * 0.18, z, rng.normal(0, 5)))
        )
        things.append((make("computer mouse"), Pose(0.33, -deep * 0.18, z, rng.normal(0, 15))))
        if chance(rng, 0.5):
            things.append((make("computer"), Pose(pick(rng, -1, 1) * wide * 0.36, 0, 0)))
    else:
        things.append((make("laptop"), Pose(rng.normal(0, 0.1), -0.03, z, rng.normal(0, 10))))
    for side in (-1, 1):
        x = side * (wide / 2 - 0.16)
        top = Top(x, 0.04, z, 0.3, deep * 0.8, 0.7)
        things += load(make, top, DESKTOP, int(rng.poisson(1.5)))
    seat = make("office chair", "office chair", "chair")
    away = -deep / 2 - seat.size[1] * rng.uniform(0.05, 0.6)
    things.append((seat, Pose(rng.normal(0, 0.15), away, 0, 180 + rng.normal(0, 30))))
    if chance(rng, 0.4):
        things.append((make("trash can"), Pose(pick(rng, -1, 1) * (wide / 2 + 0.25), 0)))
    return group(*things)


def kitchen_run(make: Maker, length: float) -> Piece:
    """Return base and wall units, sink, stove and hood side by side along ``length`` metres."""
    rng = make.rng
    front, top = (m.wood(rng) if chance(rng, 0.6) else m.plain(rng, m.PAINTS)), m.stone(rng)
    upper, high = rng.uniform(1.4, 1.5), rng.uniform(0.55, 0.8)
    wanted = ["sink", "stove"]
    wanted += [
        n
        for n, p in (("refrigerator", 0.8), ("dishwasher", 0.5), ("washing machine", 0.2))
        if chance(rng, p)
    ]
    order = [wanted[i] for i in rng.permutation(len(wanted))]
    things: list[tuple[Piece, Pose]] = []
    x = 0.0
    while True:
        name = order.pop() if order and chance(rng, 0.75) else "base"
        if name == "refrigerator":
            piece = make("refrigerator")
        elif name in ("stove", "dishwasher", "washing machine"):
            piece = loaded(make, make(name), ("cooking pot",), 1.0 if name == "stove" else 0.3)
        elif name == "sink":
            piece = appliances.kitchen_sink(rng, front, top)
        else:
            unit = appliances.base_unit(rng, front, top, float(rng.choice([0.4, 0.5, 0.6, 0.8])))
            piece = loaded(make, unit, WORKTOP, 1.8)
        wide = float(piece.size[0])
        if x + wide > length:
            break
        things.append((piece, Pose(x + wide / 2, 0.31 - float(piece.bounds[1, 1]))))
        if name == "stove" and chance(rng, 0.35):
            visor = appliances.visor_hood(rng, wide)
            things.append((visor, Pose(x + wide / 2, 0.06, upper - float(visor.size[2]) - 0.005)))
            above = appliances.wall_unit(rng, front, wide, high)
            things.append((above, Pose(x + wide / 2, 0.14, upper)))
        elif name == "stove" and chance(rng, 0.85):
            hood = make("range hood")
            things.append(
                (hood, Pose(x + wide / 2, 0.31 - hood.bounds[1, 1], rng.uniform(1.5, 1.65)))
            )
        elif name in ("base", "sink", "dishwasher") and chance(rng, 0.75):
            things.append(
                (appliances.wall_unit(rng, front, wide, high), Pose(x + wide / 2, 0.14, upper))
            )
        x += wide
    return group(*things) if things else group((appliances.base_unit(rng, front, top, 0.6), Pose()))


def counter(make: Maker) -> Piece:
    """Return a shop's or reception's counter with a till."""
    rng, wide = make.rng, make.rng.uniform(1.2, 2.6)
    body, top = m.wood(rng), m.wood(rng)
    parts = (box(body, (wide, 0.6, 0.95)), box(top, (wide + 0.1, 0.7, 0.05), (0, 0, 0.95)))
    piece = Piece("reception desk", parts, tops=(Top(0, 0, 1.0, wide * 0.9, 0.6),))
    piece = piece.with_things(
        [(make("computer monitor"), Pose(rng.uniform(-0.3, 0.3), 0, 1.0, 180))]
    )
    return loaded(
        make,
        Piece(piece.category, piece.parts, piece.children, (Top(wide / 3, 0, 1.0, wide / 4, 0.5),)),
        DESKTOP,
        2,
    )


def goods_shelf(make: Maker) -> Piece:
    """Return a shop shelf with goods of few kinds."""
    rng = make.rng
    kinds = [
        str(n)
        for n in rng.choice(
            [
                "bottle",
                "cardboard box",
                "bowl",
                "bag",
                "vase",
                "cup",
                "storage bin",
                "book",
                "ball",
                "cooking pot",
            ],
            3,
        )
    ]
    return loaded(make, make("shelf", "bookshelf"), kinds, 5)


def rack(make: Maker) -> Piece:
    """Return heavy-duty racking with boxes and pallets on its levels."""
    rng = make.rng
    wide, deep, levels, step = (
        rng.uniform(1.8, 5.0),
        rng.uniform(0.8, 1.1),
        int(rng.integers(2, 6)),
        rng.uniform(0.9, 1.7),
    )
    post, beam = (
        m.Material(m.tinted(rng, m.palette("1f4f8f 2d6a4f 6d7175 8a2f2a"))),
        m.Material(m.tinted(rng, m.palette("d9722a d8b02a 8f9499"))),
    )
    high = levels * step
    parts: list[Part] = [
        box(post, (0.08, 0.08, high), (sx * wide / 2, sy * deep / 2, 0))
        for sx in (-1, 1)
        for sy in (-1, 1)
    ]
    tops = []
    for i in range(levels):
        z = 0.1 + i * step
        parts += [box(beam, (wide, 0.05, 0.1), (0, sy * deep / 2, z)) for sy in (-1, 1)]
        parts.append(box(m.wood(rng), (wide, deep, 0.02), (0, 0, z + 0.08)))
        tops.append(Top(0, 0, z + 0.1, wide * 0.95, deep, step - 0.2))
    things = []
    for top in tops:
        x = -top.width / 2
        while x < top.width / 2 - 0.4:
            thing = make("cardboard box", "cardboard box", "crate", "storage bin", "barrel")
            w, d, h = thing.size
            if x + w < top.width / 2 and h < top.room and d < deep * 1.2 and chance(rng, 0.8):
                things.append(
                    (thing, Pose(x + w / 2, rng.normal(0, 0.04), top.z, rng.normal(0, 3)))
                )
            x += float(w) + abs(rng.normal(0, 0.08))
    return Piece("shelf", tuple(parts), tuple(things))


def pallet_stack(make: Maker) -> Piece:
    """Return a pallet with a block of boxes."""
    rng, base = make.rng, make("pallet")
    unit = make("cardboard box")
    w, d, h = unit.size
    z0 = float(base.bounds[1, 2])
    things = [(base, Pose())]
    for k in range(int(rng.integers(1, 4))):
        for i in range(max(1, int(1.1 / w))):
            for j in range(max(1, int(0.8 / d))):
                if chance(rng, 0.9 - 0.2 * k):
                    at = Pose(
                        (i + 0.5) * w - 0.55,
                        (j + 0.5) * d - 0.4,
                        z0 + k * float(h),
                        rng.normal(0, 2),
                    )
                    things.append((unit, at))
    return group(*things)
