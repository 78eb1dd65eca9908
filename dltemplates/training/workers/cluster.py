"""The workers of a training, from `TF_CONFIG` as Kubernetes training operators and others set it."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BaseModel, Field, ValidationError

VARIABLE = "TF_CONFIG"
EXAMPLE = '{"cluster": {"worker": ["host1:2222", "host2:2222"]}, "task": {"type": "worker", "index": 0}}'

Job = Literal["chief", "worker"]
JOBS: tuple[Job, ...] = ("chief", "worker")  # in the order of their ranks; rank 0 writes the run
Address = Annotated[str, Field(pattern=r":\d+$")]
Addresses = Annotated[list[Address], Field(min_length=1)]


class _Task(BaseModel):
    type: Job
    index: Annotated[int, Field(ge=0)]


class _Config(BaseModel):
    cluster: Annotated[dict[Job, Addresses], Field(min_length=1)]
    task: _Task


@dataclass(frozen=True)
class Cluster:
    """The workers of one training.

    Attributes:
        addresses: `host:port` of each worker, by rank.
        rank: Index of this process; 0 is the chief.
    """

    addresses: tuple[str, ...]
    rank: int


def read_cluster(text: str | None = None) -> Cluster | None:
    """Read `TF_CONFIG`.

    Args:
        text: The value; by default from the environment.

    Returns:
        The cluster; None if the variable is not set, or has only this worker.

    Raises:
        ValueError: If the value is not valid JSON, lacks this task, or has jobs other than `chief` and `worker`.
    """
    text = os.environ.get(VARIABLE) if text is None else text
    if not text:
        return None
    try:
        config = _Config.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"])) or "the value"
        raise _error(f"be like {EXAMPLE}", f"{text[:80]!r} ({place}: {first['msg']})") from None
    ranks = [(job, index) for job in JOBS for index in range(len(config.cluster.get(job, ())))]
    here = (config.task.type, config.task.index)
    if here not in ranks:
        known = ", ".join(f"{job} {index}" for job, index in ranks)
        raise _error(f"set this process's task to one of {known}", f"{here[0]} {here[1]}")
    if len(ranks) == 1:
        return None
    return Cluster(tuple(config.cluster[job][index] for job, index in ranks), ranks.index(here))


def tf_config(addresses: list[str], rank: int) -> str:
    """Return the value of `TF_CONFIG` for one of several workers."""
    return json.dumps({"cluster": {"worker": addresses}, "task": {"type": "worker", "index": rank}})


def _error(rule: str, received: str) -> ValueError:
    return ValueError(f"{VARIABLE} must {rule}. Received: {received}. Correct it, or unset it for one worker.")
