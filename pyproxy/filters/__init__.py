"""Filters: Python code that takes part in exchanges."""
