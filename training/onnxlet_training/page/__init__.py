"""The page of a run's report: templates, their figures and charts."""
