"""The benchmark: cold starts, warm requests and events, compared with typical deployments on the same machine."""
