"""The clouds' own runtimes on this machine, with small stand-ins for what runs around them there."""
