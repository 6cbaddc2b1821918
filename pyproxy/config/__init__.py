"""The configuration.

Its model, how it is read and checked, and how it becomes a snapshot of the engine.
"""
