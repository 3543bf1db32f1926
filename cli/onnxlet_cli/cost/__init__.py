"""The cost of serving: on functions of both clouds, on SageMaker Serverless Inference and on an always-on instance."""
