"""Converters from a serving SavedModel to SavedModel, TFLite and ONNX files; they run in a child process."""
