"""Vision Transformer (ViT).

Dosovitskiy et al.: "An Image is Worth 16x16 Words: Transformers for Image Recognition at Scale", ICLR 2021,
https://arxiv.org/abs/2010.11929, section 3.1.

The network cuts an image into patches and reads them like the words of a sentence. Each patch becomes a token, with a
learned vector for its position. In every block each token takes information from all others (attention) and then passes
through two dense layers. One extra token, the class token, collects the information for the classifier.

`vit_tiny` has the sizes of DeiT-Ti (Touvron et al.: "Training data-efficient image transformers & distillation through
attention", ICML 2021, https://arxiv.org/abs/2012.12877, table 1): 12 blocks of 192 units and 3 heads, patches of 16x16.
5,717,416 parameters and 1.25 billion multiply-accumulates at 224x224x3 and 1000 classes. As in the paper's training, it
has no dropout (table 9).
"""

import keras
from keras import layers

from dltemplates.layers.tokens import ClassToken, PositionEmbedding
from dltemplates.models.attention.encoder import check_heads, encoder_block, layer_norm
from dltemplates.models.checks import check_image_shape, check_patches
from dltemplates.models.ranges import Count, NumOutputs, checked


@checked
def vit_tiny(
    input_shape: tuple[int, int, int],
    num_outputs: NumOutputs,
    *,
    patch_size: Count = 16,
    units: Count = 192,
    depth: Count = 12,
    num_heads: Count = 3,
    name: str = "vit_tiny",
) -> keras.Model:
    """Build a small Vision Transformer.

    Args:
        input_shape: `(height, width, channels)`; height and width multiples of `patch_size`.
        num_outputs: Number of classes, or of values to predict.
        patch_size: Height and width of a patch, in pixels. The cost grows faster than the number of patches. Small
            images need small patches, such as 4 at 32x32.
        units: Width of a token; a multiple of `num_heads`.
        depth: Number of blocks.
        num_heads: Number of attention heads in a block, each with `units / num_heads` units.
        name: Name of the model.

    Returns:
        A functional model: `(batch, height, width, channels)` float32 to `(batch, num_outputs)` float32 logits.

    Raises:
        ValueError: If the input is not an image, its sides are not multiples of `patch_size`, a size is not positive,
            or `units` is not a multiple of `num_heads`.
    """
    check_image_shape("vit_tiny", input_shape, min_size=patch_size)
    check_patches("vit_tiny", input_shape, patch_size)
    check_heads(units, num_heads)
    inputs = keras.Input(input_shape, name="image")
    x = layers.Conv2D(units, patch_size, strides=patch_size)(inputs)  # the same dense layer for each patch
    x = layers.Reshape((-1, units))(x)  # (batch, patches, units)
    x = ClassToken()(x)  # (batch, 1 + patches, units)
    x = PositionEmbedding()(x)
    for _ in range(depth):
        x = encoder_block(x, num_heads)
    x = layer_norm(x[:, 0])  # (batch, units): the class token
    logits = layers.Dense(num_outputs, dtype="float32", name="logits")(x)
    return keras.Model(inputs, logits, name=name)
