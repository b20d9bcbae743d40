"""How rows are divided: the public name of what `dlp.datamodules.splitting.splits` holds."""

from dlp.datamodules.splitting.splits import Indices as Indices
from dlp.datamodules.splitting.splits import Parts as Parts
from dlp.datamodules.splitting.splits import Split as Split
from dlp.datamodules.splitting.splits import Splitter as Splitter
from dlp.datamodules.splitting.splits import keras_order as keras_order
