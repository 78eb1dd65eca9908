"""Series with labeled anomalies: windows, labels, splits by time, and refused input."""

import json

import numpy as np
import pandas as pd
import pytest

from conftest import load_data
from dltemplates.datasets.named.nab import FOLDERS, LENGTH
from dltemplates.settings import DatasetSettings, Named
from dltemplates.tasks.load_for import load_for
from dltemplates.template import load_template

ROWS = 1000


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Write a series that counts up from 0, one value a minute; minutes 500 to 519 and 900 to 949 are anomalies."""
    monkeypatch.setenv("DLT_DATA", str(tmp_path))
    times = pd.date_range("2020-01-01", periods=ROWS, freq="min")
    path = tmp_path / "nab" / "data" / "realKnownCause" / "counter.csv"
    path.parent.mkdir(parents=True)
    pd.DataFrame({"timestamp": times, "value": np.arange(ROWS)}).to_csv(path, index=False)
    windows = [[str(times[500]), str(times[519])], [str(times[900]), str(times[949])]]
    labels = tmp_path / "nab" / "labels" / "combined_windows.json"
    labels.parent.mkdir()
    labels.write_text(json.dumps({"realKnownCause/counter.csv": windows}))
    return tmp_path


def load(**settings):
    return load_data(DatasetSettings(name="nab:counter", **settings))


def everything(dataset, split):
    source = dataset.split(split)
    return source.read(np.arange(len(source)))


def test_windows_are_in_time_order_and_each_in_one_split(folder):
    dataset = load(validation=0.5, test=0.4)
    split_bounds = {"train": (0, 300), "validation": (300, 600), "test": (600, 1000)}
    aftermath = {"train": 0, "validation": 63, "test": 0}
    for split, (first, last) in split_bounds.items():
        windows = everything(dataset, split)["series"][..., 0]
        assert windows.shape == (last - first - LENGTH + 1 - aftermath[split], LENGTH)
        np.testing.assert_array_equal(windows[0], np.arange(first, first + LENGTH))
        assert windows[-1, -1] == last - 1
        assert (np.diff(windows, axis=1) == 1).all()
    assert dataset.spec.sizes == {"train": 237, "validation": 174, "test": 337}


def test_a_window_has_the_label_of_its_last_value(folder):
    dataset = load(validation=0.5, test=0.4)
    for split, marked in (("train", []), ("validation", range(500, 520)), ("test", range(900, 950))):
        arrays = everything(dataset, split)
        assert arrays["series"][arrays["label"] == 1, -1, 0].tolist() == list(marked)


def test_normal_windows_outside_the_test_split_hold_no_anomaly(folder):
    for shares in ({"validation": 0.5, "test": 0.4}, {"validation": 0.2, "test": 0.05 + LENGTH / ROWS}):
        dataset = load(**shares)
        for split in ("train", "validation"):
            arrays = everything(dataset, split)
            values = arrays["series"][arrays["label"] == 0]
            assert len(values) > 10
            assert not (((values >= 500) & (values < 520)) | ((values >= 900) & (values < 950))).any()
    ends = everything(load(validation=0.5, test=0.4), "test")["series"][:, -1, 0]
    assert ends.tolist() == list(range(600 + LENGTH - 1, ROWS))


def test_statistics_are_fitted_on_the_training_part(folder):
    (value,) = load(validation=0.5, test=0.4).spec.inputs
    windows = np.arange(237)[:, None] + np.arange(LENGTH)
    np.testing.assert_allclose((value.mean, value.std), ([windows.mean()], [windows.std()]))


def test_an_autoencoder_reads_each_window_as_a_row(folder):
    settings = DatasetSettings(name="nab:counter", validation=0.5, test=0.4)
    (value,) = load_data(settings, Named(name="anomaly", anomalies="drop")).spec.inputs
    windows = np.arange(237)[:, None] + np.arange(LENGTH)
    assert (value.name, value.kind) == ("features", "number")
    np.testing.assert_allclose(value.mean, windows.mean(axis=0))
    np.testing.assert_allclose(value.std, windows.std(axis=0))


def test_windows_are_read_at_any_indices(folder):
    source = load(validation=0.5, test=0.4).split("test")
    np.testing.assert_array_equal(source.read(np.array([9, 2]))["series"][:, 0, 0], [609, 602])


@pytest.mark.parametrize("name", ["nab:toaster", "nab"])
def test_a_series_must_be_named(folder, name):
    with pytest.raises(ValueError, match="A series of NAB must be named, as in `nab:nyc_taxi`.*There are: counter"):
        load_data(name)


def test_a_split_must_hold_a_window(folder):
    with pytest.raises(ValueError, match="must hold a window of 64 values. Received: 50 of 1000 rows in test"):
        load(test=0.05)
    with pytest.raises(ValueError, match="8 of 1000 rows in validation"):
        load(validation=0.01)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("time,value\n1,2\n", "must hold `timestamp` and `value`"),
        ("timestamp,value\n2020-01-01,two\n", "must hold `timestamp` and `value`"),
        ("timestamp,value\nsoon,2\n", "must hold `timestamp` and `value`"),
        ("timestamp,value\n2020-01-01,\n2020-01-02,1\n", "must hold finite numbers. Received: 1 others"),
    ],
)
def test_a_broken_series_is_named(folder, text, match):
    (folder / "nab" / "data" / "realKnownCause" / "counter.csv").write_text(text)
    with pytest.raises(ValueError, match=f"counter.csv {match}"):
        load()


def test_without_files_the_error_says_where_to_put_them(tmp_path, monkeypatch):
    monkeypatch.setenv("DLT_DATA", str(tmp_path))
    monkeypatch.setenv("DLT_CACHE", str(tmp_path / "none"))
    with pytest.raises(ValueError, match=r"needs the file nab/labels/combined_windows\.json.*github.com/numenta/NAB"):
        load()


SHARES = {
    0.5: ["machine_temperature_system_failure", "ambient_temperature_system_failure", "rogue_agent_key_hold",
          "ec2_request_latency_system_failure", "rogue_agent_key_updown", "art_increase_spike_density"],
    0.3: ["nyc_taxi", "art_daily_flatmiddle", "art_daily_jumpsdown", "art_daily_jumpsup", "art_daily_nojump",
          "art_load_balancer_spikes"],
    0.25: ["nyc_taxi"],
}  # fmt: skip


@pytest.mark.data
def test_each_series_has_anomalies_in_both_splits_at_the_documented_shares(data_folder):
    named = {name for names in SHARES.values() for name in names} | {"cpu_utilization_asg_misconfiguration"}
    assert named == {path.stem for part in FOLDERS for path in (data_folder / "nab" / "data" / part).glob("*.csv")}
    for test, names in SHARES.items():
        for name in names:
            template = load_template("fc_autoencoder_nab", {"dataset.name": f"nab:{name}", "dataset.test": test})
            _, dataset = load_for(template)
            assert dataset.spec.sizes["train"] > 0


@pytest.mark.data
def test_the_template_trains_on_normal_windows_and_evaluates_on_later_ones(data_folder):
    template = load_template("fc_autoencoder_nab")
    _, dataset = load_for(template)
    assert dataset.spec.sizes == {"train": 2711, "validation": 7818, "test": 11284}
    marks = {split: everything(dataset, split)["anomaly"] for split in dataset.splits}
    stretches = {split: int((np.diff(marks[split], prepend=0) == 1).sum()) for split in marks}
    assert stretches == {"train": 0, "validation": 1, "test": 2}
