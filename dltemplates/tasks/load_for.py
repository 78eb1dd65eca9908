"""The data of a template, a run or an exported file, as its task looks at it: one way for all that needs data.

The order is: load -> `Task.adapt` -> split what is whole -> `Task.prepare_train` -> fit.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from dltemplates.datasets.classes import with_classes_of
from dltemplates.datasets.fit import fit
from dltemplates.datasets.hashes import fingerprint, hash_examples
from dltemplates.datasets.load import check_settings, is_named, load_dataset
from dltemplates.datasets.series.windows import TimeSource
from dltemplates.datasets.source import ALL, SPLITS, BaseSource, Dataset, Joined, origin
from dltemplates.datasets.spec import READING_RULES, DatasetSpec, IOSpec
from dltemplates.datasets.splits import Strata
from dltemplates.datasets.tables.csv_table import with_a_target
from dltemplates.datasets.whole import split_whole
from dltemplates.features import Image
from dltemplates.runs import Run
from dltemplates.settings import NO_DATASET, DatasetSettings, Named
from dltemplates.tasks.serving.contract import Contract
from dltemplates.tasks.task import Task, check_data, make_task, task_class
from dltemplates.template import Template

Hashes = dict[str, np.ndarray]  # of the examples of each split


def load_for(
    what: Template | Run | Contract,
    *,
    settings: DatasetSettings | None = None,
    run: Run | None = None,
    whole: bool = False,
    from_file: bool = True,
) -> tuple[Task, Dataset]:
    """Load the data of a template, a run or an exported file, split and fitted, and make its task.

    Args:
        what: A template that is to be trained; a run, whose data is read as it was trained on; or the contract of a
            file that is to be judged, for which no training example is left out.
        settings: Other data than that which it names.
        run: The run that is gone on with, or that the file is of: each example that it knows keeps its split.
        whole: Split nothing, and add a split `all` of all examples.
        from_file: As in `catalog.load`, for the data of a contract.

    Returns:
        The task, and the dataset.

    Raises:
        ValueError: If there is no such data or task, or the task has no use for the data; says the way out.
    """
    data: DatasetSettings | None
    reference: IOSpec | None = None
    rules = READING_RULES
    if isinstance(what, Contract):
        named, data, reference, rules = Named(name=what.task, **what.task_options), what.data, what, what.reading_rules
    elif isinstance(what, Run):
        named, data, reference, run = what.template.task, what.template.dataset, what.record.spec, what
        rules, from_file = reference.reading_rules, True
    else:
        named, data, from_file = what.task, what.dataset, False
    data = settings or data
    if data is None:
        raise ValueError("An exported file does not know the user's data. Received: no dataset. Name it by --data.")
    _check_rules(rules)
    is_file = not isinstance(what, Template)
    loaded, hashes = _load(named, data, reference, task_from_file=is_file, from_file=from_file)
    check_data(named.name, task_class(named, from_file=is_file), loaded.spec)
    task = make_task(named, loaded.spec, from_file=is_file)
    dataset = task.adapt(_with_all(loaded) if whole else loaded)
    if not whole:
        dataset = split_whole(
            dataset,
            hashes.get("train", np.empty(0, np.uint64)),
            data,
            strata=_strata(task, loaded, data, rules),
            known=run.rows if run else None,
            rules=rules,
            every=reference is None,
        )
    if not isinstance(what, Contract):
        train = task.prepare_train(dataset.split("train"))
        dataset = replace(dataset, splits=dataset.splits | {"train": train})
    dataset = fit(dataset, reference)
    task = make_task(named, dataset.spec, from_file=is_file)
    if isinstance(what, Template):
        task.check_splits(dataset)
    spec = dataset.spec.model_copy(
        update={
            "sizes": {split: len(source) for split, source in dataset.splits.items()},
            "fingerprint": _fingerprint(loaded, hashes),
            "order": _order(dataset, hashes),
            "reading_rules": rules,
        }
    )
    note = None
    if run is not None:
        note = _changes(run, spec, hashes, data)
    elif isinstance(what, Contract) and not is_named(data.name):
        note = "which of these examples were trained on cannot be told from a file alone: its run can tell"
    return task, replace(dataset, spec=spec, note=note)


def data_note(run: Run) -> str | None:
    """Say how the data of a run differs from what it was trained on, in a line; None where it does not."""
    template, spec = run.template, run.record.spec
    try:
        loaded, hashes = _load(template.task, template.dataset, spec, task_from_file=True, from_file=True)
    except (ValueError, OSError) as error:
        return f"the data was not compared with what was trained on: {error}"
    update = {"fingerprint": _fingerprint(loaded, hashes)}
    return _changes(run, loaded.spec.model_copy(update=update), hashes, template.dataset)


def _load(
    named: Named, settings: DatasetSettings, reference: IOSpec | None, *, task_from_file: bool, from_file: bool
) -> tuple[Dataset, Hashes]:
    """The splits that the data has, and the hashes of their examples; none of sources that would be read for it."""
    of_task = task_class(named, from_file=task_from_file)
    needs_target = of_task.needs_target
    own = of_task.own_dataset(named.options)
    if (own is None) == (settings.name == NO_DATASET):
        rule, way_out = ("needs no", "Leave it out") if own else ("needs a", "Name it by dataset.name")
        raise ValueError(f"Task {named.name} {rule} `dataset`. Received: {settings.name}. {way_out}.")
    dataset = own or load_dataset(settings, from_file=from_file, reference=reference)
    if not task_from_file:  # a template that is yet to be trained
        check_settings(settings, dataset)
    if needs_target:
        dataset = with_a_target(dataset, settings, reference=reference)
    is_whole = not set(SPLITS) <= set(dataset.splits)
    hashes = {
        split: hash_examples(source, dataset.spec)
        for split, source in dataset.splits.items()
        if isinstance(source, BaseSource) or (is_whole and split == "train")
    }
    if reference is not None:
        dataset = with_classes_of(reference, dataset, must_know=needs_target)
    return dataset, hashes


def _with_all(dataset: Dataset) -> Dataset:
    """The dataset with one split more, of the examples of all others."""
    base, _ = origin(next(iter(dataset.splits.values())))
    if isinstance(base, TimeSource) and not len(base):
        base.raise_too_short("train", f"{len(base.times)} rows")
    return replace(dataset, splits=dataset.splits | {ALL: Joined(list(dataset.splits.values()))})


def _strata(task: Task, loaded: Dataset, settings: DatasetSettings, rules: int) -> Strata | None:
    """The groups of examples of which each split is to have the same share."""
    if rules > 1 or not is_named(settings.name):
        return task.strata(loaded)
    strata = Task.strata(task, loaded)  # the first edition split its own datasets by their classes, whatever the task
    if strata and settings.name == "ecg5000":
        return Strata((strata.groups > 0).astype(np.int64))
    return strata


def _fingerprint(loaded: Dataset, hashes: Hashes) -> str:
    base, _ = origin(next(iter(loaded.splits.values())))
    return fingerprint(hashes, ordered=isinstance(base, TimeSource)) if hashes else loaded.spec.fingerprint


def _order(dataset: Dataset, hashes: Hashes) -> str:
    """A digest of the examples in the order in which they are trained on."""
    if dataset.rows is not None:
        hashes = hashes | {"train": dataset.rows.hashes, "": dataset.rows.splits.astype(np.uint64)}
    return fingerprint(hashes, ordered=True) if hashes else dataset.spec.fingerprint


def _check_rules(rules: int) -> None:
    if not 1 <= rules <= READING_RULES:
        raise ValueError(
            f"Data is read by rules 1 to {READING_RULES}. Received: rules {rules}, of a later version. Install that."
        )


def _changes(run: Run, spec: DatasetSpec, hashes: Hashes, settings: DatasetSettings) -> str | None:
    """How data differs from what a run was trained on, in a line; None where it does not, or is other data."""
    trained, is_other = run.record.spec, settings.name != run.template.dataset.name
    if trained.reading_rules == 1:
        is_known = is_other or is_named(settings.name)
        return None if is_known else "whether the data changed is not known: the run kept no record of its examples"
    if trained.fingerprint == spec.fingerprint:
        return None
    gone, new = run.rows.compare(hashes["train"]) if run.rows and "train" in hashes else (0, 0)
    if is_other and (not run.rows or gone == len(run.rows.hashes)):
        return None
    if not gone and not new:
        return "the data changed since the training: other examples in the splits that it came with"
    unit = "image" if isinstance(spec.inputs[0], Image) else "row"
    gone_units = f"{gone} {unit}{'' if gone == 1 else 's'}"
    return f"the data changed since the training: {gone_units} gone, {new} new; splits kept"
