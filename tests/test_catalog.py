import tomllib

import pytest

from dltemplates import catalog, catalog_templates

ENTRIES = [(kind, name) for kind, entries in catalog.KINDS.items() for name in entries if kind != "format"]


@pytest.mark.parametrize(("kind", "name"), ENTRIES)
def test_every_entry_loads_a_documented_callable(kind, name):
    target = catalog.load(kind, name)
    assert callable(target)
    assert target.__doc__
    module, _, attribute = catalog.KINDS[kind][name].target.partition(":")
    assert (target.__module__, target.__name__) == (module, name if kind == "model" else attribute)


@pytest.mark.parametrize("kind", sorted(catalog.KINDS))
def test_every_entry_has_a_one_line_summary(kind):
    assert catalog.KINDS[kind]
    for name, entry in catalog.KINDS[kind].items():
        assert name == name.lower()
        assert entry.summary
        assert "\n" not in entry.summary
        assert not entry.summary.endswith(".")


@pytest.mark.parametrize("kind", ["dataset", "task", "format"])
def test_a_summary_stands_alone_and_fits_80_columns(kind):
    width = max(map(len, catalog.KINDS[kind])) + len("  ")
    for name, entry in catalog.KINDS[kind].items():
        assert width + len(entry.summary) <= 80, name
        assert "the same" not in entry.summary.lower(), name
        assert not entry.summary[0].islower(), name


@pytest.mark.parametrize(
    ("kind", "name", "message"),
    [
        ("model", "lenet6", r"^Unknown model. Received: 'lenet6'. Did you mean lenet5"),
        ("dataset", "minst", r"^Unknown dataset. Received: 'minst'. Did you mean mnist"),
        ("task", "clasification", r"^Unknown task. Received: 'clasification'. Did you mean classification"),
        ("format", "tflite:int9", r"^Unknown format. Received: 'tflite:int9'. Did you mean tflite:int8 or "),
        ("model", "zzz", r"^Unknown model. Received: 'zzz'. For the names, run `dlt list models`\.$"),
        ("format", "", r"^Unknown format. Received: ''. There are: .*, saved_model, tflite:dynamic, .*\w\.$"),
    ],
)
def test_an_unknown_name_raises_with_the_nearest_or_all_names(kind, name, message):
    with pytest.raises(ValueError, match=message):
        catalog.check_name(kind, name)


def test_a_caller_can_pass_its_own_names():
    catalog.check_name("template", "mine", ["mine"])
    with pytest.raises(ValueError, match=r"Unknown template. Received: 'yours'. There are: mine\.$"):
        catalog.check_name("template", "yours", ["mine", "mine"])


def test_load_refuses_an_unknown_name():
    with pytest.raises(ValueError, match="Did you mean lenet5"):
        catalog.load("model", "lenet")


def test_load_imports_a_users_function(tmp_path, monkeypatch):
    (tmp_path / "catalog_own.py").write_text("def tiny(num_outputs): return num_outputs")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert catalog.load("model", "catalog_own:tiny")(3) == 3


@pytest.mark.parametrize("name", ["no_such_module:tiny", "os.no_such:tiny", "os:no_such_function", "os:", ":tiny"])
def test_a_wrong_users_name_raises_with_the_right_form(name):
    with pytest.raises(ValueError, match=r"A model of your own is named `package.module:function`. Received: .* Check"):
        catalog.load("model", name)


def test_measured_results_are_read_from_template_comments(monkeypatch):
    lines = (
        "# A net.",
        "#",
        "# Measured: 0.9 test,",
        "#   seed 0.",
        "# Measured, with --set a=b: 0.8.",
        "#",
        "# More.",
    )
    text = "\n".join((*lines, "[model]", "name = 'lenet5'"))
    texts = {"a": text, "b": text.replace("Measured", "Expected"), "c": text.replace("lenet5", "mlp")}
    monkeypatch.setattr(catalog_templates, "names", lambda: list(texts))
    monkeypatch.setattr(catalog_templates, "text", texts.get)
    assert catalog_templates.measured("lenet5") == {"a": ["0.9 test, seed 0.", "with --set a=b: 0.8."], "b": []}


@pytest.mark.parametrize("name", ["table_classification", "table_regression", "series_forecasting"])
def test_templates_for_your_own_data_show_their_measured_results(name):
    model = tomllib.loads(catalog_templates.text(name))["model"]["name"]
    (result,) = catalog_templates.measured(model)[name]
    assert result.count(";") >= 2
    assert result.endswith(".")


def test_every_measured_result_is_found():
    assert any(found for entries in map(catalog_templates.measured, catalog.MODELS) for found in entries.values())
    for name in catalog_templates.names():
        text = catalog_templates.text(name)
        model = tomllib.loads(text)["model"]
        found = catalog_templates.measured(model if isinstance(model, str) else model["name"])[name]
        assert len(found) == text.count("# Measured")
