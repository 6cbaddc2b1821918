"""Processes: the supervisor, its workers, and everything between them."""
