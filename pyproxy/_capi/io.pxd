# C declarations of csrc/io: names as in C, only what is used.
from libc.stdint cimport uint8_t, uint32_t, uintptr_t

from pyproxy._capi.base cimport pp_bool, pp_span


cdef extern from "io/tls_lib.h" nogil:
    struct pp_tls_lib:
        pass
    struct pp_tls_settings:
        int min_version
        int max_version
        pp_span ciphers
        pp_span ciphersuites
        pp_span groups
    struct pp_tls_why:
        char *text
    const char *pp_tls_lib_name(unsigned i, pp_bool *optional)
    int pp_tls_lib_new(const uintptr_t *address, pp_tls_lib **out, const char **missing)


cdef extern from "io/tls_ticket.h" nogil:
    int pp_tls_ticket_use(pp_tls_lib *lib, pp_span keys)


cdef extern from "io/tls_conf.h" nogil:
    struct pp_tls_conf_params:
        pp_tls_settings settings
        pp_span scope
        pp_span alpn
        pp_span client_ca
        pp_span key_log
        uint8_t client_auth
    struct pp_tls_conf:
        pass
    int pp_tls_conf_new(pp_tls_lib *lib, const pp_tls_conf_params *params, pp_tls_why *why,
                        pp_tls_conf **out)
    int pp_tls_conf_add(pp_tls_conf *conf, pp_tls_why *why)
    int pp_tls_conf_set_by(pp_tls_conf *conf, pp_span text)
    int pp_tls_conf_name(pp_tls_conf *conf, pp_span name, pp_tls_why *why)
    int pp_tls_conf_pair(pp_tls_conf *conf, pp_span chain, pp_span key, pp_span ocsp,
                         pp_tls_why *why)
    void pp_tls_conf_unref(pp_tls_conf *conf)
    pp_bool pp_tls_conf_sweep(pp_tls_lib *lib, uint32_t n)


cdef extern from "io/tls_client.h" nogil:
    struct pp_tls_client_params:
        pp_tls_settings settings
        pp_span name
        pp_span ca
        pp_span ca_dir
        pp_span chain
        pp_span key
        pp_span alpn
        pp_span key_log
        pp_bool verify
    struct pp_tls_client:
        pass
    int pp_tls_client_new(pp_tls_lib *lib, const pp_tls_client_params *params, pp_tls_why *why,
                          pp_tls_client **out)
    void pp_tls_client_unref(pp_tls_client *client)
