"""Access control: API keys and quotas."""
