"""A small chat with a finished bundle, in the stock engine (LiteRT-LM) that phones run it in.

On a terminal, answers appear token by token; Ctrl-C stops the answer and not the program. Without one, every line of
the input is a message, and the output is the answers alone, so that scripts can use it.

``find`` finds the model, ``apart`` puts the engine into a process of its own, ``engine`` opens it, ``talk`` holds a
conversation, ``tools`` lets the model call functions, ``terminal`` and ``piped`` speak with the user, ``pictures``
reads images, ``shown`` says what of a text a terminal gets, and ``control`` what of a text the model gets.
"""

from convert.chat.find import find
from convert.chat.run import chat
from convert.chat.settings import Settings

__all__ = ["Settings", "chat", "find"]
