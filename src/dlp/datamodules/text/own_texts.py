"""Labelled texts of one's own: a table, a folder of tables or texts, or a Hub data set."""

from dataclasses import replace
from typing import Unpack

from dlp.datamodules.base import Examples
from dlp.datamodules.tables.table_format import TableFormat
from dlp.datamodules.targets import TargetEncoder, TaskArgument
from dlp.datamodules.text.base import BaseTextDataModule, TextArguments, own_part
from dlp.datamodules.text.columns import TextColumns
from dlp.datamodules.text.sources import TextFiles
from dlp.datamodules.text.tokens import Tokens
from dlp.errors import InputError


class TextDataModule(BaseTextDataModule):
    """Own labelled texts as sparse rows of words.

    Texts become lower case, are split into words as in the book, and words get ids by their
    frequency in the training part: 4 for the most frequent one, with 1 for the start of a text
    and 2 for an unknown word. Each text is then a row over the ids.

    Args:
        path: A table (.csv, .tsv, .json, .jsonl, .parquet, also with .gz), a folder with a table
            for each part (train.csv, test.csv), a folder with a text a file and a subfolder a class
            (pos/1.txt, neg/7.txt; or train and test, each with such subfolders), or the name of a
            Hub data set. A part named ``test`` is tested on, unless `test_path` or `test_size` is
            given; a part named ``val`` or ``validation`` validates.
        text_column: The column of the texts.
        label_column: The column of the labels; several columns of 0 and 1 for several labels a
            text.
        test_path: Texts to test on, with the same columns.
        test_size: Texts of `path` to test on: a count or a fraction.
        drop_unlabelled: Leave out the texts without a label; they are counted.
        table_format: What tables leave open: separator, encoding, decimal mark, day or month
            first, cells that mean "missing", the names of columns, and whether quotes hold cells
            together.
        subset: The configuration of a Hub data set that has several.
        revision: The commit, tag or branch of a Hub data set. Without it, a set that was read
            once is not looked for on the Hub again.
        task: What the labels are; ``auto`` looks at them.
        tokens: What a text is split into: ``words`` at spaces and punctuation, or ``characters``,
            for Chinese, Japanese, Thai and other scripts without spaces between words.
        ngrams: The longest n-gram that is a term of its own: 2 for pairs of words such as ``not
            good``. Terms share `num_words`, the most frequent ones first.
        min_df: Leave out terms that fewer texts of the training part have.
        one_hot: Give classes as one-hot rows.
        positive_class: Of two classes, the one that recall, precision, F1, average precision and
            the threshold are of (class 1). By default the last one by the alphabet; of numbers the
            larger.
        group_column: Column of what texts may have in common, such as an author: those of one group
            stay in one part, so that sizes are kept as nearly as whole groups allow.
        time_column: Column of numbers or dates (ISO 8601): texts are put in its order and not
            shuffled; the latest ones are the test part, those before them the validation part, and
            folds validate on later texts than they train on.
        id_column: Column that says which text is which: predictions and mistakes carry it along.

    Example:
        >>> data = TextDataModule("reviews.csv", text_column="review", label_column="stars")
    """

    test_advice = "Give test_path or test_size, or a path with a part named test."

    def __init__(
        self,
        path: str,
        text_column: str = "text",
        label_column: str | list[str] = "label",
        test_path: str | None = None,
        test_size: int | float | None = None,
        drop_unlabelled: bool = False,
        table_format: TableFormat | None = None,
        subset: str | None = None,
        revision: str | None = None,
        task: TaskArgument = "auto",
        tokens: Tokens = "words",
        ngrams: int = 1,
        min_df: int = 1,
        one_hot: bool = False,
        positive_class: str | int | None = None,
        group_column: str | None = None,
        time_column: str | None = None,
        id_column: str | None = None,
        **arguments: Unpack[TextArguments],
    ) -> None:
        if test_path is not None and test_size is not None:
            raise InputError("give test_path or test_size, not both.")
        labels = [label_column] if isinstance(label_column, str) else list(label_column)
        for name, column in (
            ("group_column", group_column),
            ("time_column", time_column),
            ("id_column", id_column),
        ):
            if column in labels:
                raise InputError(f"{column!r} is the label_column; it cannot be {name}.")
        if not labels or text_column in labels:
            raise InputError(
                f"label_column must name other columns than text_column={text_column!r}; "
                f"got {label_column!r}."
            )
        form = TableFormat.of(table_format)
        columns = TextColumns(
            *(text_column, tuple(labels), group_column, time_column, id_column),
            format=form,
            classes=task == "classification",
            drop_unlabelled=drop_unlabelled,
        )
        test_source = None
        if test_path:
            tested = replace(columns, time=None)
            test_source = TextFiles(str(test_path), tested, tokens, is_test=True)
        truth = tuple(labels)
        predicted = TextColumns(
            text_column, id=id_column, truth=truth, format=form, classes=columns.classes
        )
        super().__init__(
            source=TextFiles(str(path), columns, tokens, subset, revision),
            test_source=test_source,
            columns=predicted,
            targets=TargetEncoder(task, one_hot=one_hot, names=labels, positive=positive_class),
            tokens=tokens,
            ngrams=ngrams,
            min_df=min_df,
            test_size=test_size,
            **arguments,
        )
        self.path = str(path)
        self.id_column = id_column
        self.split.check(group_column is not None, time_column is not None)

    def load_train(self) -> Examples:
        """Return the texts of `path`, without its test part."""
        parts = self.parts(self.source)
        if "train" not in parts:
            raise InputError(f"{self.path} has no train part. Give a file or folder with one.")
        return self.labelled(parts["train"])

    def load_test(self) -> Examples | None:
        """Return the texts of `test_path`, else the test part of `path`, if there is one."""
        if self.test_source is not None:
            return self.labelled(own_part(self.parts(self.test_source)))
        parts = self.parts(self.source)
        if "test" not in parts or self.split.test_size is not None:
            return None
        return self.labelled(parts["test"])
