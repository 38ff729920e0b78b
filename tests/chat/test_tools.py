"""Tools: what is declared, what a call gets, and a whole round in the stock engine."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest

from convert.chat.engine import Opened, opened
from convert.chat.native_log import NativeLog
from convert.chat.settings import Settings
from convert.chat.talk import MOST_ROUNDS, Ending, Talk
from convert.chat.tools import Tool, builtin, tools_of
from convert.chat.tools.calls import Call, run
from convert.chat.tools.load import from_file
from convert.errors import PlanError
from tests.support.chat import forged_answers
from tests.support.chat import scripted_engine as scripted
from tests.support.checkpoints.published.companions import chat_template
from tests.support.commands import Outcome, convert

CALL = 'call:calculator{expression:<|"|>(47 + 38) * 2<|"|>}'
SETTINGS = Settings(False, 64, 1)
FLAGS = ("--context", "512", "--prefill", "16,64", "--modalities", "text")


def weather(city: str, days: int = 1, scale: Literal["C", "F"] = "C", hours: list[int] | None = None) -> dict[str, Any]:
    """Tells the weather
    of a city.

    Not more than that.

    Args:
        city: where, for example
            Delft
        days (int): how many
    """
    return {"city": city, "days": days, "scale": scale, "hours": hours}


def test_a_function_is_declared_by_its_docstring_and_its_hints() -> None:
    assert Tool.of(weather).declaration == {
        "type": "function",
        "function": {
            "name": "weather",
            "description": "Tells the weather of a city.",
            "parameters": {
                "type": "object",
                "properties": {
                    "city": {"type": "string", "description": "where, for example Delft"},
                    "days": {"type": "integer", "description": "how many"},
                    "scale": {"type": "string", "enum": ["C", "F"]},
                    "hours": {"type": "array", "items": {"type": "integer"}, "nullable": True},
                },
                "required": ["city"],
            },
        },
    }


@pytest.mark.parametrize(
    ("arguments", "answer"),
    [
        ({"city": "Delft"}, {"city": "Delft", "days": 1, "scale": "C", "hours": None}),
        ({"city": "Delft", "days": 2.0, "hours": [1.0]}, {"city": "Delft", "days": 2, "scale": "C", "hours": [1]}),
        ({}, "error: TypeError: missing a required argument: 'city'"),
        ({"city": 3}, "error: TypeError: city cannot be 3"),
        ({"city": "Delft", "days": 2.5}, "error: TypeError: days cannot be 2.5"),
        ({"city": "Delft", "days": True}, "error: TypeError: days cannot be true"),
        ({"city": "Delft", "scale": "K"}, 'error: TypeError: scale cannot be "K"'),
        ({"city": "Delft", "when": 1}, "error: TypeError: got an unexpected keyword argument 'when'"),
    ],
)
def test_arguments_are_held_against_the_hints(arguments: dict[str, Any], answer: Any) -> None:
    assert run(Call("weather", arguments), [Tool.of(weather)]) == answer


def failing() -> str:
    """Fails."""
    raise LookupError("no such thing")


def leaving() -> str:
    """Leaves."""
    raise SystemExit(3)


def odd() -> object:
    """Gives what is no JSON."""
    return {1}


def talkative() -> float:
    """Prints, and gives what JSON has no word for."""
    print("chatter")  # noqa: T201
    return float("nan")


def test_whatever_a_tool_does_the_model_gets_an_answer(capsys: pytest.CaptureFixture[str]) -> None:
    tools = [Tool.of(function) for function in (failing, leaving, odd, talkative)]
    answers = [run(Call(name, {}), tools) for name in ("failing", "leaving", "odd", "talkative", "unknown")]
    assert answers == [
        "error: LookupError: no such thing",
        "error: SystemExit: 3",
        "{1}",
        "nan",
        "error: there is no tool 'unknown', only failing, leaving, odd, talkative",
    ]
    assert capsys.readouterr() == ("", "chatter\n")  # stdout is for answers


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("(47 + 38) * 2", 170),
        (" -2 ** 2 ", -4),
        ("7 // 2 + 7 % 2 - +1", 3),
        ("1 / 4", 0.25),
        ("1e3", 1000.0),
        ("2 ** -1", 0.5),
        ("2 ** 100", 2**100),
    ],
)
def test_the_calculator_calculates(expression: str, value: float) -> None:
    assert builtin.calculator(expression) == value


@pytest.mark.parametrize(
    "expression",
    [
        "__import__('os').getcwd()",
        "print(1)",
        "x",
        "'a' * 3",
        "[1][0]",
        "True + 1",
        "1 if 1 else 2",
        "1j",
        "(-1) ** 0.5",
        "9 ** 9 ** 9",
        "9.0 ** 999",
        "1e999",
        "2 ** -99999",
        "1 / 0",
        "1 +",
        "",
        "1; 2",
        "\0",
        "(" * 150 + "1" + ")" * 40,
        "1" * 201,
    ],
)
def test_the_calculator_runs_nothing_and_grows_without_bounds_nowhere(expression: str) -> None:
    answer = run(Call("calculator", {"expression": expression}), tools_of("builtin"))
    assert re.match("error: (ValueError|ZeroDivisionError|OverflowError): ", answer)


def test_the_clock_tells_the_time_with_its_offset() -> None:
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:\d\d", builtin.clock())


def test_a_file_gives_its_own_public_functions(tmp_path: Path) -> None:
    (tmp_path / "beside.py").write_text("def helper(): ...\n")
    file = tmp_path / "mine.py"
    file.write_text(
        "from __future__ import annotations\nfrom beside import helper\nfrom os.path import join\n"
        "def b(x: int) -> int:\n    'Second by name.'\n    return x\n"
        "def a(x: float) -> float:\n    'First by name.'\n    return x\n"
        "def _hidden(x): ...\n"
    )
    tools = from_file(file)
    assert [tool.name for tool in tools] == ["b", "a"]
    assert run(Call("b", {"x": 3.0}), tools) == 3  # the hint is a text there
    assert sorted(path.name for path in tmp_path.iterdir()) == ["beside.py", "mine.py"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("def f(:\n", "SyntaxError in line 1"),
        ("\nimport nothing_of_that_name\n", "ModuleNotFoundError in line 2"),
        ("\n\n1 / 0\n", "ZeroDivisionError in line 3 (division by zero)"),
        ("raise SystemExit(1)\n", "SystemExit in line 1"),
        ("x = 1\n", "it defines no function"),
        ("def f(x: int): ...\n", "f has no docstring"),
        ("def f(x):\n    'd'\n", "argument x of f has no type hint"),
        ("def f(x: bytes):\n    'd'\n", "argument x of f has the type <class 'bytes'>"),
        ("def f(*x: int):\n    'd'\n", "f takes *x: int"),
        ("def f(x: 'Missing'):\n    'd'\n", "the type hints of f cannot be read"),
        ("\xff", "SyntaxError"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused(text: str, said: str, tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(text, "latin-1")
    with pytest.raises(PlanError) as refused:
        tools_of(str(file))
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)
    assert str(file) in str(refused.value) or "chat --tools: " in str(refused.value)


def test_what_is_no_python_file_is_refused(tmp_path: Path) -> None:
    for name in ("none.py", "clock", str(tmp_path)):
        with pytest.raises(PlanError, match="builtin"):
            tools_of(name)


def test_calls_and_answers_are_told_and_remembered() -> None:
    engine = scripted.Engine(
        [scripted.call("calculator", expression="6 * 7"), scripted.text("4", "2"), scripted.text("x")]
    )
    told: list[str] = []
    talk = Talk(engine.opened(), SETTINGS, tools_of("builtin"), told.append)
    assert "".join(talk.say("What is 6 * 7?")) == "42"
    assert talk.ending() is Ending.DONE
    assert told == ['the model calls calculator(expression="6 * 7")', "calculator answers 42"]
    answer = {"role": "tool", "content": [{"type": "tool_response", "name": "calculator", "response": 42}]}
    assert engine.heard[1] == answer
    talk.resume()
    assert [message["role"] for message in engine.begun[-1]] == ["user", "assistant", "tool", "assistant"]
    assert engine.begun[-1][2] == answer


def test_a_model_that_calls_for_ever_is_stopped() -> None:
    engine = scripted.Engine([scripted.call("clock")] * (MOST_ROUNDS + 5))
    talk = Talk(engine.opened(1000), SETTINGS, tools_of("builtin"))
    assert "".join(talk.say("What time is it?")) == ""
    assert talk.ending() is Ending.CALLS
    assert len(engine.heard) == 1 + MOST_ROUNDS


PUBLISHED = chat_template()


@pytest.fixture(scope="module", params=[forged_answers.TOOL_TEMPLATE, PUBLISHED], ids=["simple", "published"])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that asks the calculator when it is asked for Japan's code, in a template that knows tools."""
    folder = tmp_path_factory.mktemp("tools")
    spelled = ("<|tool_call>", CALL, "<tool_call|>")
    forged_answers.write(folder / "calls", spelled, request.param)
    made = convert("convert", folder / "calls", folder / "calls.litertlm", *FLAGS)
    assert made.code == 0, made.err
    return folder / "calls.litertlm"


