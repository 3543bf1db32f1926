"""The training job: from data to a published version; `run` reads like its table of contents."""
