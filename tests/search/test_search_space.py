"""Spaces: what a file may say, what a trial's options are, and what is refused."""

import itertools

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from dlp.errors import InputError
from dlp.search.space import find_space, plain, read_space, space_of, spaces


def test_nested_and_dotted_keys_are_the_same():
    leaf = {"low": 0.1, "high": 0.2}
    nested = space_of({"model": {"optimizer": {"lr": leaf}, "dropout": leaf}})
    dotted = space_of({"model.optimizer.lr": leaf, "model": {"dropout": leaf}})
    assert nested.distributions == dotted.distributions
    assert nested.text() == dotted.text()


def test_kinds_of_leaves():
    found = space_of(
        {
            "a": {"low": 1, "high": 8},
            "b": {"low": 1, "high": 8.0},
            "c": {"low": "1e-4", "high": 1, "log": True},
            "d": {"choices": [[16, 16], None, "tanh", 0.5, True]},
            "e": [[64], []],
            "f": {"low": 16, "high": 256, "log": True},
        }
    ).distributions
    assert found == {
        "a": IntDistribution(1, 8),
        "b": FloatDistribution(1.0, 8.0),
        "c": FloatDistribution(1e-4, 1.0, log=True),
        "d": CategoricalDistribution(["[16, 16]", "null", "tanh", "0.5", "true"]),
        "e": CategoricalDistribution(["[64]", "[]"]),
        "f": IntDistribution(16, 256, log=True),
    }


@pytest.mark.parametrize(
    ("leaf", "values"),
    [
        ({"low": 0.0, "high": 0.5, "step": 0.1}, [0.0, 0.1, 0.2, 0.3, 0.4, 0.5]),
        ({"low": 0.1, "high": 0.45, "step": 0.1}, [0.1, 0.2, 0.3, 0.4]),
        ({"low": 1, "high": 10, "step": 4}, [1, 5, 9]),
        ({"low": 2, "high": 4}, [2, 3, 4]),
        ([[8], None], ["[8]", "null"]),
    ],
)
def test_all_values_of_a_leaf(leaf, values):
    assert sorted(point["a"] for point in space_of({"a": leaf}).grid(0)) == values


def test_a_grid_holds_each_combination_once_in_an_order_of_the_seed():
    space = space_of({"a": {"low": 1, "high": 4}, "b": ["x", "y", "z"]})
    wanted = {(a, b) for a, b in itertools.product(range(1, 5), "xyz")}
    orders = [[(point["a"], point["b"]) for point in space.grid(seed)] for seed in (0, 0, 1)]
    assert all(len(order) == 12 and set(order) == wanted for order in orders)
    assert orders[0] == orders[1] != orders[2]


@pytest.mark.parametrize("leaf", [{"low": 0.0, "high": 1.0}, {"low": 1, "high": 64, "log": True}])
def test_a_grid_needs_an_end(leaf):
    with pytest.raises(InputError, match=r"a grid needs a finite space: give m\.a a step"):
        space_of({"m.a": leaf}).grid(0)


def test_a_class_stands_before_its_arguments():
    space = space_of(
        {
            "model.optimizer.lr": [0.1],
            "model.dropout": [0.5],
            "model.optimizer.class_path": ["Adam"],
        }
        | {"model.class_path": ["ConvNetModule"], "data.init_args.batch_size": [4]}
    )
    assert list(space.keys(next(space.probes())).items()) == [
        ("data.init_args.batch_size", "4"),
        ("model.class_path", "ConvNetModule"),
        ("model.dropout", "0.5"),
        ("model.optimizer.class_path", "Adam"),
        ("model.optimizer.lr", "0.1"),
    ]


def test_probes_try_each_bound_and_choice():
    space = space_of({"a": {"low": 1, "high": 8}, "b": ["x", "y", "z"], "c": {"low": 2, "high": 3}})
    assert list(space.probes()) == [
        {"a": 1, "b": "x", "c": 2},
        {"a": 8, "b": "x", "c": 3},
        {"a": 1, "b": "y", "c": 2},
        {"a": 1, "b": "z", "c": 2},
    ]
    assert list(space_of({"b": ["x", "y"]}).probes()) == [{"b": "x"}, {"b": "y"}]


@settings(deadline=None)
@given(st.floats(allow_nan=False, allow_infinity=False))
def test_the_word_of_a_number_is_that_number(value):
    space = space_of({"a": {"low": 0.0, "high": 1.0}})
    assert float(space.keys({"a": value})["a"]) == value
    assert space.values({"a": value}) == {"a": value}


