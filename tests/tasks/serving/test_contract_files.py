"""The texts inside an exported file."""

from dltemplates.datasets.features import class_value, image_value
from dltemplates.features import Probabilities
from dltemplates.tasks.serving.contract import LABELS_FILE, Contract


def test_labels_have_one_line_each():
    """A contract of an earlier version may hold names on several lines."""
    classes = ("yes\n(second line)", "zero\t", "a\u2028b")
    output = Probabilities(name="probabilities", dtype="float32", shape=(3,), classes=classes)
    contract = Contract(
        name="network",
        task="classification",
        inputs=(image_value((4, 4), 1, resize="stretch"),),
        outputs=(output,),
        targets=(class_value(classes),),
    )
    files = contract.files()
    assert files[LABELS_FILE].splitlines() == ["yes (second line)", "zero", "a b"]
    assert Contract.model_validate_json(files["contract.json"]).labels == classes
