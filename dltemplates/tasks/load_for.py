"""The task and data of a template, a run or an exported file; training, export and evaluation load through here.

The order is: load -> `Task.adapt` -> split if unsplit -> `Task.prepare_train` -> fit.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from dltemplates.datasets.classes import with_classes_of
from dltemplates.datasets.fit import fit
from dltemplates.datasets.load import check_settings, is_named, load_dataset
from dltemplates.datasets.series.sequences import are_sequences, flatten
from dltemplates.datasets.series.windows import TimeSource
from dltemplates.datasets.source import ALL, SPLITS, BaseSource, Dataset, Joined, origin
from dltemplates.datasets.spec import READING_RULES, DatasetSpec, IOSpec
from dltemplates.datasets.splitting.duplicates import (
    Hashed,
    Hashes,
    are_series,
    check_rest,
    contradiction_warning,
    copies_warnings,
    count_repeated,
    find_copies,
    hash_groups,
    without_empty_splits,
)
from dltemplates.datasets.splitting.hashes import fingerprint, hash_examples
from dltemplates.datasets.splitting.row_splits import all_train
from dltemplates.datasets.splitting.splits import VALIDATION_SHARE, Strata
from dltemplates.datasets.tables.csv_table import with_a_target
from dltemplates.datasets.tables.source import TableSource
from dltemplates.datasets.whole import add_missing_splits
from dltemplates.features import Image, Number
from dltemplates.runs import Run
from dltemplates.settings import AUTO, NO_DATASET, DatasetSettings, Named
from dltemplates.tasks.check_data import check_data
from dltemplates.tasks.serving.contract import Contract
from dltemplates.tasks.task import Task, make_task, task_class
from dltemplates.template import Template

MIN_ROWS = 30  # of a table; the 95% interval of an accuracy on a fifth of them may be 0.6 wide


def load_for(
    owner: Template | Run | Contract,
    *,
    settings: DatasetSettings | None = None,
    run: Run | None = None,
    whole: bool = False,
    from_file: bool = True,
) -> tuple[Task, Dataset]:
    """Load the data of a template, a run or an exported file, split and fitted, and create its task.

    Args:
        owner: A template to train; a run, whose data is read as in its training; or the contract of a file to
            evaluate, for which no training example is dropped.
        settings: Other data than the owner names.
        run: The run to resume, or the run of the file: each example that it knows keeps its split.
        whole: Do not split; add a split `all` of all examples.
        from_file: As in `catalog.load`, for the data of a contract.

    Returns:
        The task, and the dataset.

    Raises:
        ValueError: If the data or task does not exist, or they do not fit each other.
    """
    data: DatasetSettings | None
    reference: IOSpec | None = None
    rules = READING_RULES
    if isinstance(owner, Contract):
        named, data, reference, rules = (
            Named(name=owner.task, **owner.task_options),
            owner.data,
            owner,
            owner.reading_rules,
        )
    elif isinstance(owner, Run):
        named, data, reference, run = owner.template.task, owner.template.dataset, owner.record.spec, owner
        rules, from_file = reference.reading_rules, True
    else:
        named, data, from_file = owner.task, owner.dataset, False
    data = settings or data
    if data is None:
        raise ValueError("An exported file does not know your data's path. Received: no dataset. Name it with --data.")
    _check_rules(rules)
    if rules < 4 and data.validation == AUTO:
        data = data.model_copy(update={"validation": VALIDATION_SHARE})
    is_file = not isinstance(owner, Template)
    read = _load(named, data, reference, rules, run, task_from_file=is_file, from_file=from_file)
    trained, is_kept = _trained_groups(run), _keeps_copies(data, run)
    copies = find_copies(read.groups, trained)
    if isinstance(owner, Template) and not is_kept:
        check_rest(read.dataset, copies)
    elif not whole:
        copies = without_empty_splits(copies, read.groups, trained)
    rest = read if is_kept else read.without(copies)
    loaded, hashes = read.dataset if whole else rest.dataset, rest.hashes
    name = None if is_file else data.name
    check_data(named.name, task_class(named, from_file=is_file), loaded.spec, name)
    task = make_task(named, loaded.spec, from_file=is_file)
    dataset = task.adapt(_with_all(loaded) if whole else loaded)
    if not whole:
        dataset = add_missing_splits(
            dataset,
            hashes.get("train", np.empty(0, np.uint64)),
            data,
            groups=rest.groups.get("train"),
            strata=_strata(task, loaded, data, rules),
            known=run.rows if run else None,
            rules=rules,
            every=reference is None,
        )
        if dataset.rows is None and "train" in rest.groups:
            dataset = replace(dataset, rows=all_train(hashes["train"], rest.groups["train"]))
    if not isinstance(owner, Contract):
        train = task.prepare_train(dataset.split("train"))
        dataset = replace(dataset, splits=dataset.splits | {"train": train})
    dataset = fit(dataset, reference)
    task = make_task(named, dataset.spec, from_file=is_file)
    if isinstance(owner, Template):
        task.check_splits(dataset)
    remarks = [] if whole else copies_warnings(read, copies, trained, is_kept=is_kept)
    warnings = [*dataset.spec.warnings, *remarks]
    if isinstance(owner, Template) and (warning := _few_rows_warning(read.dataset)):
        warnings.append(warning)
    repeated = 0
    if isinstance(owner, Template) and dataset.rows is not None and read.groups:
        in_train = dataset.rows.indices("train")
        repeated = count_repeated(dataset.rows.hashes[in_train])
        if task.needs_target and (warning := contradiction_warning(read, dataset.rows.group_hashes[in_train])):
            warnings.append(warning)
    spec = dataset.spec.model_copy(
        update={
            "sizes": {split: len(source) for split, source in dataset.splits.items()},
            "fingerprint": _fingerprint(read),
            "order": _order(dataset, hashes),
            "reading_rules": rules,
            "warnings": tuple(warnings),
            "repeated": repeated,
        }
    )
    note = None
    if run is not None:
        note = _changes(run, spec, hashes, data)
        if spec.fingerprint != run.record.spec.fingerprint:
            note = "; ".join([*filter(None, [note]), *remarks]) or None
    elif isinstance(owner, Contract) and not is_named(data.name):
        note = "some of these examples may be training examples: only the run of the file has a list of them"
    return task, replace(dataset, spec=spec, note=note)


def data_note(run: Run) -> str | None:
    """Describe in one line how a run's data changed since its training; None if it did not."""
    template, spec = run.template, run.record.spec
    try:
        read = _load(
            template.task, template.dataset, spec, spec.reading_rules, run, task_from_file=True, from_file=True
        )
        copies = find_copies(read.groups, _trained_groups(run))
        rest = read if _keeps_copies(template.dataset, run) else read.without(copies)
    except (ValueError, OSError) as error:
        return f"the data could not be compared with the training data: {error}"
    update = {"fingerprint": _fingerprint(read)}
    return _changes(run, rest.dataset.spec.model_copy(update=update), rest.hashes, template.dataset)


