"""Training algorithms, one a file: what happens to one batch."""

from dltemplates.training.algorithms.adversarial import Adversarial
from dltemplates.training.algorithms.algorithm import Algorithm
from dltemplates.training.algorithms.contrastive_divergence import ContrastiveDivergence
from dltemplates.training.algorithms.supervised import Supervised
from dltemplates.training.algorithms.variational import Variational

ALGORITHMS: dict[str, type[Algorithm]] = {
    "supervised": Supervised,
    "variational": Variational,
    "adversarial": Adversarial,
    "contrastive_divergence": ContrastiveDivergence,
}
"""By the name that a task asks for."""
