"""Who may ask: API keys, quotas and the origins of pages."""
