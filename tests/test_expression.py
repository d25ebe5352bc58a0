"""The expression language: what it reads, that its canonical text reads back, and what it says of a mistake."""

import math
import subprocess
import sys

import pytest
from hypothesis import given, strategies as st

from velodrome.experiments.specification.expression import (
    Call,
    ExpressionError,
    parse_expression,
    parse_value,
    to_text,
)


@pytest.mark.parametrize(
    ("text", "call"),
    [
        ("q_learning", Call("q_learning")),
        ("q_learning()", Call("q_learning")),
        ("FrozenLake-v1", Call("FrozenLake-v1")),
        ("velodrome/DeepSea-v0(size=10)", Call("velodrome/DeepSea-v0", (), {"size": 10})),
        ("my_module:MyEnv-v0(x=1)", Call("my_module:MyEnv-v0", (), {"x": 1})),
        ("my.package.module:MyPolicy(0.3)", Call("my.package.module:MyPolicy", (0.3,))),
        ("q_learning(policy=greedy)", Call("q_learning", (), {"policy": Call("greedy")})),
        (
            'q_learning(discount=0.9, policy=epsilon_greedy(epsilon=0.1, ties="first"))',
            Call(
                "q_learning",
                (),
                {"discount": 0.9, "policy": Call("epsilon_greedy", (), {"epsilon": 0.1, "ties": "first"})},
            ),
        ),
        (
            "discretize(CartPole-v1, bins=[8,8,10,10])",
            Call("discretize", (Call("CartPole-v1"),), {"bins": [8, 8, 10, 10]}),
        ),
        (
            'FrozenLake-v1(desc=["SFFF","FHFG"], is_slippery=false)',
            Call("FrozenLake-v1", (), {"desc": ["SFFF", "FHFG"], "is_slippery": False}),
        ),
        (" f (\n  1 ,\n  a = 2 ,\n)\n", Call("f", (1,), {"a": 2})),
    ],
)
def test_expressions(text, call):
    assert parse_expression(text) == call
    assert hash(parse_expression(text)) == hash(call)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1_000", 1000),
        ("-2", -2),
        ("+2", 2),
        (".5", 0.5),
        ("2.", 2.0),
        ("1e-3", 0.001),
        ("-1.5E+2", -150.0),
        ("1/3", 1 / 3),
        ("-1 / 4", -0.25),
        ("inf", math.inf),
        ("-inf", -math.inf),
        ("true", True),
        ("True", True),
        ("False", False),
        ("none", None),
        ("null", None),
        ("[]", []),
        ("[1, [2, 3],]", [1, [2, 3]]),
        ("()", ()),
        ("(1)", 1),
        ("(1,)", (1,)),
        ("(1, 2)", (1, 2)),
        ("''", ""),
        (r"'it\'s'", "it's"),
        (r'"a\n\t\\\x41\u00e9\U0001f6b4"', "a\n\t\\Aé🚴"),
        ('"S.G\n..."', "S.G\n..."),
    ],
)
def test_values(text, value):
    read = parse_value(text)
    assert read == value
    assert type(read) is type(value)


names = st.from_regex(r"[A-Za-z_](?:[\w.:/-]{0,8}\w)?", fullmatch=True).filter(
    lambda name: name.lower() not in ("true", "false", "none", "null", "inf")
)
keywords = st.from_regex(r"[A-Za-z_]\w{0,5}", fullmatch=True).filter(str.isidentifier)
plain = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8)


def calls(values):
    return st.builds(
        Call,
        names,
        st.lists(values, max_size=3).map(tuple),
        st.dictionaries(keywords, values, max_size=3),
    )


values = st.recursive(
    plain | names.map(Call),
    lambda inner: st.lists(inner, max_size=3) | st.lists(inner, max_size=3).map(tuple) | calls(inner),
    max_leaves=8,
)


@given(calls(values))
def test_canonical_text_reads_back(call):
    text = str(call)
    again = parse_expression(text)
    assert again == call
    # Equality alone would take 1, 1.0 and True for the same.
    assert repr(again) == repr(call)
    assert str(again) == text
    assert len(text.splitlines()) == 1


