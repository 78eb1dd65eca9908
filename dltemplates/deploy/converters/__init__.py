"""From a SavedModel to SavedModel, TFLite and ONNX files, in a child process."""
