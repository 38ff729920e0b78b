"""ISO 3166 countries and ISO 4217 currencies: facts to be learned by heart, asked in several ways.

The data is pycountry's. Of each fact all phrasings but one are trained; the one that is left out is the exam.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from convert.demo.train.questions import Exam, Turn, pick, share

LONGEST_NAME = 16
FOLLOW_UP = 0.3


@dataclass(frozen=True)
class Relation:
    """A kind of fact: how to ask for it, ``{}`` being what is given."""

    name: str
    phrasings: tuple[str, ...]


TWO = Relation(
    "country to alpha-2",
    (
        "What is the two-letter code of {}?",
        "Which two letters stand for {}?",
        "{} in two letters?",
        "Give the two-letter code for {}.",
        "Two-letter code of {}, please.",
    ),
)
THREE = Relation(
    "country to alpha-3",
    (
        "What is the three-letter code of {}?",
        "Which three letters stand for {}?",
        "{} in three letters?",
        "Give the three-letter code for {}.",
        "Three-letter code of {}, please.",
    ),
)
COUNTRY = Relation(
    "alpha-2 to country",
    (
        "Which country has the code {}?",
        "What country is {}?",
        "{} is the code of which country?",
        "Name the country with the code {}.",
        "Which country does {} stand for?",
    ),
)
MONEY = Relation(
    "currency to code",
    (
        "What is the currency code of the {}?",
        "Give the currency code for the {}.",
        "Currency code of the {}, please.",
        "Which currency code has the {}?",
        "How is the {} abbreviated?",
    ),
)
CURRENCY = Relation(
    "code to currency",
    (
        "Which currency has the code {}?",
        "What currency is {}?",
        "{} is the code of which currency?",
        "Name the currency with the code {}.",
        "Which currency does {} stand for?",
    ),
)
RELATIONS = (TWO, THREE, COUNTRY, MONEY, CURRENCY)
NEXT = "And {}?"
OTHER_CODE = {TWO: ("And in three letters?", THREE), THREE: ("And in two letters?", TWO)}


def plain(name: str, longest: int = LONGEST_NAME) -> bool:
    """Whether a name is made of ASCII letters and spaces and is short enough to be typed."""
    return name.isascii() and len(name) <= longest and all(letter.isalpha() or letter == " " for letter in name)


def facts() -> dict[Relation, dict[str, str]]:
    """All facts by relation: given -> wanted, sorted."""
    import pycountry

    countries = sorted(
        (name, country.alpha_2, country.alpha_3)
        for country in pycountry.countries
        if plain(name := getattr(country, "common_name", country.name))
    )
    # Codes that begin with X belong to metals and funds, those that name a fund or an index are nobody's money.
    currencies = sorted(
        (money.name, money.alpha_3)
        for money in pycountry.currencies
        if plain(money.name) and not money.alpha_3.startswith("X") and not money.name.startswith(("Unidad", "WIR"))
    )
    return {
        TWO: {name: two for name, two, _ in countries},
        THREE: {name: three for name, _, three in countries},
        COUNTRY: {two: name for name, two, _ in countries},
        MONEY: dict(currencies),
        CURRENCY: {code: name for name, code in currencies},
    }


def left_out(relation: Relation, given: str) -> int:
    """Index of the phrasing in which this fact is never trained."""
    return share(f"almanac {relation.name} {given}", len(relation.phrasings))


def followed(relation: Relation, first: str, second: str) -> bool:
    """Whether the follow-up from one fact to another is held out."""
    return share(f"almanac {relation.name} {first} then {second}", 6) == 0


class Almanac:
    """The family of facts."""

    def __init__(self) -> None:
        self.facts = facts()
        self.given = {relation: list(table) for relation, table in self.facts.items()}

    def ask(self, relation: Relation, given: str, phrasing: int) -> Turn:
        return Turn(relation.phrasings[phrasing].format(given), self.facts[relation][given])

    def draw(self, random: np.random.Generator) -> list[Turn]:
        # By number of facts, so that each is seen equally often.
        sizes = np.array([len(self.given[relation]) for relation in RELATIONS])
        relation = RELATIONS[int(random.choice(len(RELATIONS), p=sizes / sizes.sum()))]
        given = self.given[relation][pick(random, len(self.given[relation]))]
        trained = [i for i in range(len(relation.phrasings)) if i != left_out(relation, given)]
        turns = [self.ask(relation, given, trained[pick(random, len(trained))])]
        if random.random() < FOLLOW_UP:
            turns += self.follow(random, relation, given)
        return turns

    def follow(self, random: np.random.Generator, relation: Relation, given: str) -> list[Turn]:
        """A second question that is understood only from the first."""
        if relation in OTHER_CODE and random.random() < 0.4:
            question, other = OTHER_CODE[relation]
            return [] if followed(other, given, given) else [Turn(question, self.facts[other][given])]
        second = self.given[relation][pick(random, len(self.given[relation]))]
        if followed(relation, given, second):
            return []
        return [Turn(NEXT.format(second), self.facts[relation][second])]

    def exams(self) -> list[Exam]:
        return [
            Exam("almanac", (), self.ask(relation, given, left_out(relation, given)))
            for relation in RELATIONS
            for given in self.given[relation]
        ]

    def words(self) -> list[str]:
        asked = [phrase for relation in RELATIONS for phrase in relation.phrasings] * 40
        asked += [NEXT, *(question for question, _ in OTHER_CODE.values())] * 40
        names = [*self.given[TWO], *self.given[MONEY]]
        return [*asked, *names, *("x " + name for name in names)]


class FollowUps:
    """Second questions ("And France?"), whose first turn says what is asked. Drawn by the almanac itself."""

    def __init__(self, almanac: Almanac) -> None:
        self.almanac = almanac

    def draw(self, random: np.random.Generator) -> list[Turn]:
        return self.almanac.draw(random)

    def exams(self) -> list[Exam]:
        out = []
        for relation in RELATIONS:
            given = self.almanac.given[relation]
            for i, first in enumerate(given):
                before = (self.almanac.ask(relation, first, (left_out(relation, first) + 1) % 5),)
                second = given[(i * 7 + 3) % len(given)]
                if followed(relation, first, second):
                    wanted = self.almanac.facts[relation][second]
                    out.append(Exam("follow-up", before, Turn(NEXT.format(second), wanted)))
                if relation in OTHER_CODE and followed(OTHER_CODE[relation][1], first, first):
                    question, other = OTHER_CODE[relation]
                    out.append(Exam("follow-up", before, Turn(question, self.almanac.facts[other][first])))
        return out

    def words(self) -> list[str]:
        return []