def ask(model: Path, *flags: str | Path) -> Outcome:
    return convert("chat", model, "--threads", "1", "--limit", "20", "--ask", forged_answers.QUESTION, *flags)


def test_a_whole_round_is_shown_on_stderr_and_the_answer_alone_on_stdout(model: Path, tmp_path: Path) -> None:
    ran = ask(model, "--tools", "builtin")
    assert ran.code == 0
    assert ran.err.splitlines()[:2] == [
        'the model calls calculator(expression="(47 + 38) * 2")',
        "calculator answers 170",
    ]
    assert len(ran.out.splitlines()) == 1
    assert "call:" not in ran.out
    (tmp_path / "mine.py").write_text(
        "def calculator(expression: str) -> str:\n    'Adds.'\n    raise OSError('broken')\n"
    )
    assert 'calculator answers "error: OSError: broken"' in ask(model, "--tools", tmp_path / "mine.py").err
    (tmp_path / "mine.py").write_text("def nothing() -> str:\n    'Does nothing.'\n    return ''\n")
    assert "there is no tool 'calculator', only nothing" in ask(model, "--tools", tmp_path / "mine.py").err


@dataclass
class Recorded:
    """A conversation of the engine that keeps the text of every prompt it is about to be given."""

    native: Any
    prompts: list[str]

    def __getattr__(self, name: str) -> Any:
        return getattr(self.native, name)

    def send_message_async(self, message: dict[str, Any]) -> Iterator[Any]:
        self.prompts.append(self.native.render_message_to_string(message))
        yield from self.native.send_message_async(message)


