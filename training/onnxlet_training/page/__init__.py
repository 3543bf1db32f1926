"""The page: the parts of a run's report, each made from what the run recorded."""
