"""The doctor: a machine, a registry, a package, a function or a stack is looked at, and what is wrong is named."""
