"""Which columns of a table of texts hold what."""

import re
from dataclasses import dataclass

from dlp.datamodules.reading import clipped
from dlp.datamodules.tables.table_format import TableFormat
from dlp.errors import MissingInputError, suggestion


@dataclass(frozen=True)
class TextColumns:
    """Which columns of a table hold what.

    Args:
        text: The texts.
        labels: The targets; none for unlabelled texts.
        group: What texts may have in common.
        time: Numbers or dates.
        id: What people know each text by.
        truth: The targets of texts to predict, where they are there; they may be empty.
        format: What the files leave open.
        classes: Whether the labels are classes, whatever they look like.
        drop_unlabelled: Leave out rows without a label.
    """

    text: str
    labels: tuple[str, ...] = ()
    group: str | None = None
    time: str | None = None
    id: str | None = None
    truth: tuple[str, ...] = ()
    format: TableFormat | None = None
    classes: bool = False
    drop_unlabelled: bool = False

    @property
    def encoding(self) -> str | None:
        """The encoding of files, where a person says it."""
        return None if self.format is None else self.format.encoding

    def check(self, path: str, names: list[str]) -> None:
        """Raise a MissingInputError where a table lacks the texts or labels."""
        lacking = [column for column in (self.text, *self.labels) if column not in names]
        if not lacking:
            return
        more, is_csv = "", re.search(r"\.(csv|tsv|txt)(\.gz)?$", path.lower()) is not None
        if is_csv and len(names) == 1:
            more = " If these are several, say what separates them: table_format: {separator: ...}."
        elif is_csv and len(lacking) == len(self.labels) + 1:
            example = ", ".join([*self.labels, self.text])
            more = (
                " If its first line is a row like others, name the columns in their order, such as "
                f"table_format: {{header: [{example}]}}."
            )
        raise MissingInputError(
            f"{path} has no column {lacking[0]!r}.{suggestion(lacking[0], names)} It has: "
            f"{clipped(', '.join(names), 300)}. Say which by text_column and label_column.{more}"
        )