@given(st.text(alphabet="abq_-.:/()[]=,'\"\\ \n019eE+{}@#", max_size=20))
def test_any_text_reads_or_is_refused_in_one_line(text):
    message = ""
    try:
        value = parse_value(text)
    except ExpressionError as error:
        message = str(error)
    else:
        assert repr(parse_value(to_text(value))) == repr(value)
    assert len(message.splitlines()) <= 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("q(discount=0.9", "expression 'q(discount=0.9': the bracket opened at column 2 is not closed"),
        ("q(a=(1, 2)", "expression 'q(a=(1, 2)': the bracket opened at column 2 is not closed"),
        ("q(a=[1,2)", "expression 'q(a=[1,2)': ')' at column 9 does not close '[' opened at column 5"),
        ("q())", "expression 'q())': the bracket ')' at column 4 closes nothing"),
        ("q(a=)", "expression 'q(a=)': a value is missing before ')' at column 5"),
        ("q(1,,2)", "expression 'q(1,,2)': a value is missing before ',' at column 5"),
        ("q(a=1 b=2)", "expression 'q(a=1 b=2)': a comma is missing before 'b' at column 7"),
        ("q(a=1,a=2)", "expression 'q(a=1,a=2)': q has the argument 'a' twice, the second time at column 7"),
        ("q(a=1, 2)", "expression 'q(a=1, 2)': a positional argument follows a keyword one at column 8"),
        ("q(a-b=1)", "expression 'q(a-b=1)': 'a-b' is not the name of an argument at column 3"),
        ("q('a)", 'expression "q(\'a)": the string opened at column 3 is not closed'),
        ("q(@)", "expression 'q(@)': unexpected character '@' at column 3"),
        ("q(10k)", "expression 'q(10k)': '10k' is not a number at column 3"),
        ("q(1/0)", "expression 'q(1/0)': '1/0' is not a number at column 3"),
        ("q(a==1)", "expression 'q(a==1)': unexpected '=' at column 5"),
        ("q() r", "expression 'q() r': unexpected 'r' at column 5"),
        ("true(1)", "expression 'true(1)': 'true' takes no brackets at column 1"),
        ("q(\n a=1,\n a=2)", "twice, the second time at line 3, column 2"),
        (r"q('C:\dir')", r"'\\d' is no escape (write \\ for a backslash) in the string at column 3"),
        (r"'\U00110000'", "is no escape"),
        ("", "an expression is needed, such as q_learning(discount=0.9), got an empty text"),
        ("0.5", "expression '0.5': a name with arguments is needed, such as q_learning(discount=0.9)"),
        (3, "an expression is text, got 3"),
        ("[" * 5000 + "]" * 5000, "it is nested too deeply"),
    ],
)
def test_mistakes_are_told_in_one_line(text, message):
    with pytest.raises(ExpressionError) as caught:
        parse_expression(text)
    assert message in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_of_a_long_expression_the_error_shows_what_surrounds_it():
    text = "q(" + "first=1, " * 40 + "x=@, " + "last=2, " * 40 + ")"
    with pytest.raises(ExpressionError, match=r"^expression '….{60,90}…': unexpected character '@' at") as caught:
        parse_expression(text)
    assert "x=@" in str(caught.value)


def test_calls_that_no_text_can_spell_are_refused():
    for name in ("", "a b", "-v0", "a-", "true", "inf"):
        with pytest.raises(ExpressionError, match="is not a name"):
            Call(name)
    with pytest.raises(ExpressionError, match="'a-b' is not the name of an argument"):
        Call("f", (), {"a-b": 1})
    for value in (math.nan, {}, object()):
        with pytest.raises(ExpressionError, match="cannot be written"):
            str(Call("f", (value,)))


def test_the_parser_is_loaded_on_first_use():
    module = "velodrome.experiments.specification.expression"
    script = f"import sys, {module} as e; assert 'lark' not in sys.modules; e.parse_value('1')"
    subprocess.run([sys.executable, "-c", script], check=True)
