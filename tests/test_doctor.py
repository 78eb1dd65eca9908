from dltemplates import doctor
from dltemplates.doctor import PACKAGES, RUNTIMES, broken, diagnose


def test_a_machine_that_works_has_nothing_broken():
    findings = diagnose()
    assert broken(findings) == []
    assert any(name.startswith("GPU") for name in findings)
    assert "CPU" in findings["devices"]


def test_a_missing_package_and_a_broken_runtime_are_named(monkeypatch):
    monkeypatch.setattr(doctor, "PACKAGES", (*PACKAGES, "no-such-package"))
    monkeypatch.setattr(doctor, "RUNTIMES", {**RUNTIMES, "None": "no_such_module"})
    findings = diagnose()
    assert findings["None loads"].startswith("no: ModuleNotFoundError: ")
    assert broken(findings) == ["no-such-package is not installed", "None does not load"]


def test_without_keras_no_devices_are_listed(monkeypatch):
    monkeypatch.setattr(doctor, "RUNTIMES", {"Keras": "no_such_module"})
    findings = diagnose()
    assert "devices" not in findings
    assert not any(name.startswith("GPU") for name in findings)
    assert broken(findings) == ["Keras does not load"]


def test_the_data_folder_is_checked(monkeypatch, tmp_path):
    monkeypatch.setattr(doctor, "RUNTIMES", {"Keras": "no_such_module"})  # fails fast
    for value, said in ((None, "not set"), (tmp_path, str(tmp_path)), (tmp_path / "no", f"{tmp_path}/no, which is no")):
        monkeypatch.delenv("DLT_DATA", raising=False)
        if value:
            monkeypatch.setenv("DLT_DATA", str(value))
        assert diagnose()["DLT_DATA"].startswith(said)
