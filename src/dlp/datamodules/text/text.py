"""DataModules for texts, which are encoded as sparse rows of words."""

import re
from dataclasses import replace
from typing import Any, Literal, cast

import numpy as np

from dlp.console import say
from dlp.datamodules.arguments import DataArguments, SplitArguments
from dlp.datamodules.base import Examples, LabelledParts, SupervisedDataModule
from dlp.datamodules.rows import Rows
from dlp.datamodules.targets import TargetEncoder, Task
from dlp.datamodules.text.bags import BagRows
from dlp.datamodules.text.corpus import Texts
from dlp.datamodules.text.sources import TextFiles
from dlp.errors import check_range
from dlp.files import AnyPath
from dlp.hyperparameters import Keywords
from dlp.reader.files import CSVArguments
from dlp.reader.text import FIRST_WORD, Encoding
from dlp.reader.text import TextEncoder as TextEncoder
from dlp.reader.tokens import Tokens

#: Letters in Thai, Lao, Burmese, Khmer, Japanese and Chinese.
_UNSPACED = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff]")


class TextArguments(SplitArguments, total=False):
    """Keyword arguments of `BaseTextDataModule`, documented there, that rarely change."""

    predict_path: AnyPath | None
    predict_texts: list[str] | None
    num_words: int | None
    max_length: int | None
    encoding: Encoding
    min_df: int
    eval_batch_size: int


class OwnTextArguments(TextArguments, DataArguments, total=False):
    """Keyword arguments of `BaseTextDataModule` for custom texts."""


class BaseTextDataModule(SupervisedDataModule):
    """Base class of DataModules for texts. Batches are ``(BagOfWords, targets)``.

    Args:
        files: Labelled texts. Texts to predict are read in the same way.
        predict_path: Path of the texts to predict: a table with the text column, a .txt file with
            one text per line, or a folder of .txt files. None predicts the test part.
        predict_texts: Texts to predict, instead of `predict_path`.
        num_words: Number of word ids. The most frequent ``num_words - 4`` terms are kept, and the
            first 4 ids are reserved. None keeps all terms.
        max_length: Number of ids at the beginning of each text that are kept. None keeps all.
        encoding: How the values in a row are computed; see `TextEncoder`.
        min_df: Number of training texts in which a term must occur to be kept.
        eval_batch_size: Number of rows per batch in validation, test and prediction.
        **data: See `SupervisedDataModule`.
    """

    encoder: TextEncoder

    def __init__(
        self,
        *,
        files: TextFiles,
        predict_path: AnyPath | None = None,
        predict_texts: list[str] | None = None,
        num_words: int | None = 10000,
        max_length: int | None = None,
        encoding: Encoding = "multi_hot",
        min_df: int = 1,
        eval_batch_size: int = 16384,
        **data: Any,
    ) -> None:
        if num_words is not None:
            check_range(FIRST_WORD + 1, num_words=num_words)
        encoder = TextEncoder(
            num_words,
            max_length,
            encoding,
            min_df,
            files.tokens,
            files.ngrams,
            files.char_ngrams,
            files.roles["text"],
            files.read_csv,
        )
        super().__init__(encoder=encoder, eval_batch_size=eval_batch_size, **data)
        self.files = files
        self.predict_path = predict_path
        self.predict_texts = predict_texts
        self.id_column = files.roles.get("id", "path")  # the id of a text file is its path

    def load(self) -> LabelledParts:
        """Return the labelled texts of each part."""
        return self.parts_of(self.files.texts())

    def load_predict(self) -> Examples | None:
        """Return the texts in `predict_texts` or `predict_path`, or None without either."""
        if self.predict_texts:
            files = self.files
            texts = Texts.tokenise(
                self.predict_texts, files.tokens, files.ngrams, files.char_ngrams
            )
            return self.examples_of(texts)
        if self.predict_path is None:
            return None
        all_roles = self.files.roles.items()
        roles = {role: name for role, name in all_roles if role in ("text", "id")}
        files = replace(self.files, path=str(self.predict_path), roles=roles)
        return self.examples_of(files.read())

    def parts_of(self, texts: Texts) -> LabelledParts:
        """Divide texts into the parts that their column ``part`` contains."""
        names = texts.column("part")
        return {part: self.examples_of(texts[names == part]) for part in dict.fromkeys(names)}

    def examples_of(self, texts: Texts) -> Examples:
        """Return texts with the targets, ids, groups and times from their columns."""
        labels = [name for name in texts.table.column_names if name.startswith("label")]
        targets = None
        if labels:
            targets = np.column_stack([texts.column(name) for name in labels])
        id_columns = {}
        ids = texts.column("id")
        if ids is not None:
            id_columns[self.id_column] = ids.astype(object)
        return Examples(
            inputs=texts,
            targets=targets,
            index=texts.column("row"),
            id_columns=id_columns,
            groups=texts.column("group"),
            times=texts.column("time"),
            hashes=texts.column("hash"),
        )

    def store(self, rows: Rows) -> BagRows:
        """Return the encoded texts as rows of a sparse matrix."""
        bags = self.encoder.transform(cast(Texts, rows).encodable())
        return BagRows(bags, self.encoder.input_shape_[0])


