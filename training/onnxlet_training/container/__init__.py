"""The container's entry point, which turns a training job of SageMaker or Vertex AI into one call of `onnxlet train`.

Source: Amazon SageMaker developer guide, "How Amazon SageMaker provides training information" and "Managed spot
training"; Vertex AI, "Environment variables for special Cloud Storage directories" and "Cloud Storage as a mounted file
system" (`/gcs`).
"""
