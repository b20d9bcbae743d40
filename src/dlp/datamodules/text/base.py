"""What all text DataModules share: a corpus in, sparse rows of words out."""

from dataclasses import replace
from typing import Any, ClassVar, Unpack, cast

import numpy as np
from numpy.typing import NDArray

from dlp.datamodules.base import Examples, Part, SharedArguments, SupervisedDataModule
from dlp.datamodules.reading import InputReading
from dlp.datamodules.targets import TargetEncoder, same_classes
from dlp.datamodules.text.columns import TextColumns
from dlp.datamodules.text.corpus import (
    Corpus,
    TextParts,
    Texts,
    TextSource,
    cached_parts,
    stored_parts,
)
from dlp.datamodules.text.encodings import BagEncoder, Encoding
from dlp.datamodules.text.sources import TextFiles
from dlp.datamodules.text.text_readings import nothing_known, read_texts, whole_sentences
from dlp.datamodules.text.tokens import Tokens, unspaced_word
from dlp.datamodules.text.vocabulary import Vocabulary
from dlp.errors import InputError

#: Texts that a trial run (fast_dev_run) reads of each part, besides the first one of each class.
SAMPLE_SIZE = 512


class TextArguments(SharedArguments, total=False):
    """What every DataModule of texts takes; `BaseTextDataModule` says what each one means."""

    predict_path: str | None
    predict_texts: list[str] | None
    num_words: int | None
    skip_top: int
    max_length: int | None
    encoding: Encoding


