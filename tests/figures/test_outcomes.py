import numpy as np

from conftest import spec_of
from dltemplates.features import ClassId
from dltemplates.figures.outcomes import confused_pairs_figure, grid_figure
from dltemplates.tasks.classification import Classification

CLASSES = tuple("abcd")


def bars(figure):
    """Return label, length and note of each bar, from top to bottom."""
    (axes,) = figure.axes
    assert axes.yaxis_inverted()
    labels = [label.get_text() for label in axes.get_yticklabels()]
    notes = [text.get_text().strip() for text in axes.texts]
    return list(zip(labels, [bar.get_width() for bar in axes.patches], notes, strict=True))


def test_the_most_confused_pairs_come_first():
    matrix = np.diag([50, 40, 30, 20])
    matrix[0, 1], matrix[3, 2], matrix[1, 0] = 3, 9, 1
    assert bars(confused_pairs_figure(matrix, CLASSES)) == [
        ("d → c", 9, "9 of 29"),
        ("a → b", 3, "3 of 53"),
        ("b → a", 1, "1 of 41"),
    ]


def test_at_most_ten_pairs_are_shown():
    matrix = np.arange(16).reshape(4, 4)
    shown = bars(confused_pairs_figure(matrix, CLASSES))
    assert [count for _, count, _ in shown] == [14, 13, 12, 11, 9, 8, 7, 6, 4, 3]


def test_without_confusion_there_is_no_figure():
    assert confused_pairs_figure(np.diag([5, 6]), CLASSES[:2]) is None
    task = Classification(spec_of(ClassId(name="label", dtype="int64", shape=(), classes=CLASSES)))
    right, wrong = np.eye(4), np.eye(4)[::-1]
    targets = {"label": np.arange(4)}
    assert set(task.figures(task.compare(targets, {"probabilities": right}))) == {"confusion_matrix"}
    assert set(task.figures(task.compare(targets, {"probabilities": wrong}))) == {"confusion_matrix", "confused_pairs"}


def test_a_grid_has_at_most_as_many_rows_as_columns():
    (image,) = grid_figure(np.full((40, 4, 6, 1), 300.0), side=3).axes[0].images
    assert np.asarray(image.get_array()).shape == (3 * 5, 3 * 7)
    assert np.asarray(image.get_array())[:4, :6].tolist() == [[255] * 6] * 4
