"""All folds of small dense nets trained at once, as one model; a closed room of `dlp.folds`.

`reasons` says what cannot be stacked, `stacks` gathers folds and trains them, `engine` is the one
model, `network` its batched products with their `gradients`, `fused_steps` its optimizer's steps;
`forks` lets processes share a stack.
"""

from dlp.folds.stacked.reasons import reason_against as reason_against
from dlp.folds.stacked.stacks import train_stacked as train_stacked
