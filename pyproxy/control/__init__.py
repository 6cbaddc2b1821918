"""The control process: what the proxy needs done, but not in the path of a request."""
