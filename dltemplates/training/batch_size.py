"""A batch size that the training examples allow."""

from __future__ import annotations

from dltemplates.settings import NO_DATASET
from dltemplates.template import Template

MIN_BATCH = 8  # fewer examples make batch normalization and gradients noisy
MIN_STEPS = 8  # of an epoch


def with_fitting_batch(template: Template, examples: int) -> Template:
    """Return the template with a smaller batch if there are fewer training examples than one batch has.

    The batch is then a power of two, for several devices: at most an eighth of the examples, but at least 8 if there
    are so many.

    Args:
        template: The template.
        examples: Number of training examples.
    """
    examples = min(examples, template.train.num_labeled or examples)
    if template.dataset.name == NO_DATASET or template.train.batch_size <= examples:
        return template
    largest = max(min(examples, MIN_BATCH), examples // MIN_STEPS, 1)
    train = template.train.model_copy(update={"batch_size": 2 ** (largest.bit_length() - 1)})
    return template.model_copy(update={"train": train})


def batch_note(before: Template, after: Template, examples: int) -> str | None:
    """Return a line on the smaller batch; None if it is the same."""
    old, new = before.train.batch_size, after.train.batch_size
    if old == new:
        return None
    used = min(examples, before.train.num_labeled or examples)
    return f"train.batch_size is {new} instead of {old}, since there are {used} training examples"
