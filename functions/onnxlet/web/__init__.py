"""From an HTTP request to its response: the app, its routes and its pages."""
