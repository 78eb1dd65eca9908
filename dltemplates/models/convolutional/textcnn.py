"""Convolutional network for texts (TextCNN).

Kim: "Convolutional Neural Networks for Sentence Classification", EMNLP 2014, https://arxiv.org/abs/1408.5882,
section 2.

Each token is a vector. A kernel over three tokens is a pattern of three words, such as "not very good"; it slides along
the text, and only its best match counts, wherever it is. Kernels over three, four and five tokens work side by side. So
the network knows which phrases occur, but not in which order.

The paper starts from word vectors of a much larger text (word2vec). Here they are learned with the rest, as in its
CNN-rand. The weights of each class have a norm of at most 3 (section 3.1). A kernel also stands on the edges of a text,
where it reads zeros; so texts shorter than a kernel need no padding.

With the 18,765 words of the paper's movie reviews (MR), four special ids and two classes it has 5,991,602 parameters,
of which 5,630,700 are the vectors.
"""

import keras
from keras import layers

from dltemplates.layers.masked import MaskedGlobalMaxPooling1D
from dltemplates.models.blocks import relu, sequence_conv
from dltemplates.models.ranges import Count, Counts, NumOutputs, Share, VocabularySize, checked

MAX_NORM = 3  # of the weights of a class


@checked
def textcnn(
    vocabulary_size: VocabularySize,
    num_outputs: NumOutputs,
    *,
    embedding_dim: Count = 300,
    filters: Count = 100,
    kernel_sizes: Counts = (3, 4, 5),
    dropout_rate: Share = 0.5,
    name: str = "textcnn",
) -> keras.Model:
    """Build convolutions side by side over the vectors of the tokens, each with ReLU and its maximum over the text.

    Args:
        vocabulary_size: Number of token ids, with the four special ones.
        num_outputs: Number of classes, or of values to predict.
        embedding_dim: Width of a token's vector.
        filters: Number of filters of each kernel size.
        kernel_sizes: Tokens that each convolution reads at once.
        dropout_rate: Share of the maxima dropped, in [0, 1).
        name: Name of the model.

    Returns:
        A functional model: token ids `(batch, length)` int32, 0 for padding at the end, to `(batch, num_outputs)`
        float32 logits.

    Raises:
        ValueError: If a size is not positive, or `dropout_rate` is out of range.
    """
    ids = keras.Input((None,), dtype="int32", name="tokens")
    initializer = keras.initializers.RandomUniform(-0.25, 0.25)
    x = layers.Embedding(vocabulary_size, embedding_dim, embeddings_initializer=initializer, mask_zero=True)(ids)
    maxima = [MaskedGlobalMaxPooling1D()(relu(sequence_conv(x, filters, size))) for size in kernel_sizes]
    x = layers.Concatenate()(maxima) if len(maxima) > 1 else maxima[0]  # (batch, filters * kernel sizes)
    x = layers.Dropout(dropout_rate)(x)
    norm = keras.constraints.MaxNorm(MAX_NORM)
    logits = layers.Dense(num_outputs, kernel_constraint=norm, dtype="float32", name="logits")(x)
    return keras.Model(ids, logits, name=name)
