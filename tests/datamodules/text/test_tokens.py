import pytest

from dlp.datamodules.text.tokens import spaced_characters, spaced_words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("It's GREAT!\tA well-made film\n(really)... don't_miss",
         ["it's", "great", "a", "well", "made", "film", "really", "don't", "miss"]),
        ("\u201cGreat\u201d\u2026 it\u2019s", ["great", "it's"]),
        ("one\r\ntwo\u00a0three\u3000four\x85five", ["one", "two", "three", "four", "five"]),
        ("cafe\u0301 CAF\u00c9 Gr\u00f6\u00dfe", ["caf\u00e9", "caf\u00e9", "gr\u00f6\u00dfe"]),
        ("\ufefffirst soft\u00adhyphen", ["first", "softhyphen"]),
        ("\u597d\u770b\u3002\u63a8\u8350\uff01", ["\u597d\u770b", "\u63a8\u8350"]),
        ("\U0001f44d fine", ["\U0001f44d", "fine"]),
        ("?!", []),
    ],
)  # fmt: skip
def test_words_are_lower_case_without_punctuation(text, words):
    assert spaced_words(text).split() == words


def test_characters_keep_punctuation_and_one_sign_for_white_space():
    assert spaced_characters(" Ab\n\tc! ").split() == ["a", "b", "\u2581", "c", "!"]
