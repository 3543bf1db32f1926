"""The doctor: checks a machine, a registry, a package, a function or a stack, and says what is wrong."""
