"""Certificates: reading them, telling what is wrong with them, replacing them.

What is done with them on connections is csrc/io (tls_conf.h, chan_tls.c).
"""
