"""Names of folders and files that name a split."""

import re

import pytest

from dltemplates.datasets.splitting.split_names import mentions_split, split_files, split_of, splits_of


@pytest.mark.parametrize(
    ("split", "names"),
    [
        ("train", "train Training TRAIN Train training_set trainset TrainSet train2017 1.Training train-data 01_train"),
        ("validation", "val Valid VALIDATION dev DEV devset eval val2017 2.Validation validation_images evaluation"),
        ("test", "test Testing TEST test_set testset TestImages testing-data"),
        ("train", "훈련 학습용 학습데이터"),
        ("validation", "검증 검증용"),
        ("test", "테스트 시험용"),
        ("train", "Trainingsdaten Trainingsbilder Entraînement données_entrainement 训练集 訓練データ 学習用"),
        ("validation", "Validierung Validierungsdaten Évaluation datos_validacion 验证集 検証データ"),
        ("train", "entrenamiento 训练 訓練"),
        ("test", "Testdaten Testbilder pruebas datos_prueba 测试集 測試 テスト用"),
    ],
)
def test_a_split_is_known_in_any_case_and_form(split, names):
    assert {name: split_of(name) for name in names.split()} == dict.fromkeys(names.split(), split)


OTHERS = (
    "cats strain latest contest trainer invalid interval device devil evaluate_me protest test_strip train_station "
    "seg_train trainval daten 画像 entraineur images set 2017 data pred attestation untested"
)


def test_other_names_are_no_split_by_themselves():
    assert [name for name in OTHERS.split() if split_of(name)] == []


def test_names_with_another_word_are_splits_beside_their_like():
    assert splits_of(["seg_pred", "seg_train", "seg_test"], rules=3) == {"seg_train": "train", "seg_test": "test"}
    assert splits_of(["BirdsTrain", "BirdsVal"], rules=3) == {"BirdsTrain": "train", "BirdsVal": "validation"}
    assert splits_of(["train_station", "test_strip"], rules=3) == {}
    assert splits_of(["train_station", "airport"], rules=3) == {}
    assert splits_of(["Train", "seg_test"], rules=3) == {"Train": "train"}
    assert mentions_split("train_station")
    assert not mentions_split("station")


def test_several_words_beside_splits_are_refused():
    with pytest.raises(ValueError, match=r"Received: cats_test, cats_train, dogs_test, .*train/cats and test/cats"):
        splits_of(["cats_train", "cats_test", "dogs_train", "dogs_test"], rules=3)


def test_earlier_rules_know_few_names():
    names = ["train", "val", "valid", "Test", "dev", "seg_train", "seg_test"]
    assert splits_of(names, rules=2) == {"train": "train", "val": "validation", "valid": "validation"}


def test_files_of_splits(tmp_path):
    for name in ("Train.csv", "dev.CSV", "notes.csv", "test.txt"):
        (tmp_path / name).write_text("x\n1\n")
    (tmp_path / "test_set.csv").mkdir()
    found = split_files(tmp_path, ".csv", rules=3)
    assert {split: path.name for split, path in found.items()} == {"train": "Train.csv", "validation": "dev.CSV"}
    assert split_files(tmp_path, ".csv", rules=2) == {}
    assert split_files(tmp_path / "Train.csv", ".csv", rules=3) == {}
    (tmp_path / "training.csv").write_text("x\n1\n")
    with pytest.raises(
        ValueError, match=rf"one file. Received: {re.escape(str(tmp_path))}/Train.csv and .*training.csv"
    ):
        split_files(tmp_path, ".csv", rules=3)


def test_files_without_a_training_split_are_no_splits(tmp_path):
    (tmp_path / "test.csv").write_text("x\n1\n")
    assert split_files(tmp_path, ".csv", rules=3) == {}
    (tmp_path / "train.csv").write_text("x\n1\n")
    assert list(split_files(tmp_path, ".csv", rules=2)) == ["train", "test"]
