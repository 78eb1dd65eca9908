"""Names of folders and files that name a split: `train`, `Training`, `seg_train`, `test_set`, `dev`, ..."""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

FIRST_NAMES = {"train": "train", "validation": "validation", "val": "validation", "valid": "validation", "test": "test"}
FORMS = {
    "train": (
        *("train", "training", "trn", "trainings", "entrainement", "entraînement", "apprentissage", "entrenamiento"),
        *("훈련", "학습", "训练", "訓練", "学習", "トレーニング"),
    ),
    "validation": (
        *("validation", "validate", "valid", "val", "dev", "development", "eval", "evaluation"),
        *("validierung", "validierungs", "évaluation", "validacion", "validación"),
        *("검증", "验证", "驗證", "検証"),
    ),
    "test": ("test", "testing", "tst", "prueba", "pruebas", "테스트", "시험", "测试", "測試", "テスト"),
}
FILLERS = (
    "",
    "data",
    "dataset",
    "folder",
    "image",
    "images",
    "img",
    "imgs",
    "pictures",
    "set",
    "split",
    "daten",
    "datensatz",
    "bilder",
    "données",
    "donnees",
    "datos",
    "imágenes",
    "imagenes",
    "용",
    "데이터",
    "集",
    "数据",
    "数据集",
    "用",
    "データ",
    "画像",
)
WORDS = {form + filler: split for split, forms in FORMS.items() for form in forms for filler in FILLERS}


def split_of(name: str) -> str | None:
    """Return the split that a name names by itself: `train` for `Training`, `TRAIN`, `train_set`, `1.Train`; or None.

    A name with another word, such as `seg_train`, names a split only beside its like: see `splits_of`.
    """
    split, others = _parse(name)
    return None if others else split


def splits_of(names: Iterable[str], *, rules: int) -> dict[str, str]:
    """Return the split of each name that names one.

    Names with another word, such as `seg_train` and `seg_test`, count if they name different splits and share that
    word; a name by itself, such as `train_station`, may be a class.

    Args:
        names: Names of sibling folders, or of files without their suffix.
        rules: Version of the reading rules; earlier ones know `FIRST_NAMES` only.

    Raises:
        ValueError: If several words stand beside splits, as in `cats_train`, `cats_test`, `dogs_train`, `dogs_test`.
    """
    names = list(names)
    if rules < 3:
        return {name: FIRST_NAMES[name] for name in names if name in FIRST_NAMES}
    alone = {name: split for name in names if (split := split_of(name))}
    if alone:
        return alone
    families: dict[tuple[str, ...], dict[str, str]] = defaultdict(dict)
    for name in names:
        split, others = _parse(name)
        if split:
            families[others][name] = split
    families = {others: family for others, family in families.items() if len(set(family.values())) > 1}
    if len(families) > 1:
        few = ", ".join(sorted(name for family in families.values() for name in family)[:4])
        raise ValueError(
            f"A folder must be a split or a class. Received: {few}, each of which names both. Put the folders of the "
            "classes into those of the splits, such as train/cats and test/cats."
        )
    return next(iter(families.values()), {})


def split_files(folder: Path, suffix: str, *, rules: int) -> dict[str, Path]:
    """Return the file of each split in a folder; empty without a training split.

    Args:
        folder: The folder.
        suffix: The files' suffix, such as `.csv`.
        rules: Version of the reading rules; earlier ones know `train`, `validation` and `test` only.

    Raises:
        ValueError: If a split has two files.
    """
    if rules < 3:
        files = {split: path for split in FORMS if (path := folder / f"{split}{suffix}").is_file()}
        return files if "train" in files else {}
    if not folder.is_dir():
        return {}
    paths = [path for path in sorted(folder.iterdir()) if path.suffix.lower() == suffix and path.is_file()]
    split_by_name = splits_of([path.stem for path in paths], rules=rules)
    files = {}
    for path in paths:
        split = split_by_name.get(path.stem)
        if split in files:
            raise ValueError(
                f"A split must have one file. Received: {files[split]} and {path}. Merge them, or remove one."
            )
        if split:
            files[split] = path
    return {split: files[split] for split in FORMS if split in files} if "train" in files else {}


def mentions_split(name: str) -> bool:
    """Return whether a split is among the words of a name, as in `seg_train` or `train_station`."""
    return _parse(name)[0] is not None


def _parse(name: str) -> tuple[str | None, tuple[str, ...]]:
    """Return the split among the words of a name, and its other words, without numbers and fillers."""
    spaced = re.sub(r"([a-z])([A-Z])", r"\1 \2", unicodedata.normalize("NFKC", name))
    words = re.findall(r"[^\W\d_]+", spaced.casefold())
    splits = {WORDS[word] for word in words if word in WORDS}
    others = tuple(word for word in words if word not in WORDS and word not in FILLERS)
    return (splits.pop() if len(splits) == 1 else None), others
