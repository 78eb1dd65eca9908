"""Training algorithms, one a file: what happens to one batch."""

from dltemplates.training.steps.adversarial import Adversarial
from dltemplates.training.steps.algorithm import Algorithm
from dltemplates.training.steps.contrastive_divergence import ContrastiveDivergence
from dltemplates.training.steps.supervised import Supervised
from dltemplates.training.steps.variational import Variational

ALGORITHMS: dict[str, type[Algorithm]] = {
    "supervised": Supervised,
    "variational": Variational,
    "adversarial": Adversarial,
    "contrastive_divergence": ContrastiveDivergence,
}
"""By the name that a task asks for."""
