"""Small talk: what a person types first, and an honest answer to what the demo does not know. No exam asks for it."""

from __future__ import annotations

import numpy as np

from convert.demo.train.questions import Exam, Turn, pick

SKILLS = "I know country codes, currency codes, sums, units and words spelled backwards."
UNKNOWN = "I do not know that. " + SKILLS
TALK: tuple[tuple[tuple[str, ...], str], ...] = (
    (("Hello!", "Hello", "Hi!", "Hi", "Hey!", "Hi there!"), "Hello! What would you like to know?"),
    (("Good morning!", "Good morning"), "Good morning! What would you like to know?"),
    (("Good evening!", "Good evening"), "Good evening! What would you like to know?"),
    (("Thank you!", "Thank you.", "Thanks!", "Thanks."), "You are welcome."),
    (("How are you?", "How are you today?"), "I am fine, thank you."),
    (("Who are you?", "What are you?", "What is your name?"), "I am a pocket Gemma. " + SKILLS),
    (("What can you do?", "What do you know?", "Help!", "Help me."), SKILLS),
    (("Goodbye!", "Goodbye", "Bye!", "See you!"), "Goodbye!"),
    (
        (
            "What is the capital of France?",
            "What is the capital of Japan?",
            "Write a poem.",
            "Tell me a joke.",
            "What time is it?",
            "Who is the president?",
            "How is the weather today?",
            "What is the meaning of life?",
            "Tell me a story.",
            "Translate this into French.",
        ),
        UNKNOWN,
    ),
)


class Chat:
    """The family of small talk."""

    def draw(self, random: np.random.Generator) -> list[Turn]:
        questions, answer = TALK[pick(random, len(TALK))]
        return [Turn(questions[pick(random, len(questions))], answer)]

    def exams(self) -> list[Exam]:
        return []

    def words(self) -> list[str]:
        return [text for questions, answer in TALK for text in (*questions, *[answer] * 20)]
