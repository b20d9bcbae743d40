"""What texts were taken for, and what is suspicious about them."""

import re

import numpy as np

from dlp.datamodules.examples import Examples
from dlp.datamodules.reading import InputReading, SampleReading, clipped
from dlp.datamodules.splitting.splits import Indices
from dlp.datamodules.text.corpus import Texts
from dlp.datamodules.text.encodings import BagEncoder
from dlp.datamodules.text.tokens import unspaced_word
from dlp.datamodules.text.vocabulary import UNKNOWN, Vocabulary

_TAG = re.compile(r"</?[a-z][^<>]{0,80}>", re.IGNORECASE)
#: How letters look that were UTF-8 and were once read as Windows-1252.
_TWICE = re.compile("\u00c3[\u0080-\u00bf\u0192\u201a-\u2122]|\u00e2\u20ac[\u0080-\uffff]|\ufffd")
#: Texts that are looked at for such things, evenly spread.
_LOOKED_AT = 2000
_SHOWN = 200


def read_texts(
    name: str,
    encoder: BagEncoder,
    labelled: Examples,
    train: Indices,
    val: Indices,
    test: Texts | None,
) -> InputReading:
    """Return what texts were taken for; `name` is theirs where their source does not say it."""
    texts: Texts = labelled.rows
    corpus = texts.corpus
    known = corpus.reading or InputReading(name)
    unit = "words" if encoder.tokens == "words" else "characters"
    median, longest = np.median(texts.lengths), texts.lengths.max()
    part = ("validation", texts[val]) if len(val) else ("training", texts[train])
    facts = [
        ("texts", f"{median:,.0f} {unit} in the median, {longest:,} in the longest"),
        ("vocabulary", _vocabulary(encoder, texts[train], unit)),
        ("known", f"{_share_known(encoder, part[1]):.1%} of the {unit} of the {part[0]} part"),
    ]
    notes = [*known.notes]
    if test is not None and test.corpus is not corpus and test.corpus.reading is not None:
        others = [note for note in test.corpus.reading.notes if note not in notes]
        notes += [f"of the test part: {note}" for note in others]
    notes += _suspicious(encoder, texts)
    if torn := _contradictions(labelled):
        notes.append(f"{torn:,} texts stand in several rows with different labels")
    samples = (_sample(encoder, texts[train]),) if len(train) else ()
    return InputReading(known.source, known.columns, tuple(facts), tuple(notes), samples)


def whole_sentences(sentence: str) -> str:
    """Return what to say of a text that has no spaces between words."""
    shown = sentence if len(sentence) <= 20 else f"{sentence[:20]}..."
    return (
        "most of the text is in a script without spaces between words: tokens: words takes whole "
        f"sentences, such as {shown!r}, for single words; use tokens: characters, with ngrams: 2"
    )


def _vocabulary(encoder: BagEncoder, train: Texts, unit: str) -> str:
    kept, most = len(encoder.vocabulary.words), encoder.num_words
    occurs = np.zeros(len(train.corpus.words), np.bool_)
    for batch in train.batches():  # all words at once would be gigabytes of some million texts
        occurs[batch.tokens()[0]] = True
    there = np.count_nonzero(occurs)
    limit = "" if kept >= there or most is None else f" (num_words: {most})"
    return f"{kept:,} terms{limit}; the training part has {there:,} different {unit}"


def _share_known(encoder: BagEncoder, texts: Texts) -> float:
    lookup = encoder.vocabulary.lookup(texts.corpus.words)
    known = sum(int((lookup[batch.tokens()[0]] != UNKNOWN).sum()) for batch in texts.batches())
    return known / max(1, int(texts.lengths.sum()))


def nothing_known(texts: Texts, vocabulary: Vocabulary) -> str | None:
    """Return what to say of new texts without a known word; None where there are none."""
    tokens, lengths = texts.tokens()
    is_known = vocabulary.lookup(texts.corpus.words)[tokens] != UNKNOWN
    found = np.bincount(np.repeat(np.arange(len(texts)), lengths), is_known, len(texts))
    count = int((found == 0).sum())
    if not count:
        return None
    first = clipped(texts[found == 0][:1].raw()[0], 40)
    return (
        f"{count:,} of {len(texts):,} texts have no word that the model knows, such as {first!r}: "
        "what it answers there is no judgement of them"
    )


def _sample(encoder: BagEncoder, train: Texts) -> SampleReading:
    row = int(np.argsort(train.lengths, kind="stable")[len(train) // 2])  # one of middling length
    one = train[row : row + 1]
    (text,) = one.raw()
    words = [train.corpus.words[token] for token in one.tokens()[0]]
    ids = encoder.vocabulary.encode(text)
    steps = (
        ("text", clipped(text, _SHOWN)),
        ("tokens", clipped(" | ".join(words), _SHOWN)),
        ("ids", clipped(" ".join(map(str, ids)), _SHOWN)),
        ("back", clipped(encoder.vocabulary.decode(ids), _SHOWN)),
    )
    return SampleReading("one training text, read step by step", steps)


def _suspicious(encoder: BagEncoder, texts: Texts) -> list[str]:
    """Return what a person should look at."""
    notes = []
    if encoder.tokens == "words" and (sentence := unspaced_word(texts.corpus.words)) is not None:
        notes.append(whole_sentences(sentence))
    spread = np.unique(np.linspace(0, len(texts) - 1, min(len(texts), _LOOKED_AT)).astype(int))
    raw = [] if texts.corpus.raw is None else texts[spread].raw()
    for pattern, meaning in (
        (_TAG, "hold HTML tags, such as {}, whose names are read as words"),
        (_TWICE, "hold letters that were once read in a wrong encoding, such as {}"),
    ):
        found = [match.group() for text in raw if (match := pattern.search(text))]
        if len(found) > 0.01 * len(raw):
            notes.append(
                f"{len(found) / len(raw):.0%} of the texts {meaning.format(repr(found[0]))}"
            )
    if len(silent := texts[texts.lengths == 0]):
        notes.append(
            f"{len(silent):,} texts hold no word, such as {clipped(silent[:1].raw()[0], 30)!r}"
        )
    return notes


def _contradictions(labelled: Examples) -> int:
    """Return how many texts have another label in another row."""
    if labelled.targets is None or labelled.targets.ndim > 1:
        return 0
    import pandas as pd

    frame = pd.DataFrame({"text": labelled.hashes, "label": labelled.targets})
    return int((frame.groupby("text")["label"].nunique() > 1).sum())