@settings(deadline=None)
@given(
    st.integers(-1000, 1000),
    st.integers(1, 1000),
    st.integers(1, 1000),
    st.sampled_from([1, 0.1, 0.001]),
)
def test_stepped_values_stay_inside_and_begin_at_low(low, width, step, unit):
    step = min(step, width)
    low, high, step = (round(number * unit, 3) for number in (low, low + width, step))
    values = sorted(
        point["a"] for point in space_of({"a": {"low": low, "high": high, "step": step}}).grid(0)
    )
    assert values[0] == low
    assert values[-1] <= high + 1e-9
    assert high - values[-1] < step + 1e-9
    gaps = [after - before for before, after in itertools.pairwise(values)]
    assert gaps == pytest.approx([step] * len(gaps))


def test_the_text_of_a_space_is_a_space():
    for path in spaces().values():
        space = read_space(path)
        again = space_of(yaml.safe_load(space.text()))
        assert again.text() == space.text()
        assert again.distributions == {k: space.distributions[k] for k in again.distributions}
        assert set(again.distributions) == set(space.distributions)


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("model.init_args.dropout", "model.dropout"),
        ("model.class_path", "model"),
        ("model.init_args.optimizer.class_path", "model.optimizer"),
        ("class_path", "class_path"),
        ("trainer.max_epochs", "trainer.max_epochs"),
    ],
)
def test_one_name_for_each_argument(key, name):
    assert plain(key) == name


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        ({"a": {"low": 1, "high": 1}}, "low of a must be below high; got 1 and 1"),
        ({"a": {"low": 2.0, "high": 1}}, "low of a must be below high"),
        ({"a": {"low": 0, "high": 1.0, "log": True}}, "must be above 0 for a log scale; got 0"),
        ({"a": {"choices": []}}, "must be a list of one or more; got []"),
        ({"a": []}, "must be a list of one or more"),
        ({"a": {"choices": "relu"}}, "must be a list of one or more; got 'relu'"),
        (
            {"a": {"low": 1, "high": 2, "stepp": 1}},
            "unknown word 'stepp' at a. Did you mean 'step'?",
        ),
        ({"a": {"low": 1, "high": 2, "choices": [1]}}, "choices; these go with no other word"),
        ({"a": {"low": 1}}, "a lacks high"),
        ({"a": {"low": 1, "high": "much"}}, "high of a must be a number"),
        ({"a": {"low": True, "high": 2}}, "low of a must be a number"),
        ({"a": {"low": 1, "high": float("inf")}}, "high of a must be a number"),
        ({"a": {"low": 1, "high": 3, "log": "yes"}}, "log of a must be true or false; got 'yes'"),
        ({"a": {"low": 1, "high": 3, "log": True, "step": 1}}, "do not go together"),
        ({"a": {"low": 1, "high": 3, "step": 0}}, "step of a must be above 0"),
        ({"a": {"low": 1, "high": 3, "step": 5}}, "at most high - low; got 5"),
        ({"a": {"low": 1, "high": 3, "step": 0.5}}, "must be a whole number, as its bounds are"),
        ({"a": ["relu", "relu"]}, "relu occurs twice among the choices of a"),
        ({"a": 3}, "a is neither a range nor a list of choices, but 3"),
        ({"model": {"dropout": {"lo": 0.1, "hi": 2}}}, "Did you mean 'low'?"),
        ({"m.x": [1], "m": {"init_args": {"x": [2]}}}, "m.x and m.init_args.x are the same"),
        ({"seed_everything": [0, 1]}, "seed_everything is the same for all trials"),
    ],
)
def test_what_makes_no_sense_is_refused(tree, message):
    with pytest.raises(InputError) as error:
        space_of(tree)
    assert message in str(error.value)


@pytest.mark.parametrize("text", ["", "[1, 2]", "{}", "a: [", "model", "a: [1]\na: [2]"])
def test_a_file_that_is_no_space(tmp_path, text):
    path = tmp_path / "space.yaml"
    path.write_text(text)
    with pytest.raises(
        InputError, match=r"space\.yaml (holds no (space|keys)|is no YAML|gives a twice)"
    ):
        read_space(path)


def test_spaces_by_name_and_path(tmp_path):
    assert find_space("imdb") == spaces()["imdb"]
    path = tmp_path / "mine.yaml"
    path.write_text("a: [1]")
    assert find_space(str(path)) == path
    with pytest.raises(InputError, match=r"there is no space 'imbd'\. Did you mean 'imdb'\?"):
        find_space("imbd")
