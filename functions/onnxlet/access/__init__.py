"""Who may ask: API keys and quotas."""
