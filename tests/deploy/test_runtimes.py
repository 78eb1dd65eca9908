"""Predictors on real exported files."""

import shutil

import numpy as np
import pytest

from dltemplates import catalog
from dltemplates.deploy.formats.format import load_format
from dltemplates.runtimes import KerasPredictor, load_predictor, read_contract


@pytest.fixture
def images(dataset):
    return dataset.split("test").arrays["image"]


@pytest.mark.parametrize("key", catalog.FORMATS)
def test_every_runtime_returns_named_rows_for_any_batch(predictor, serving, images, key):
    found = predictor(key)
    expected = KerasPredictor(serving.model, serving.contract)({"image": images[:70]})["probabilities"]
    for count in (1, 2, 70):
        outputs = found({"image": images[:count]})
        assert list(outputs) == ["probabilities"]
        assert outputs["probabilities"].dtype == np.float32
        error = np.abs(outputs["probabilities"] - expected[:count]).max()
        assert error <= (load_format(key).tolerance or 0.2)
    np.testing.assert_array_equal(
        found({"image": images[:3]})["probabilities"], found({"image": images[:3].astype("float32")})["probabilities"]
    )


@pytest.mark.parametrize("key", catalog.FORMATS)
def test_a_contract_can_be_read_alone(exported, predictor, key):
    report, folder = exported
    assert read_contract(folder / report.result(key).file) == predictor(key).contract


@pytest.mark.parametrize("key", [key for key in catalog.FORMATS if key != "saved_model"])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.99])
def test_a_truncated_file_is_refused(exported, tmp_path, key, share):
    report, folder = exported
    whole = (folder / report.result(key).file).read_bytes()
    path = tmp_path / report.result(key).file
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(ValueError, match=r"must (be valid|carry contract.json).*Received: .*Export it again"):
        load_predictor(path)


def test_a_truncated_saved_model_is_refused(exported, tmp_path):
    report, folder = exported
    path = tmp_path / "copy"
    shutil.copytree(folder / report.result("saved_model").file, path)
    (path / "saved_model.pb").write_bytes((path / "saved_model.pb").read_bytes()[:100])
    with pytest.raises(ValueError, match="must stay as it was written"):
        load_predictor(path)


def test_a_file_of_another_tool_is_refused(exported, tmp_path):
    import onnx

    report, folder = exported
    model = onnx.load(folder / report.result("onnx:float32").file)
    del model.metadata_props[:]
    onnx.save(model, tmp_path / "bare.onnx")
    with pytest.raises(ValueError, match="must carry contract"):
        load_predictor(tmp_path / "bare.onnx")


def test_litert_and_tensorflow_lite_read_past_the_zip(exported):
    from ai_edge_litert.interpreter import Interpreter

    report, folder = exported
    interpreter = Interpreter(model_path=str(folder / report.result("tflite:float32").file))
    assert interpreter.get_signature_list() == {"serving_default": {"inputs": ["image"], "outputs": ["probabilities"]}}


def test_onnx_names_and_shapes_match_the_contract(exported):
    import onnx

    report, folder = exported
    for kind in ("float32", "float16", "int8"):
        model = onnx.load(folder / report.result(f"onnx:{kind}").file)
        onnx.checker.check_model(model)
        (image,), (output,) = model.graph.input, model.graph.output
        dimensions = [[d.dim_param or d.dim_value for d in v.type.tensor_type.shape.dim] for v in (image, output)]
        assert (image.name, output.name) == ("image", "probabilities")
        assert dimensions == [["batch", 8, 8, 1], ["batch", 10]]
        assert {entry.domain: entry.version for entry in model.opset_import} == {"": 17}
        assert model.ir_version <= 10
