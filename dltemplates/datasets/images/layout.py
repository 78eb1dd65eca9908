"""The layout of a folder of images: its splits, and whether its folders are classes."""

from __future__ import annotations

from pathlib import Path

from dltemplates.datasets.images.labels_csv import LABELS
from dltemplates.datasets.names import clean
from dltemplates.datasets.spec import READING_RULES
from dltemplates.datasets.splitting.split_names import mentions_split, split_of, splits_of

# The last four are of photos that are named in a message, but not read.
SUFFIXES = (
    *(".jpg", ".jpeg", ".jfif", ".jpe", ".mpo", ".png", ".bmp", ".gif", ".webp", ".avif"),
    *(".heic", ".heif", ".tif", ".tiff"),
)
SYSTEM_FOLDERS = ("@eadir", "__macosx", "$recycle.bin")  # of Synology, macOS and Windows
MERGE = "--set dataset.images.subfolders=merge"


Folders = tuple[dict[str, Path], dict[str, str]]  # of the splits; and the others, each with the reason


class DoubtfulLayoutError(ValueError):
    """Folders that may be splits or classes."""


def split_folders(root: Path, *, rules: int = READING_RULES, merge: bool = False) -> Folders:
    """Return the folder of each split, `{"train": root}` if there are none, and the other folders beside them.

    Args:
        root: The folder above.
        rules: Version of the reading rules.
        merge: Whether folders that may be splits or classes are classes.

    Raises:
        ValueError: If a split has two folders, or a folder may be a split or a class.
    """
    try:
        return _find_splits(root, rules)
    except DoubtfulLayoutError:
        if merge:
            return {"train": root}, {}
        raise


def _find_splits(root: Path, rules: int) -> Folders:
    """Return the folders as `split_folders` does; raise a `DoubtfulLayoutError` if a folder may be a class."""
    # A class may be called "train". So a split's folder has class folders or a table of labels. If its images have no
    # class folders, it lies beside another split's folder, or alone.
    children = subfolders(root, rules=rules)
    split_by_name = splits_of([path.name for path in children], rules=rules)
    named = [path for path in children if path.name in split_by_name]
    of_splits = [path for path in named if subfolders(path, rules=rules) or (path / LABELS).exists()]
    if of_splits and rules >= 3:  # a split without class folders must not be left out while another one is drawn
        of_splits = named
    present = {split_by_name[path.name] for path in named}
    is_labeled = rules >= 3 and (root / LABELS).is_file()
    count = len(present) if rules >= 3 else len(named)
    if not of_splits and not is_labeled and "train" in present and (count > 1 or len(children) == 1):
        of_splits = named
    if not of_splits:
        return {"train": root}, {}
    folders: dict[str, Path] = {}
    for path in of_splits:
        split = split_by_name[path.name]
        if split in folders:
            raise ValueError(
                f"A split must have one folder. Received: {folders[split]} and {path}. Merge them, or remove one."
            )
        folders[split] = path
    others = [path for path in children if path not in of_splits]
    if rules >= 3 and (alike := [path for path in others if _share_classes(path, folders.get("train", of_splits[0]))]):
        first = of_splits[0]
        raise DoubtfulLayoutError(
            f"A folder with the subfolders of a split must be a split, too. Received: {alike[0].name}/ beside "
            f"{first.name}/ in {root}. Rename it to validation/ or test/, or move it; for classes, {MERGE}."
        )
    train = folders.get("train")
    is_alone = len(folders) == 1 and train is not None and not (train / LABELS).exists()
    if rules >= 3 and is_alone and (full := [path for path in others if _has_images(path)]):
        raise DoubtfulLayoutError(
            f"A folder of images beside train/ alone must be a split or a class. Received: {full[0].name}/ beside "
            f"{of_splits[0].name}/ in {root}. Rename it to validation/ or test/, or move it; for classes, {MERGE}."
        )
    if "train" not in folders:
        names = ", ".join(f"{path.name}/" for path in of_splits)
        raise DoubtfulLayoutError(
            f"A folder with splits needs `train/`. Received: {root} with {names} only. Add {root}/train; for classes, "
            f"{MERGE}."
        )
    if rules >= 3:
        folders = {split: _unwrap(path, split) for split, path in folders.items()}
    order = [name for name in ("train", "validation", "test") if name in folders]
    beside = {f"{path.name}/": "is beside the splits" for path in others}
    return {name: folders[name] for name in order}, beside