def _advise_characters(texts: Texts) -> None:
    """Print advice if the texts are in a script without spaces between words."""
    sample = texts[:: len(texts) // 200 + 1]
    text = " ".join(sample.raw())
    if len(_UNSPACED.findall(text)) > 4 * len(text.split()):
        say(
            "the texts are in a script without spaces, so everything between two punctuation marks "
            "is one word; try tokens: characters, and compare the validation losses"
        )


class TextDataModule(BaseTextDataModule):
    """Labelled texts, which are encoded as sparse rows of words.

    `path` is one of these:

    - a table (.csv, .tsv, .jsonl, .json, .parquet);
    - a folder with one file per text and one subfolder per class (``pos/1.txt`` or
      ``train/pos/1.txt``);
    - ``hub:OWNER/NAME`` or ``hub:OWNER/NAME@COMMIT`` for a data set on the Hugging Face Hub.

    If a folder or a data set has parts called train, val and test, they are used.

    Args:
        path: Path of the labelled texts. For a data set on the Hub, the default is its newest
            commit.
        text_column: Column of the texts.
        label_column: Column of the labels, or several columns of 0 and 1 if a text can have several
            labels.
        test_path: Path of the texts in the test part.
        drop_unlabelled: Whether texts without a label are left out.
        read_csv: Arguments of ``pandas.read_csv`` for all CSV files.
        task: Kind of label. ``auto`` infers it.
        positive_class: Name of the class that becomes class 1 in a problem with two classes. None
            means the last one.
        group_column: Column of groups, such as authors. Texts of one group are never in two parts.
        time_column: Column of times. The parts follow one another in time.
        id_column: Column that identifies the rows in predictions.
        tokens: Kind of tokens. ``characters`` are for scripts without spaces between words.
        ngrams: Length of the longest n-grams of tokens that are terms. 2 adds pairs of neighbours,
            such as ``not good``. Pairs count towards `max_length`, too.
        char_ngrams: Length of the longest n-grams of characters within words that are also terms,
            such as ``"ness▁"``, starting with length 2. 0 adds none. They help with short texts,
            misspellings and word endings. TF-IDF gives them a third of their weight.
        **split: See `BaseTextDataModule`.

    Example::

        data = TextDataModule("reviews.csv", label_column="stars", ngrams=2, test_size=0.2)
    """

    def __init__(
        self,
        path: AnyPath,
        text_column: str = "text",
        label_column: str | list[str] = "label",
        test_path: AnyPath | None = None,
        drop_unlabelled: bool = False,
        read_csv: CSVArguments | None = None,
        task: Task = "auto",
        positive_class: str | None = None,
        group_column: str | None = None,
        time_column: str | None = None,
        id_column: str | None = None,
        tokens: Tokens = "words",
        ngrams: Literal[1, 2] = 1,
        char_ngrams: Literal[0, 2, 3, 4, 5, 6] = 0,
        **split: Keywords[OwnTextArguments],
    ) -> None:
        labels = [label_column] if isinstance(label_column, str) else list(label_column)
        roles = {"text": text_column, "group": group_column, "time": time_column, "id": id_column}
        columns = {role: name for role, name in roles.items() if name is not None}
        columns |= {f"label{number}": name for number, name in enumerate(labels)}
        super().__init__(
            files=TextFiles(
                str(path), columns, tokens, ngrams, char_ngrams, task, drop_unlabelled, read_csv
            ),
            targets=TargetEncoder(task, None, labels, positive_class),
            **split,
        )
        self.test_path = test_path
        self.save_arguments(locals())

    def load(self) -> LabelledParts:
        """Return the parts of `path`, and the texts in `test_path` as the test part."""
        parts = super().load()
        if self.files.tokens == "words":
            _advise_characters(cast(Texts, parts["train"].inputs))
        if self.test_path is not None:
            files = replace(self.files, path=str(self.test_path))
            parts["test"] = self.examples_of(files.texts())
        return parts
