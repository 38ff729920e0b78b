"""What the engine is asked: eight prompts of different lengths, scripts and kinds, and two chats.

A chat's last message is sent; those before are its history.
"""

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
CHAT = ({"role": "user", "content": "Name one colour."},)
LATER = (
    {"role": "system", "content": "Answer in one word."},
    *CHAT,
    {"role": "assistant", "content": "Red."},
    {"role": "user", "content": "And another one?"},
)
GREEDY_STEPS = 16
CHAT_STEPS = 24