def _unwrap(path: Path, split: str) -> Path:
    """Return the folder inside, if a split's folder holds only another one of its name: `seg_train/seg_train`."""
    inner = subfolders(path)
    if len(inner) != 1 or images_in(path) or (path / LABELS).exists():
        return path
    is_same = inner[0].name == path.name or split_of(inner[0].name) == split
    return _unwrap(inner[0], split) if is_same else path


def check_layout(root: Path, folders: dict[str, Path], known: set[str]) -> None:
    """Check that class folders are classes, not splits under other names.

    Args:
        root: The folder of the images.
        folders: The splits' folders; without splits, `root` alone.
        known: Class names of a trained network.

    Raises:
        ValueError: If they may be splits, if the classes may lie deeper in a split, or if the splits lie in the only
            folder.
    """
    if (folders["train"] / LABELS).is_file():
        return
    if folders != {"train": root}:
        for path in folders.values():
            _check_split(path, known)
        return
    children = [path for path in subfolders(root) if subfolders(path) or images_in(path)]
    if not children or {clean(path.name) for path in children} <= set(map(clean, known)):
        return
    upper = [path for path in children if subfolders(path) and not images_in(path)]
    if (
        len(children) == 1
        and upper
        and "train" in splits_of([p.name for p in subfolders(upper[0])], rules=READING_RULES).values()
    ):
        raise ValueError(f"The splits' folders must lie in the folder itself. Received: {root}. Name {upper[0]}.")
    common = set.intersection(*(_inner_names(path) for path in upper)) if upper else set()
    same = len(upper) == len(children) > 1 and len(common) > 1
    splits = {path for path in children if split_of(path.name)}  # beside one, a folder of folders may be another
    doubtful = [path for path in upper if len(subfolders(path)) > 1 and (mentions_split(path.name) or splits - {path})]
    doubtful = upper if same else doubtful
    if not doubtful:
        return
    names = ", ".join(f"{path.name}/" for path in doubtful[:4])
    inner = ", ".join(f"{name}/" for name in sorted(common or _inner_names(doubtful[0]))[:3])
    way_out = f"Rename splits to train/ and test/; for classes, {MERGE}."
    if all(map(split_of, common)) and common:
        way_out = f"Put the splits above the classes, such as train/{upper[0].name}; or take all images, {MERGE}."
    raise ValueError(
        f"`dlt` must know whether folders with subfolders are splits or classes. Received: {names} in {root}, with "
        f"{inner} in {'each' if same else 'it'}. {way_out}"
    )


def _check_split(path: Path, known: set[str]) -> None:
    """Raise a `ValueError` if all folders in a split have the same subfolders, which may be the classes."""
    children = [child for child in subfolders(path) if subfolders(child) or images_in(child)]
    if len(children) < 2 or {clean(child.name) for child in children} <= set(map(clean, known)):
        return
    common = set.intersection(*map(_inner_names, children))
    if len(common) < 2 or any(map(images_in, children)):
        return
    names = ", ".join(f"{child.name}/" for child in children[:4])
    inner = ", ".join(f"{name}/" for name in sorted(common)[:3])
    raise ValueError(
        f"A split must have class folders. Received: {names} in {path}, with {inner} in each. Put {inner} into "
        f"{path.name}/ itself; or if {names} are the classes, {MERGE}."
    )


def _inner_names(path: Path) -> set[str]:
    return {clean(inner.name) for inner in subfolders(path)}


def _share_classes(path: Path, train: Path) -> bool:
    """Return whether a folder holds at least two class folders of the training split, or nothing else."""
    inner = _inner_names(path)
    common = inner & _inner_names(train)
    return len(common) > 1 or (bool(inner) and common == inner)


def _has_images(path: Path) -> bool:
    """Return whether a folder or its subfolders hold images."""
    return bool(images_in(path)) or any(map(_has_images, subfolders(path)))


def is_hidden(name: str, *, rules: int = READING_RULES) -> bool:
    """Return whether a file or folder is hidden, or of the system; earlier rules know no folders of the system."""
    return name.startswith(".") or (rules >= 3 and name.lower() in SYSTEM_FOLDERS)


def subfolders(path: Path, *, rules: int = READING_RULES) -> list[Path]:
    """Return the folders in a folder, sorted, without hidden ones."""
    visible = (child for child in path.iterdir() if not is_hidden(child.name, rules=rules))
    return sorted(child for child in visible if child.is_dir())


def images_in(path: Path) -> list[Path]:
    """Return the image files directly in a folder, sorted, by their suffixes."""
    return sorted(file for file in path.iterdir() if file.suffix.lower() in SUFFIXES and not is_hidden(file.name))
