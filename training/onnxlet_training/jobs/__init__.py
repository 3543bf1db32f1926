"""The jobs: a training run on machines that a cloud lends for as long as it lasts."""
