import pytest

from dlp.errors import InputError, MissingInputError, suggestion, unknown


@pytest.mark.parametrize(
    ("given", "near"), [("sofmax", "softmax"), ("SIGMOID", "sigmoid"), ("softmx", "softmax")]
)
def test_the_nearest_name_is_suggested_whatever_its_case(given, near):
    assert suggestion(given, ["sigmoid", "softmax"]) == f" Did you mean {near!r}?"


def test_nothing_is_suggested_where_nothing_is_near():
    assert suggestion("transformer", ["sigmoid", "relu"]) == ""


def test_an_unknown_name_lists_what_is_accepted():
    error = unknown("head", "sofmax", iter(["sigmoid", "softmax"]))
    assert isinstance(error, InputError)
    assert str(error) == (
        "unknown head 'sofmax'. Did you mean 'softmax'? Accepted: sigmoid, softmax."
    )


def test_a_missing_input_is_both_kinds_of_error_and_prints_its_sentence_alone():
    error = MissingInputError("there is no file data.csv.")
    assert isinstance(error, FileNotFoundError)
    assert isinstance(error, InputError)
    assert isinstance(error, ValueError)
    assert str(error) == "there is no file data.csv."
