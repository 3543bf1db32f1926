"""The benchmark: cold starts, warm requests and events, each beside what people deploy, in one run on one machine."""
