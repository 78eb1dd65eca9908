"""Checks before the first step that all workers train the same template on the same data; trivial for one worker."""

from __future__ import annotations

import json
from dataclasses import asdict
from importlib.metadata import version

from dltemplates.template import Template
from dltemplates.training.checkpoint import TrainingState
from dltemplates.training.prepare import Training, resolve_precision
from dltemplates.training.strategy import Distribution


def check_same_template(distribution: Distribution, template: Template, *, fail_on_bad_image: bool) -> None:
    """Compare every worker's template, options, devices and versions with the chief's.

    Raises:
        ValueError: If a worker differs; the message names the setting. All workers raise it.
    """
    here = {
        "precision on this machine": resolve_precision(template.train.precision),
        "--fail-on-bad-image": fail_on_bad_image,
    }
    versions = {package: version(package) for package in ("tensorflow", "keras")}
    own = json.dumps({**template.flat(), **here, "devices": str(distribution), **versions}, default=str)
    chief, *others = (json.loads(text) for text in distribution.gather_text(own))
    for rank, other in enumerate(others, start=1):
        for key in chief | other:
            if chief.get(key) != other.get(key):
                raise ValueError(
                    f"All workers must train the same template. Received: {key} = {other.get(key)!r} on worker "
                    f"{rank}, where the chief has {chief.get(key)!r}. Start them with the same command."
                )


def check_same_data(training: Training) -> None:
    """Compare every worker's data with the chief's.

    Raises:
        ValueError: If a worker has other data. All workers raise it.
    """
    fingerprints = training.distribution.gather_text(
        f"{training.dataset.spec.fingerprint} {training.dataset.spec.order}"
    )
    for rank, fingerprint in enumerate(fingerprints):
        if fingerprint != fingerprints[0]:
            raise ValueError(
                f"All workers must train on the same data in the same order. Received: other data on worker {rank} "
                "than on the chief. Copy the chief's data to each worker."
            )


def share_state(training: Training, state: TrainingState) -> TrainingState:
    """Copy the chief's variables and progress to every worker.

    Args:
        training: The prepared training. Its variables are overwritten except on the chief.
        state: The chief's progress; ignored on other workers.

    Returns:
        The chief's progress.
    """
    distribution = training.distribution
    text = distribution.gather_text(json.dumps(asdict(state)))[0]
    distribution.broadcast_variables([v for group in training.variables.values() for v in group])
    return state if distribution.is_chief else TrainingState(**json.loads(text))


def gather_broken(training: Training) -> dict[str, str]:
    """Return the files that broke on any worker after they were scanned, each with the reason."""
    texts = training.distribution.gather_text(json.dumps(training.broken()))
    return {name: reason for text in texts for name, reason in json.loads(text).items()}
