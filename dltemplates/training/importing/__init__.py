"""Networks and weights from elsewhere: Keras models and pretrained weights."""
