"""Texture coordinates: keep the file's own, unwrap with xatlas in a child process, or project on boxes."""
