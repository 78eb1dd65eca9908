"""The Python API: the functions behind the command line."""

import inspect
import os
import re
import subprocess
import sys

import pytest

import dltemplates as dlt


def test_importing_loads_no_tensorflow():
    code = "import sys, dltemplates\nassert not {'tensorflow', 'keras', 'numpy'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(("variables", "expected"), [({}, "1"), ({"TF_ENABLE_ONEDNN_OPTS": "0"}, "0")])
def test_onednn_is_enabled_unless_the_environment_disables_it(variables, expected):
    environment = {name: value for name, value in os.environ.items() if name != "TF_ENABLE_ONEDNN_OPTS"} | variables
    code = f"import os, dltemplates\nassert os.environ['TF_ENABLE_ONEDNN_OPTS'] == '{expected}'"
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)


@pytest.mark.parametrize("name", [name for name in dir(dlt) if name != "__version__"])
def test_every_public_name_has_a_docstring_with_an_example(name):
    assert name in dlt.__all__
    assert re.search(r"\n\n {4}.*\b(dlt\.|predictor\(|run\.)", inspect.getdoc(getattr(dlt, name)))


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'trane'"):
        _ = dlt.trane


def test_a_renamed_function_names_the_new_one():
    expected = r"`dltemplates\.adopt` is now `dltemplates\.import_model`\. Use the new name\."
    with pytest.raises(AttributeError, match=expected):
        _ = dlt.adopt
    assert "adopt" not in dlt.__all__
    assert dlt.import_model.__name__ == "import_model"


def test_the_main_job_from_python(small_run, tmp_path):
    import shutil

    shutil.copytree(small_run.path, tmp_path / "run")
    run = dlt.load_run(tmp_path / "run")
    report = dlt.export(run, formats=["tflite:float32"])
    assert not report.failed
    file = run.exports_path / report.result("tflite:float32").file
    assert dlt.evaluate(file)["scores"] == run.record.scores["test"]
    assert dlt.load_predictor(file).contract.labels == tuple("0123456789")
    assert "tflite:float32" in dlt.write_report(run).read_text()


def test_export_is_the_function_and_not_the_module():
    import dltemplates.deploy.export
    from dltemplates.deploy.export_run import export

    assert dlt.export is export
    assert dltemplates.deploy.export.export_system
