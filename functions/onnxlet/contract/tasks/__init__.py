"""Tasks: the declarations of what a model does for a person, by Hugging Face's names."""
