"""The deployment: both clouds' functions with a model behind them; deployment.py is its table of contents."""
