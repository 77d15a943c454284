"""Words for many things at once, furniture or clutter, taught from scenes whose things have names.

A scene's names say what is furniture, but no token of it is ever called so. In some scenes the
members of one such word bear it instead of their names.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from s4token.clip_batches import random_on

RENAMED = 0.3
"""Share of the scenes of a step in which the members of a word are called by it."""

# One word and what it stands for a line; indented lines continue.
_WORDS = """
seat: chair, armchair, office chair, bar stool, stool, bench, sofa, ottoman
storage: shelf, bookshelf, cabinet, kitchen cabinet, bathroom cabinet, wardrobe, dresser, drawer,
    nightstand, tv stand, shoe rack, spice rack, clothes rack, coat rack, storage bin, trunk,
    treasure chest
appliance: refrigerator, stove, oven, microwave, dishwasher, washing machine, clothes dryer, range
    hood, air conditioner, vending machine, water dispenser, toaster, kettle, coffee maker, blender,
    fan
electronics: tv, computer, computer monitor, laptop, keyboard, computer mouse, printer, tablet, cell
    phone, telephone, speaker, radio, camera, security camera, control console, drone
light: lamp, table lamp, desk lamp, floor lamp, wall lamp, ceiling light, chandelier, lantern,
    candle, candelabrum, flashlight, torch, street light
plant: potted plant, cactus, flower, bush, tree, palm tree, bamboo, grass, hedge, christmas tree,
    corn plant, tomato plant, rice plant, apple tree, orange tree, pine tree, birch tree, willow
    tree, bare tree
food: apple, banana, orange, lemon, peach, pear, plum, strawberry, watermelon, tomato, potato,
    carrot, corn, onion, lettuce, pumpkin, mushroom, bread bun, cake, cupcake, donut, cookie,
    cheese, ham, hamburger, hot dog, pizza, steak, ice cream, soda can, soup can, tuna can, meat
    can, cracker box, sugar box, pudding box, gelatin box, mustard bottle, ketchup bottle, coconut
kitchenware: cup, mug, bowl, plate, dinner plate, pitcher, goblet, cooking pot, saucepan, frying
    pan, cutting board, dish rack, spoon, fork, knife, spatula, tray, kettle, cauldron
container: cardboard box, basket, bucket, crate, vegetable crate, barrel, jar, can, storage bin,
    trash can, package, suitcase, container, urn, pouch, bag, backpack
tool: hammer, screwdriver, wrench, power drill, clamp, scissors, axe, shovel, ladder, broom, saw
    blade, scythe, workbench
toy: ball, soccer ball, tennis ball, baseball, softball, golf ball, cricket ball, rubber ball, teddy
    bear, toy airplane, toy block, lego brick, rubik's cube, die
vehicle: car, pickup truck, taxi, police car, bus, school bus, fire truck, ambulance, bicycle,
    train, train car, locomotive, boat, sailboat, sailing ship, cruise ship, airplane, cart, rover,
    utility vehicle, military tank, spaceship
animal: dog, cat, bird, chick, horse, cow, bull, pig, sheep, donkey, alpaca, llama, deer, elk,
    zebra, fox, wolf, rat, frog, snake, fish, goldfish, shark, whale, dolphin, eagle, seagull, bee,
    wasp, spider, worm, crab
decoration: picture, picture frame, poster, vase, mirror, statue, clock, candle, banner, flag,
    flower, urn
"""
_FURNITURE = """
table, desk, coffee table, side table, kitchen table, reception desk, workbench, bed, bunk bed,
crib, piano
"""
_HULL = """
wall, floor, ceiling, column, beam, wooden beam, door, door frame, doorway, elevator door, elevator,
gate, window, stairs, railing, arch, roof, road, kitchen counter, kitchen sink, sink, toilet,
bathtub, shower, shower curtain, curtain, blinds, rug, radiator, whiteboard, bulletin board,
projector screen, person, fireplace
"""
REST = ("clutter", "object", "thing")
"""Words for whatever is neither furniture nor an appliance nor part of the building."""
_WEIGHTS = {"furniture": 3.0} | {word: 2.0 for word in REST}
"""How often a word is drawn, where not once."""


def _listed(text: str) -> frozenset[str]:
    return frozenset(name.strip() for name in " ".join(text.split()).split(","))


def hypernyms(names: Collection[str]) -> dict[str, frozenset[str]]:
    """Return what each word stands for among ``names``, without words that stand for none."""
    lines = _WORDS.strip().replace("\n    ", " ").split("\n")
    found = {word: _listed(members) for word, members in (line.split(":") for line in lines)}
    furniture = _listed(_FURNITURE) | found["seat"] | found["storage"]
    known = furniture | found["appliance"] | _listed(_HULL)
    found["furniture"] = furniture
    found |= {word: frozenset(names) - known for word in REST}
    found = {word: (members & set(names)) - {word} for word, members in found.items()}
    return {word: members for word, members in found.items() if members}


class Hypernyms:
    """Call things by a word for many, in some scenes of a batch.

    own: the names that scenes use. ``names`` are those and the words, sorted; device: that of the
    shares.
    """

    def __init__(self, own: Collection[str], device: torch.device) -> None:
        stand = hypernyms(own)
        self.names = sorted(set(own) | set(stand))
        ids = {name: number for number, name in enumerate(self.names)}
        self.alone = torch.tensor([name not in own for name in self.names], device=device)
        """Which names no scene uses itself."""
        self.words = [ids[word] for word in stand]
        members = np.zeros((len(stand), len(ids)), bool)
        for row, of in zip(members, stand.values(), strict=True):
            row[[ids[name] for name in of]] = True
        self.members = torch.from_numpy(members).to(device)
        weights = np.array([_WEIGHTS.get(word, 1.0) for word in stand])
        self.odds = weights / weights.sum()

    def frequency(self, of_names: Float[Tensor, "C"]) -> Float[Tensor, "C"]:
        """Return how often each name is met when some things are called by words as well."""
        met = torch.from_numpy(RENAMED * self.odds).to(of_names) * (
            self.members.to(of_names) @ of_names
        )
        return of_names.index_add(
            0, torch.tensor(self.words, dtype=torch.long, device=met.device), met
        )

    def called(
        self, share: Float[Tensor, "B T C"], rng: np.random.Generator, generator: torch.Generator
    ) -> tuple[Float[Tensor, "B T C"], Bool[Tensor, "B C"]]:
        """Call by one word, in some scenes, all that it stands for.

        share: of every name in a token. Returns the new shares, and which names must not compete
        with others in each scene: those that the word stands for, and words that are not drawn.
        """
        if not self.words:
            return share, self.alone.expand(len(share), -1)
        drawn = int(rng.choice(len(self.words), p=self.odds))
        some = random_on(generator)[0](len(share)) < RENAMED
        under = self.members[drawn] & some[:, None]
        together = (share * under[:, None]).sum(dim=-1)
        share = share.masked_fill(under[:, None], 0)
        share[..., self.words[drawn]] += together
        return share, under | self.alone & (share.amax(dim=1) == 0)
