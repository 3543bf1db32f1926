"""Running a version in browsers: ONNX Runtime's build for them in the registry, and static folders."""
