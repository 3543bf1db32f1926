"""The networks: how each framework builds, fits and exports one."""
