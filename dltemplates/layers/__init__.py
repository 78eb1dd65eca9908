"""Keras layers, and an initializer, that Keras itself lacks.

Importing this module registers them with Keras, so that it can load definitions with them.
"""

from dltemplates.layers.attention import MaskedAttention as MaskedAttention
from dltemplates.layers.attention_gru import AttentionGRUCell as AttentionGRUCell
from dltemplates.layers.gate_bias import GateBias as GateBias
from dltemplates.layers.local_response_normalization import LocalResponseNormalization as LocalResponseNormalization
from dltemplates.layers.masked import LastStep as LastStep
from dltemplates.layers.masked import MaskedConv1D as MaskedConv1D
from dltemplates.layers.masked import MaskedGlobalMaxPooling1D as MaskedGlobalMaxPooling1D
from dltemplates.layers.masked import MaskedMaxPooling1D as MaskedMaxPooling1D
from dltemplates.layers.restricted_boltzmann import RestrictedBoltzmann as RestrictedBoltzmann
from dltemplates.layers.sampling import Sampling as Sampling
from dltemplates.layers.saturation import Saturation as Saturation
from dltemplates.layers.sequence_mask import SequenceMask as SequenceMask
from dltemplates.layers.tokens import ClassToken as ClassToken
from dltemplates.layers.tokens import PaddingMask as PaddingMask
from dltemplates.layers.tokens import PositionEmbedding as PositionEmbedding
from dltemplates.layers.tokens import SinusoidalPositions as SinusoidalPositions
from dltemplates.layers.tokens import TokenMean as TokenMean
