"""What the engine is asked: eight prompts of different lengths, scripts and kinds, and one message to chat with."""

PROMPTS = (
    "The capital of France is",
    "def fibonacci(n: int) -> int:\n    ",
    "Once upon a time, in a village by the sea, there lived",
    "1, 1, 2, 3, 5, 8, 13, 21,",
    "Übermäßig große Straßen führen nach",
    "日本の首都は",
    '{"name": "Ada", "born": 1815, "field": "',
    "Water boils at one hundred degrees. Ice melts at zero degrees. Between the two there is",
)
CHAT = "Name one colour."
GREEDY_STEPS = 16
CHAT_STEPS = 24
