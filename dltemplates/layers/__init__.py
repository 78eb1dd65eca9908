"""Keras layers of our own: what Keras lacks, or what has weights that no layer of its has.

Importing this makes all of them known to Keras, so that a definition which names one can be loaded.
"""

from dltemplates.layers.local_response_normalization import LocalResponseNormalization as LocalResponseNormalization
from dltemplates.layers.restricted_boltzmann import RestrictedBoltzmann as RestrictedBoltzmann
from dltemplates.layers.sampling import Sampling as Sampling
from dltemplates.layers.saturation import Saturation as Saturation
from dltemplates.layers.tokens import ClassToken as ClassToken
from dltemplates.layers.tokens import PositionEmbedding as PositionEmbedding