def _load(
    named: Named,
    settings: DatasetSettings,
    reference: IOSpec | None,
    rules: int,
    run: Run | None,
    *,
    task_from_file: bool,
    from_file: bool,
) -> Hashed:
    """Return the data's own splits, with the hashes of their examples unless a user's source would be read for them.

    The published data of the catalog keeps the hashes and the splits of version 2 of the rules.
    """
    cls = task_class(named, from_file=task_from_file)
    needs_target = cls.needs_target
    own = cls.own_dataset(named.options)
    if (own is None) == (settings.name == NO_DATASET):
        rule, way_out = ("needs no", "Leave it out") if own else ("needs a", "Name it with dataset.name")
        raise ValueError(f"Task {named.name} {rule} `dataset`. Received: {settings.name}. {way_out}.")
    predicts_number = cls.kind == "number"
    dataset = own or load_dataset(
        settings,
        from_file=from_file,
        reference=reference,
        predicts_number=predicts_number,
        predicts_text=cls.kind == "tokens",
    )
    if not task_from_file:  # a template to train
        check_settings(settings, dataset)
    if needs_target:
        dataset = with_a_target(dataset, settings, reference=reference, predicts_number=predicts_number)
    is_whole = not set(SPLITS) <= set(dataset.splits)
    hashed = [
        split
        for split, source in dataset.splits.items()
        if isinstance(source, BaseSource) or (is_whole and split == "train")
    ]
    groups: Hashes = {}
    if rules >= 3 and not is_named(settings.name) and not are_series(dataset):
        hashes, groups = hash_groups(dataset, hashed, needs_target=needs_target)
    if not groups or (run is not None and is_named(run.template.dataset.name)):
        hashes = {split: hash_examples(dataset.splits[split], dataset.spec, min(rules, 2)) for split in hashed}
    is_row = reference is not None and isinstance(reference.inputs[0], Number)
    if are_sequences(dataset.spec) and (is_row or ("number" in cls.input_kinds and "series" not in cls.input_kinds)):
        dataset = flatten(dataset, f"Task {named.name}")
    if reference is not None:
        dataset = with_classes_of(reference, dataset, require_known=needs_target)
    return Hashed(dataset, hashes, groups)


