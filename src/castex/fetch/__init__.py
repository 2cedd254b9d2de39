"""Everything from outside: models, objects, panoramas. The only package that opens a socket."""
