"""HTTP requests and responses: the app, its routes and its pages."""
