"""The jobs: training runs on machines that a cloud rents out while a run lasts."""