def _trained_groups(run: Run | None) -> np.ndarray | None:
    """Return the groups in the training split of a run; None without a run, or if it has no list of them."""
    rows = run.rows if run is not None else None
    return None if rows is None else rows.group_hashes[rows.indices("train")]


def _keeps_copies(settings: DatasetSettings, run: Run | None) -> bool:
    trained = run.template.dataset if run is not None else settings
    return "keep" in (settings.duplicates, trained.duplicates)


def _with_all(dataset: Dataset) -> Dataset:
    """Add a split `all` with the examples of all others."""
    base, _ = origin(next(iter(dataset.splits.values())))
    if isinstance(base, TimeSource) and not len(base):
        base.raise_too_short("train", f"{len(base.times)} rows")
    return replace(dataset, splits=dataset.splits | {ALL: Joined(list(dataset.splits.values()))})


def _strata(task: Task, loaded: Dataset, settings: DatasetSettings, rules: int) -> Strata | None:
    """Return the groups for stratified splits."""
    if rules > 1 or not is_named(settings.name):
        return task.strata(loaded)
    strata = Task.strata(task, loaded)  # version 1 of the rules split named datasets by class for every task
    if strata and settings.name == "ecg5000":
        return Strata((strata.groups > 0).astype(np.int64))
    return strata


def _few_rows_warning(dataset: Dataset) -> str | None:
    base, _ = origin(next(iter(dataset.splits.values())))
    rows = sum(map(len, dataset.splits.values()))
    if not isinstance(base, TableSource) or rows >= MIN_ROWS:
        return None
    return f"the table has only {rows} rows; with fewer than {MIN_ROWS}, its scores say little: add rows"


def _fingerprint(read: Hashed) -> str:
    if not read.hashes:
        return read.dataset.spec.fingerprint
    base, _ = origin(next(iter(read.dataset.splits.values())))
    return fingerprint(read.hashes, ordered=isinstance(base, TimeSource))


def _order(dataset: Dataset, hashes: Hashes) -> str:
    """Return a digest of the examples in training order."""
    if dataset.rows is not None:
        hashes = hashes | {"train": dataset.rows.hashes, "": dataset.rows.splits.astype(np.uint64)}
    return fingerprint(hashes, ordered=True) if hashes else dataset.spec.fingerprint


def _check_rules(rules: int) -> None:
    if not 1 <= rules <= READING_RULES:
        raise ValueError(
            f"`reading_rules` must be 1 to {READING_RULES}. Received: {rules}, from a later version of dltemplates. "
            "Install that version."
        )


def _changes(run: Run, spec: DatasetSpec, hashes: Hashes, settings: DatasetSettings) -> str | None:
    """Describe in one line how data differs from a run's training data; None if it does not, or is other data."""
    trained, is_other = run.record.spec, settings.name != run.template.dataset.name
    if trained.reading_rules == 1:
        is_known = is_other or is_named(settings.name)
        return None if is_known else "it is unknown whether the data changed: the run has no record of its examples"
    if trained.fingerprint == spec.fingerprint:
        return None
    gone, new = run.rows.compare(hashes["train"]) if run.rows and "train" in hashes else (0, 0)
    if is_other and (not run.rows or gone == len(run.rows.hashes)):
        return None
    if not gone and not new:
        return "the data changed since the training: its splits have other examples"
    unit = "image" if isinstance(spec.inputs[0], Image) else "sequence" if are_sequences(spec) else "row"
    gone_units = f"{gone} {unit}{'' if gone == 1 else 's'}"
    return f"the data changed since the training: {gone_units} gone, {new} new; splits kept"