@dataclass
class Recording:
    """An engine whose conversations are recorded."""

    native: Any
    prompts: list[str]

    def __getattr__(self, name: str) -> Any:
        return getattr(self.native, name)

    def create_conversation(self, **settings: Any) -> Recorded:
        return Recorded(self.native.create_conversation(**settings), self.prompts)


def test_the_model_sees_the_declaration_and_the_answer_of_the_tool(model: Path) -> None:
    prompts: list[str] = []
    with opened(model, 1, NativeLog()) as engine:
        recording = Opened(Recording(engine.native, prompts), engine.context, engine.log)
        talk = Talk(recording, Settings(False, 20, 1), tools_of("builtin"))
        first = "".join(talk.say(forged_answers.QUESTION))
        talk.resume()  # the same conversation begun anew, from what was said
        list(talk.say("Thanks"))
        talk.close()
    assert "calculator" in prompts[0]
    assert "170" not in prompts[0]
    assert "170" in prompts[1]
    assert prompts[2].index(CALL.split("{")[0]) < prompts[2].index("170") < prompts[2].index(first)


def test_a_template_that_knows_no_tools_is_refused_in_one_line(demo_file: Path) -> None:
    ran = convert("chat", demo_file, "--tools", "builtin", "--ask", "Hello")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.count("\n") == 1
    assert "the bundle's chat template declares no tools" in ran.err


def test_a_bad_file_of_tools_is_one_line(demo_file: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("1 / 0\n")
    ran = convert("chat", demo_file, "--tools", tmp_path / "mine.py", "--ask", "Hello")
    assert (ran.code, ran.out, ran.err.count("\n")) == (2, "", 1)
    assert "mine.py: it ends with ZeroDivisionError in line 1 (division by zero)" in ran.err
