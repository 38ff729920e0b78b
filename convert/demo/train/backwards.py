"""Spelling a word backwards. Trained on made-up words; the exam asks for real ones, of which none is trained."""

from __future__ import annotations

import numpy as np

from convert.demo.train.questions import Exam, Turn, pick, share

PHRASINGS = (
    'Spell "{}" backwards.',
    'What is "{}" spelled backwards?',
    'Write "{}" in reverse.',
    'Reverse the letters of "{}".',
    '"{}" backwards, please.',
)
NEXT = 'And "{}"?'
VOWELS, CONSONANTS = "aeiou", "bcdfghjklmnprstvwyz"
# Of three to six letters.
REAL = tuple(
    """
able acid also apple april arm army atom aunt autumn baby back bag ball band bank bear bed bell bird blue board boat
body book born bow box boy brain branch bread brick bridge brown brush cake camp candy car card cat chain chair chalk
cheese cherry circle city clock cloud coat coffee coin cold color cook copper corn cow cream crown cup dance day deer
desk dish doctor dog door dream dress drum duck dust eagle ear earth egg elbow engine eye face farm fast fat feet fern
field finger fire fish flag flame floor flower fog foot forest fork fox friend frog fruit garden gate ghost gift glass
glove goat gold grape grass green guitar hair hammer hand harbor hat head heart hill honey horse house ice ink iron
island jacket jam jar jewel juice jump key king kite knee knife ladder lake lamp leaf lemon letter light lime lion lip
log long lunch map market milk mirror money moon mouse mouth mud music nail name neck nest night north nose ocean oil
olive onion orange oven owl page paint palm paper park path pen pencil pepper piano pig pilot pipe plate plum pocket
pond potato purple queen quiet rabbit radio rain red rice ring river road robot rock roof room root rope rose salt
sand school sea seed shark sheep shell ship shirt shoe silk silver sister sky snake snow soap sock soup spoon spring
square star stone street sugar summer sun table tail tea teeth tent tiger toe tomato tool town toy train tree trunk
tulip turtle uncle van violin voice wagon wall watch water wave wheel white wind window wing winter wolf wood wool
word world yard yellow zebra
""".split()  # noqa: SIM905  (a paragraph is easier to read than 370 quoted words)
)
KNOWN = frozenset(REAL)


def made_up(random: np.random.Generator) -> str:
    """A word of three to six letters that can be pronounced, more or less; never a real one of the exam."""
    while True:
        length, vowel, word = 3 + pick(random, 4), pick(random, 2) == 0, ""
        while len(word) < length:
            letters = VOWELS if vowel else CONSONANTS
            word += letters[pick(random, len(letters))]
            vowel = not vowel if random.random() < 0.75 else vowel
        if word not in KNOWN:
            return word


class Backwards:
    """The family of words spelled backwards."""

    def draw(self, random: np.random.Generator) -> list[Turn]:
        words = [made_up(random) for _ in range(1 + (random.random() < 0.15))]
        first = Turn(PHRASINGS[pick(random, len(PHRASINGS))].format(words[0]), words[0][::-1])
        return [first, *(Turn(NEXT.format(word), word[::-1]) for word in words[1:])]

    def exams(self) -> list[Exam]:
        return [
            Exam("backwards", (), Turn(PHRASINGS[share(f"backwards {word}", 5)].format(word), word[::-1]))
            for word in REAL
        ]

    def words(self) -> list[str]:
        return [*PHRASINGS, NEXT] * 40
