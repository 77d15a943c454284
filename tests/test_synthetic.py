"""Synthetic rooms: labelled, repeatable, plausible; nothing floats, nothing interpenetrates."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from s4token import openings, shells
from s4token.catalog import GENERATORS, Maker
from s4token.decoration import decorate
from s4token.furnishing import RECIPES, Furnisher, _overlap
from s4token.materials import PATTERNS, Material, paint
from s4token.shapes import Piece, Pose, box, cushion, cylinder, group, rod
from s4token.synthetic import LEAST, ROOM_KINDS, Named, _sunlit, room, single, tabletop

EXPECTED = {
    "living": {"sofa", "tv"},
    "bedroom": {"bed", "pillow"},
    "kitchen": {"kitchen cabinet"},
    "office": {"desk"},
    "bathroom": {"toilet", "sink"},
    "meeting": {"table"},
    "corridor": {"door"},
    "shop": {"reception desk"},
    "warehouse": {"pallet"},
}


ONE_SHAPE = (
    {
        "toaster",
        "water dispenser",
        "umbrella",
        "tissue box",
        "crib",
        "piano",
        "coffee maker",
        "ironing board",
        "guitar",
    }
    | {"pallet", "toilet paper", "dishwasher", "washing machine", "telephone", "stove"}
    | {*("computer mouse", "printer", "kettle", "desk lamp", "range hood")}
)


OFF_FLOOR = {"radiator": 0.15, "sink": 0.25}


def things(seed=0, names=("chair", "cup", "spaceship", "table"), n=200):
    rng = np.random.default_rng(seed)
    return [Named(rng.random((n, 3)), rng.random((n, 3)), name) for name in names]


def furnished(kind, seed=0, objects=()):
    rng = np.random.default_rng(seed)
    by_name = {}
    for thing in objects:
        by_name.setdefault(thing.category, []).append(thing)
    furnisher = Furnisher(rng, shells.shell(rng, kind), Maker(rng, by_name))
    RECIPES[kind](furnisher)
    decorate(furnisher, kind, False)
    return furnisher


@pytest.mark.parametrize("kind", ROOM_KINDS)
def test_room_is_a_complete_scan_of_its_kind(kind):
    found = set()
    for seed in range(4):
        scan = room(kind, seed, points=5000)
        assert 3500 < len(scan.cloud) <= 5000
        assert scan.labels.min() >= 1 and scan.instances.min() >= 1
        assert scan.category == kind and "wall" in scan.classes and "floor" in scan.classes
        assert set(np.unique(scan.labels)) == set(range(1, len(scan.classes) + 1))
        # Every instance has one class.
        pairs = np.unique(np.stack([scan.instances, scan.labels]), axis=1)
        assert len(pairs[0]) == len(np.unique(scan.instances))
        found |= set(scan.classes)
    assert found >= EXPECTED[kind]


def test_metres_z_up_and_everything_inside():
    scan = room("bedroom", 3, points=5000)
    floor = scan.cloud.points[scan.labels == scan.classes.index("floor") + 1]
    assert np.abs(floor[:, 2]).max() < 1e-6
    extent = np.ptp(scan.cloud.points, axis=0)
    assert 2.5 < extent[0] < 7 and 2.5 < extent[1] < 7 and 2 < extent[2] < 3.2
    assert scan.cloud.points[:, 2].min() > -0.01


def test_same_seed_same_room_other_seed_other_room():
    a, b, c = (
        room("office", 1, points=3000),
        room("office", 1, points=3000),
        room("office", 2, points=3000),
    )
    assert (a.cloud.points == b.cloud.points).all() and (a.cloud.colors == b.cloud.colors).all()
    assert (a.labels == b.labels).all() and a.classes == b.classes
    assert len(a.cloud) != len(c.cloud) or (a.cloud.points != c.cloud.points).any()


def test_small_things_get_points():
    scan = room("office", 0, points=20_000)
    counts = np.bincount(scan.instances)[1:]
    assert counts[counts > 0].min() >= LEAST // 2


@pytest.mark.parametrize("kind", ROOM_KINDS)
@pytest.mark.parametrize("seed", range(3))
def test_nothing_interpenetrates_and_all_is_inside(kind, seed):
    furnisher = furnished(kind, seed, things())
    shell = furnisher.shell
    solids = []
    for piece, pose in furnisher.things:
        for child, at in piece.walk(pose):
            if not child.parts and child.samples is None:
                continue
            low, high = (
                at.apply(_corners(child.bounds)).min(0),
                at.apply(_corners(child.bounds)).max(0),
            )
            assert (np.abs(low[:2]) < np.array([shell.width, shell.depth]) / 2 + 0.1).all()
            assert low[2] > -0.02 and high[2] < shell.height + 0.02
        mine = [s for s in _solids(piece, pose) if s[2] - s[1] > 0.05]
        for rect, z0, z1 in mine:
            for other, t0, t1 in solids:
                assert not (z0 + 0.02 < t1 and t0 + 0.02 < z1 and _overlap(rect, other))
        solids += mine


def _corners(bounds):
    return np.array([[x, y, z] for x in bounds[:, 0] for y in bounds[:, 1] for z in bounds[:, 2]])


def _solids(piece, pose):
    for corners, low, high in piece.solids:
        yield pose.apply(np.pad(corners, ((0, 0), (0, 1))))[:, :2], low + pose.z, high + pose.z


def test_a_floating_table_top_is_noticed():
    """Control of the test above: two equal boxes at one place do overlap."""
    piece = Piece("box", (box(Material((0.5, 0.5, 0.5)), (1, 1, 1)),))
    (a, _, _), (b, _, _) = *_solids(piece, Pose()), *_solids(piece, Pose(0.5, 0.5, 0, 30))
    assert _overlap(a, b)
    assert not _overlap(a, next(iter(_solids(piece, Pose(1.6, 0, 0, 45))))[0])


def test_objects_are_mixed_in_at_plausible_sizes():
    scans = [room("office", seed, points=8000, objects=things()) for seed in range(8)]
    assert any("spaceship" in scan.classes for scan in scans)
    for scan in scans:
        for name, least, most in (("chair", 0.4, 1.3), ("cup", 0.05, 0.3)):
            if name not in scan.classes:
                continue
            label = scan.classes.index(name) + 1
            for i in np.unique(scan.instances[scan.labels == label]):
                assert least < np.ptp(scan.cloud.points[scan.instances == i], axis=0).max() < most


def test_known_scale_is_kept():
    rng = np.random.default_rng(0)
    thing = Named(rng.random((500, 3)), rng.random((500, 3)), "gadget", 0.37)
    piece = Maker(rng, {"gadget": [thing]})("gadget")
    assert piece.size.max() == pytest.approx(0.37, rel=0.02)
    assert piece.bounds[0, 2] == pytest.approx(0)


@pytest.mark.parametrize("name", sorted(GENERATORS))
def test_generator(name):
    designs, colors = set(), set()
    for seed in range(6):
        piece = GENERATORS[name](np.random.default_rng(seed))
        low, high = piece.bounds
        assert np.isfinite(piece.bounds).all() and 0.05 < (high - low).max() < 3
        if name in ("ceiling light", "chandelier", "ceiling fan"):
            assert abs(high[2]) < 0.03, "hangs from z = 0"
        else:
            assert -0.03 < low[2] < OFF_FLOOR.get(name, 0.03), "stands on z = 0"
        assert abs(low + high)[0] < 1.1 * (high - low)[0]
        designs.add(sum(p.triangles.sum() for thing, _ in piece.walk() for p in thing.parts))
        colors |= {p.material.color for thing, _ in piece.walk() for p in thing.parts}
    assert len(colors) > 3
    assert len(designs) > 1 or name in ONE_SHAPE


def test_shapes():
    grey = Material((0.5, 0.5, 0.5))
    for part, volume in (
        (box(grey, (1, 2, 3), (0, 0, 1)), 6.0),
        (cylinder(grey, 1, 2, (5, 0, 0), sides=64), 2 * np.pi),
        (rod(grey, (0, 0, 0), (1, 2, 2), 0.5, sides=64), 3 * np.pi / 4),
        (cushion(grey, (2, 2, 2), power=2, cells=24), 4 / 3 * np.pi),
    ):
        a, b, c = np.moveaxis(part.triangles - part.triangles.mean(axis=(0, 1)), 1, 0)
        # Signed volume: also proves that all triangles face outwards.
        assert (a * np.cross(b, c)).sum() / 6 == pytest.approx(volume, rel=0.02)


def test_group_is_centred_and_poses_compose():
    grey = Material((0.5, 0.5, 0.5))
    unit = Piece("box", (box(grey, (1, 1, 1)),))
    both = group((unit, Pose(2, 0)), (unit, Pose(4, 0, 1)))
    assert np.allclose(both.bounds, [[-1.5, -0.5, 0], [1.5, 0.5, 2]])
    inner, outer = Pose(1, 2, 3, 30), Pose(-1, 0, 2, 75)
    point = np.array([[0.3, 0.4, 0.5]])
    assert np.allclose(inner.then(outer).apply(point), outer.apply(inner.apply(point)))


@pytest.mark.parametrize("pattern", PATTERNS)
def test_every_pattern_paints_between_its_colours(pattern):
    rng = np.random.default_rng(0)
    points, normals = rng.random((500, 3)), np.tile([0, 0, 1.0], (500, 1))
    material = Material((0.6, 0.4, 0.3), (0.2, 0.3, 0.5), (0.5, 0.5, 0.2), pattern, 0.05)
    zero = np.zeros(500, int)
    colors = paint([material], zero, points, normals, zero, rng)
    assert colors.min() >= 0 and colors.max() <= 1
    assert np.abs(np.median(colors, axis=0) - 0.4).max() < 0.35
    assert colors.std(axis=0).max() > (0.004 if pattern == "plain" else 0.01)


def test_openings_stay_in_their_wall_and_apart():
    for seed in range(12):
        rng = np.random.default_rng(seed)
        shell = shells.shell(rng, ("living", "office", "shop", "warehouse")[seed % 4])
        for wall in shell.walls:
            ends = sorted((o.at - o.width / 2, o.at + o.width / 2) for o in wall.openings)
            assert all(-wall.length / 2 < a and b < wall.length / 2 for a, b in ends)
            assert all(b < c for (_, b), (c, _) in pairwise(ends))
            assert all(0 <= o.low < o.high < shell.height for o in wall.openings)


@pytest.mark.parametrize("seed", range(12))
def test_a_door_or_window_fills_its_hole(seed):
    rng = np.random.default_rng(seed)
    for make, lowest in ((openings.door, 0.0), (openings.window, -0.2)):
        low, high = make(rng, 1.2, 1.8).bounds
        assert low[2] >= lowest and 1.8 <= high[2] < 2.05
        assert low[0] <= -0.59 and high[0] >= 0.59


def test_the_sun_comes_through_windows_alone():
    floor = np.pad(np.random.default_rng(0).uniform(-3, 3, (5000, 2)), ((0, 0), (0, 1)))
    up = np.tile([0.0, 0, 1], (5000, 1))
    hole = openings.Opening(0.5, 1.0, 0.9, 2.0, "window")
    lit = []
    for openings_ in ((hole,), (replace(hole, kind="door"),)):
        wall = openings.Wall(Pose(0, -3, 0, 180), 6.0, openings_)
        shell = shells.Shell(6, 6, 2.5, (wall,), None, ())
        suns = [_sunlit(floor, up, shell, np.random.default_rng(s)) for s in range(10)]
        lit.append(np.mean([s > 0 for s in suns]))
        if openings_[0].kind == "window":
            # As wide as the window, and not right below it.
            for sun in suns:
                spot = floor[sun > 0]
                assert len(spot) and spot[:, 1].min() > -2.6
    assert 0.005 < lit[0] < 0.2 and lit[1] == 0


def test_tabletop_is_small_and_laden():
    laden = 0
    for seed in range(4):
        scan = tabletop(seed, points=4000, objects=things())
        assert np.ptp(scan.cloud.points, axis=0).max() < 4
        laden += len(np.unique(scan.instances)) > 6
    assert laden >= 2


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: room("castle"), "kind"),
        (lambda: room("living", points=10), "points"),
        (lambda: tabletop(points=0), "points"),
        (lambda: Named(np.zeros((0, 3)), np.zeros((0, 3)), "x"), "points"),
        (lambda: Named(np.zeros((4, 3)), np.zeros((3, 3)), "x"), "colors"),
        (lambda: Named(np.full((4, 3), np.nan), np.zeros((4, 3)), "x"), "points"),
        (lambda: Named(np.zeros((4, 3)), np.zeros((4, 3)), "x", -1), "scale"),
    ],
)
def test_bad_input(call, match):
    with pytest.raises(ValueError, match=match):
        call()


def test_a_room_without_furniture_of_ours_is_furnished_anew(monkeypatch):
    furnish, empty = dict(RECIPES), [True, True]
    once = lambda kind: lambda f: empty.pop() if empty else furnish[kind](f)  # noqa: E731
    monkeypatch.setattr("s4token.synthetic.RECIPES", {kind: once(kind) for kind in furnish})
    assert len(single(0, points=2000).cloud) > 1000 and not empty


@pytest.mark.parametrize("seed", range(6))
def test_a_thing_alone_has_nothing_around_it(seed):
    scan = single(seed, points=5000)
    again = single(seed, points=5000)
    assert (scan.cloud.points == again.cloud.points).all() and (scan.labels == again.labels).all()
    assert not {"wall", "floor", "ceiling"} & set(scan.classes) and (scan.labels > 0).all()
    assert 4000 < len(scan.cloud) <= 5000
    low, high = scan.cloud.points.min(axis=0), scan.cloud.points.max(axis=0)
    assert (high - low).max() < 5
