"""The batch size that the training examples allow."""

import pytest

from conftest import small_template
from dltemplates.settings import NO_DATASET
from dltemplates.template import load_template
from dltemplates.training.batch_size import batch_note, with_fitting_batch


@pytest.mark.parametrize(
    ("examples", "expected"), [(1, 1), (5, 4), (8, 8), (28, 8), (63, 8), (100, 8), (200, 16), (255, 16), (256, 256)]
)
def test_a_batch_is_lowered_to_a_power_of_two_that_leaves_steps(examples, expected):
    template = small_template(train__batch_size=256)
    fitting = with_fitting_batch(template, examples)
    assert fitting.train.batch_size == expected
    assert with_fitting_batch(fitting, examples) == fitting  # so that a run can be resumed
    note = batch_note(template, fitting, examples)
    if examples < 256:
        assert note == f"train.batch_size is {expected} instead of 256, since there are {examples} training examples"
    else:
        assert note is None


def test_only_labeled_examples_count():
    template = small_template(train__batch_size=64, train__num_labeled=40)
    fitting = with_fitting_batch(template, 1000)
    assert fitting.train.batch_size == 8
    assert "there are 40 training examples" in batch_note(template, fitting, 1000)


def test_a_task_with_data_of_its_own_keeps_its_batch():
    template = load_template("resnet8_digits", {"dataset.name": NO_DATASET})
    assert with_fitting_batch(template, 3) is template
