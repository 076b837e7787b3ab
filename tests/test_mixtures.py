import pytest

from tf_style.errors import UserError
from tf_style.mixtures import check_style, mixture, names_among, weighted


@pytest.mark.parametrize(
    "items, expected",
    [
        (("a",), {"a": 1}),
        (("a", "b"), {"a": 0.5, "b": 0.5}),
        (("b:3", "a"), {"b": 0.75, "a": 0.25}),
        (("a:1e-9", "b:3e-9"), {"a": 0.25, "b": 0.75}),
        (("a:0", "b:2"), {"a": 0, "b": 1}),
        (("a:",), {"a": 1}),
    ],
)
def test_weighted(items, expected):
    found = weighted(items)
    assert found == pytest.approx(expected) and list(found) == list(expected)


@pytest.mark.parametrize(
    "items, message",
    [
        ((), "`what` needs a weight above 0. Received: none"),
        (("a:0", "b:0"), "`what` needs a weight above 0. Received: a:0,b:0"),
        (("a", "a"), "`what` names one twice. Received: a,a"),
        *(((f"a:{bad}",), f"`what` takes name:weight, 0 or more. Received: 'a:{bad}'")
          for bad in ("x", "-1", "nan", "inf", "1:2")),
    ],
)  # fmt: skip
def test_weighted_says_what_is_wrong(items, message):
    with pytest.raises(UserError, match=message):
        weighted(items, "what")


KNOWN = ("10:30", "Night, rain", "Night", "Cafe\u0301", "caf\udce9x", "wave")


@pytest.mark.parametrize(
    "text, expected",
    [
        ("wave", {"wave": 1}),
        ("10:30", {"10:30": 1}),
        ("10:30:3, wave", {"10:30": 0.75, "wave": 0.25}),
        ("Night, rain", {"Night, rain": 1}),
        ("Night,rain:1,Night:3", {"Night, rain": 0.25, "Night": 0.75}),
        ("Night,wave", {"Night": 0.5, "wave": 0.5}),
        ("Caf\u00e9", {"Cafe\u0301": 1}),
        ("caf\u00e9x:2", {"caf\udce9x": 1}),
        ("caf\udce9x", {"caf\udce9x": 1}),
        ("waves:1,10", {"waves": 0.5, "10": 0.5}),  # Not there, for others to tell.
    ],
)
def test_a_name_may_hold_what_separates_names(text, expected):
    assert mixture(text.split(","), KNOWN) == expected
    names = names_among([part for part in text.split(",") if ":" not in part], KNOWN)
    assert set(names) <= {*expected, "rain"}


@pytest.mark.parametrize("text", ["wave:x", "wave:-1", "wave,wave", "wave:0", ""])
def test_mixtures_are_checked_as_other_weights_are(text):
    with pytest.raises(UserError, match="`style` (takes name:weight|names one twice|needs a weig)"):
        mixture(text.split(","), KNOWN)


def test_a_style_that_there_is_not():
    with pytest.raises(
        UserError, match="no style 'wav'; did you mean 'wave'. Known are wave, night"
    ):
        check_style("wav", ("wave", "night"))
    check_style("wave", ("wave",))