class BaseTextDataModule(SupervisedDataModule):
    """Base of the DataModules of texts: words to ids by frequency, texts to sparse rows of ids.

    Batches are ``(BagOfWords, targets)``; the dense matrix is never built.

    Args:
        source: Where the labelled texts come from.
        test_source: Where texts to test on come from, if not from there.
        columns: What stands in which column of `predict_path`.
        targets: What the targets mean.
        tokens: What the texts are split into.
        ngrams: The longest n-gram that counts as a term of its own, in words.
        min_df: Leave out terms that fewer texts of the training part have.
        test_size: Texts of the source to test on: a count or a fraction.
        predict_path: Texts to predict: a table with the text column, a .txt with one a line (or a
            table, by its first line or the header of table_format), or a folder of tables or of
            .txt files, all of which are predicted, whatever their names. Without it, the test part
            is predicted.
        predict_texts: The texts to predict themselves; on the command line ``--text "..."``.
        num_words: Keep ids below it: the `num_words` - 4 most frequent words. None keeps all.
        skip_top: Treat ids below it as unknown words.
        max_length: Keep the first so many ids of each text (Keras drops longer texts instead).
        encoding: The entries of a row: ``multi_hot`` 1 for each id that occurs, ``count`` how
            often it does, ``tfidf`` the same times inverse document frequency, at length 1,
            ``sublinear_tfidf`` that of 1 + log(how often).
    """

    encoder: BagEncoder
    defaults: ClassVar[TextArguments] = {
        "eval_batch_size": 16384,
        "predict_path": None,
        "predict_texts": None,
        "num_words": 10000,
        "skip_top": 0,
        "max_length": None,
        "encoding": "multi_hot",
    }

    def __init__(
        self,
        *,
        source: TextSource,
        columns: TextColumns,
        targets: TargetEncoder,
        test_source: TextSource | None = None,
        tokens: Tokens = "words",
        ngrams: int = 1,
        min_df: int = 1,
        test_size: int | float | None = None,
        **arguments: Unpack[TextArguments],
    ) -> None:
        given: TextArguments = {**self.defaults, **arguments}
        limits = given["num_words"], given["skip_top"], given["max_length"]
        encoder = BagEncoder(*limits, tokens, given["encoding"], ngrams, min_df)
        shared = cast(SharedArguments, arguments)  # and more, which its reader passes over
        super().__init__(targets=targets, encoder=encoder, test_size=test_size, **shared)
        self.source = source
        self.test_source = test_source
        self.predict_texts, path = given["predict_texts"], given["predict_path"]
        self.predict_source = None if path is None else TextFiles(str(path), columns, tokens)
        # To predict own texts, the data trained on may be elsewhere.
        for files in [self.predict_source] if self.predicts_own else [source, test_source]:
            if isinstance(files, TextFiles):
                files.check()
        if self.predict_texts is not None and path is not None:
            raise InputError("give predict_path or predict_texts, not both.")
        if self.predict_texts is not None and not all(map(str.strip, self.predict_texts)):
            raise InputError("one of predict_texts is empty: there is nothing to predict from.")
        self._read: dict[tuple[TextSource, bool], TextParts] = {}

    @property
    def predicts_own(self) -> bool:
        """Whether own texts are to be predicted: what was trained on may then be elsewhere."""
        return self.predict_source is not None or self.predict_texts is not None

    def parts(self, source: TextSource) -> TextParts:
        """Return the parts of a source; in a trial run a sample, unless the whole is cached."""
        key = (source, self.is_trial)
        if key not in self._read:
            if self.is_trial:
                self._read[key] = stored_parts(source.key) or source.build(SAMPLE_SIZE)
            else:
                self._read[key] = cached_parts(source)
        return self._read[key]

    def labelled(self, part: Examples) -> Examples:
        """Return a labelled part with the class numbers of the source, whose names it takes over.

        Raises:
            InputError: A class of a part that names its own is none of the source's.
        """
        targets, own = self.targets, part.rows.corpus.class_names
        names = self.parts(self.source).get("train", part).rows.corpus.class_names
        if targets.class_names is None and targets.task in ("auto", "classification") and names:
            targets.class_names = list(names)
        if not names or not own or own == names or part.targets is None:
            return part
        values = part.targets.tolist()
        numbers = same_classes(set(values), own, names)
        return replace(part, targets=np.array([numbers[value] for value in values]))

    def prepare_data(self) -> None:
        """Download what is not there and tokenise it, once; own texts to predict need neither."""
        if self.predicts_own and self.trainer is not None and self.trainer.predicting:
            return
        for source in (self.source, self.test_source):
            if source is not None:
                self.parts(source)

    def load_train(self) -> Examples:
        """Return the training part of the source."""
        return self.labelled(self.parts(self.source)["train"])

    def load_test(self) -> Examples | None:
        """Return the test part of the source."""
        return self.labelled(self.parts(self.source)["test"])

    def load_predict(self) -> Examples | None:
        """Return the texts of `predict_path`, or `predict_texts`."""
        if self.predict_texts is not None:
            corpus = Corpus.from_texts(self.predict_texts, self.encoder.tokens)
            found = Examples(corpus.texts(), hashes=corpus.hashes)
        elif self.predict_source:
            found = own_part(self.parts(self.predict_source))
            reading = found.rows.corpus.reading
            if reading is not None and reading.notes:
                self._say_once("predicted", f"{reading.source}: {'; '.join(reading.notes)}")
        else:
            return None
        if (message := nothing_known(found.rows, self.vocabulary)) is not None:
            self._say_once("unknown", message)
        return found

    def learn_inputs(self, rows: Texts, targets: NDArray[Any]) -> dict[str, Any]:
        """Learn vocabulary and document frequencies from the training part."""
        learned = super().learn_inputs(rows, targets)
        if self.encoder.tokens == "words" and (sentence := unspaced_word(rows.corpus.words)):
            self._say_once("script", whole_sentences(sentence))
        return learned

    def texts(self, rows: Texts) -> list[str]:
        """Return each text as it was given; its words, where an archive holds those alone."""
        return rows.raw()

    def read_input(self) -> InputReading:
        """Return what the texts and the columns beside them were taken for."""
        parts, labelled = self.labelled_rows()
        try:
            test: Texts | None = self.examples("test").rows
        except InputError:  # there is none
            test = None
        return read_texts(type(self).__name__, self.encoder, labelled, parts.train, parts.val, test)

    def batch_shape(self) -> tuple[int, ...]:
        """Return (num_words,)."""
        return (self.encoder.vocabulary.num_words,)

    @property
    def encoding(self) -> Encoding:
        """The entries of the matrix: as the arguments say, or the run of a checkpoint."""
        return self.encoder.encoding

    @property
    def vocabulary(self) -> Vocabulary:
        """The words and their ids, from the training part."""
        self.fit()
        return self.encoder.vocabulary

    def encode_text(self, text: str) -> list[int]:
        """Return the ids of a text, in order: its start (1), then its words."""
        return self.vocabulary.encode(text)

    def sequence(self, part: Part, row: int) -> list[int]:
        """Return the ids of a text of a part, in order."""
        texts: Texts = self.examples(part).rows[[row]]
        ids, _ = self.vocabulary.sequences(texts, self.vocabulary.lookup(texts.corpus.words))
        numbers: list[int] = ids.tolist()
        return numbers

    def decode(self, ids: Any) -> str:
        """Return the words of `ids` (any iterable) in order, ``?`` for ids that are no word."""
        return self.vocabulary.decode(ids)


def own_part(parts: TextParts) -> Examples:
    """Return the part of a source that is to be tested on or predicted: a file has but one."""
    return next(parts[name] for name in ("test", "train", "val") if name in parts)
