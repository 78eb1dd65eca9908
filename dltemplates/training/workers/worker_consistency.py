"""What the workers of one training tell each other before its first step; alone, there is nothing to tell."""

from __future__ import annotations

import json
from dataclasses import asdict
from importlib.metadata import version

from dltemplates.template import Template
from dltemplates.training.checkpoint import TrainingState
from dltemplates.training.prepare import Training, resolve_precision
from dltemplates.training.strategy import Distribution


def agree_on_template(distribution: Distribution, template: Template, *, fail_on_bad_image: bool) -> None:
    """Compare what every worker is to train, and with what, with the chief's.

    Raises:
        ValueError: If a worker has another template or other versions; names what differs. All workers raise it.
    """
    here = {"precision here": resolve_precision(template.train.precision), "--fail-on-bad-image": fail_on_bad_image}
    versions = {package: version(package) for package in ("tensorflow", "keras")}
    given = json.dumps({**template.flat(), **here, "devices": str(distribution), **versions}, default=str)
    chief, *others = (json.loads(text) for text in distribution.share_text(given))
    for rank, other in enumerate(others, start=1):
        for key in chief | other:
            if chief.get(key) != other.get(key):
                raise ValueError(
                    f"All workers must train the same template. Received: {key} = {other.get(key)!r} on worker "
                    f"{rank}, where the chief has {chief.get(key)!r}. Start them with the same command."
                )


def agree_on_data(training: Training) -> None:
    """Compare every worker's data with the chief's.

    Raises:
        ValueError: If a worker has other data. All workers raise it.
    """
    fingerprints = training.distribution.share_text(
        f"{training.dataset.spec.fingerprint} {training.dataset.spec.order}"
    )
    for rank, fingerprint in enumerate(fingerprints):
        if fingerprint != fingerprints[0]:
            raise ValueError(
                f"All workers must train on the same data in the same order. Received: other data on worker {rank} "
                "than on the chief. Give each the same."
            )


def begin_together(training: Training, state: TrainingState) -> TrainingState:
    """Bring every worker to where the chief stands.

    Args:
        training: Prepared; on the chief, its variables are those to begin with.
        state: Where the chief stands; on another worker it is not looked at.

    Returns:
        Where all stand.
    """
    distribution = training.distribution
    text = distribution.share_text(json.dumps(asdict(state)))[0]
    distribution.share_variables([v for group in training.variables.values() for v in group])
    return state if distribution.is_chief else TrainingState(**json.loads(text))


def gather_broken(training: Training) -> dict[str, str]:
    """The files that broke on any worker since they were scanned, each with the reason."""
    texts = training.distribution.share_text(json.dumps(training.broken()))
    return {name: reason for text in texts for name, reason in json.loads(text).items()}
