import pytest

from dlp.datamodules.text.tokens import (
    SPACE,
    split_characters,
    split_words,
    unspaced_word,
    way_to,
)
from dlp.errors import InputError

CHINESE = ["这部电影非常好看我很喜欢", "演员的表演非常糟糕不推荐"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("\u201cGreat\u201d\u2026 it\u2019s", ["great", "it's"]),
        ("one\r\ntwo\u00a0three\u3000four\x85five", ["one", "two", "three", "four", "five"]),
        ("cafe\u0301 CAF\u00c9", ["café", "café"]),
        ("\ufefffirst soft\u00adhyphen", ["first", "softhyphen"]),
        ("好看。推荐\uff01", ["好看", "推荐"]),
        ("👍 fine 👍🏽", ["👍", "fine", "👍🏽"]),
    ],
)
def test_marks_of_word_processors_are_no_part_of_a_word(text, expected):
    assert split_words(text) == expected


def test_characters_keep_punctuation_and_one_sign_for_white_space():
    assert split_characters(" Ab\n\tc! ") == ["a", "b", SPACE, "c", "!"]


def test_a_misspelt_kind_of_token_is_named():
    with pytest.raises(InputError, match="Did you mean 'characters'"):
        way_to("character")


def test_whole_sentences_are_no_words():
    assert unspaced_word(CHINESE) == CHINESE[0]
    assert unspaced_word(["ภาพยนตร์เรื่องนี้ดีมาก", "the"]) is not None
    assert unspaced_word(["电影很好看1", "太差了无聊2"]) == "电影很好看1"
    assert unspaced_word(["これはとてもいい映画です"]) is not None
    assert unspaced_word(["the", "a电影很好看b", "太差了无聊2"]) == "a电影很好看b"


@pytest.mark.parametrize(
    "words", [["電影", "非常", "好看"], ["film"] * 9 + [CHINESE[0]], [], ["хорошо", "좋은"]]
)
def test_words_are_words(words):
    assert unspaced_word(words) is None
