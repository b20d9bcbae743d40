"""Texts: where they come from, how they become words, and what numbers stand for words.

The way of a text: a DataModule (`own_texts`, `imdb`, `reuters`; what they share is in `base`) has a
source (`sources`, or `keras_archives`), which reads rows (`files`), takes cells for texts and
labels (`rows`) and splits texts into `tokens`: a `corpus`, kept on disk. The encoder (`encodings`)
learns a `vocabulary`, perhaps with `ngrams`, and makes sparse rows of texts.

Not here: targets, splits and batches, which all data share, and the layer that takes sparse rows
(`dlp.bag_of_words`).
"""
