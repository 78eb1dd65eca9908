"""Random changes of training examples, as pure functions of the examples and of numbers drawn for them."""
