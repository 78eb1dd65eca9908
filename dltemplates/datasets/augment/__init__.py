"""Random changes of training examples, as pure functions of examples and random numbers."""
