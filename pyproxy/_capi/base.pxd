# C declarations of csrc/base: names as in C, only what is used.
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t


cdef extern from "base/defs.h" nogil:
    ctypedef bint pp_bool "bool"


cdef extern from "base/span.h" nogil:
    struct pp_span:
        const char *p
        size_t n


cdef extern from "base/err.h" nogil:
    enum:
        PP_OK
        PP_EMORE
        PP_EEND
        PP_ENOMEM
        PP_EINVAL
        PP_EIO
        PP_ELIMIT
        PP_ENOENT
        PP_EHTTP_ARGUMENTS
        PP_EMETHOD
    const char *pp_err_name(int code)
    const char *pp_err_text(int code)
    int pp_err_count()
    int pp_err_code(int i)


cdef extern from "base/ids.h" nogil:
    enum:
        PP_CAPTURES_MAX
    const uint32_t PP_ID_NONE


cdef extern from "base/mem.h" nogil:
    void *pp_mem_alloc(size_t n)
    void *pp_mem_resize(void *p, size_t n)
    void pp_mem_free(void *p)


cdef extern from "base/arena.h" nogil:
    struct pp_arena:
        pass
    void pp_arena_init(pp_arena *a, void *first, size_t size, size_t limit)
    void pp_arena_reset(pp_arena *a)
    void pp_arena_fini(pp_arena *a)


cdef extern from "base/options.h" nogil:
    struct pp_options:
        pass
    pp_options *pp_options_at(pp_options *o, uint32_t i)
    void pp_options_set_bool(pp_options *o, pp_bool value)
    void pp_options_set_int(pp_options *o, int64_t value)
    void pp_options_set_real(pp_options *o, double value)
    int pp_options_set_text(pp_options *o, pp_arena *a, pp_span text)
    int pp_options_set_list(pp_options *o, pp_arena *a, uint32_t n)
    int pp_options_set_map(pp_options *o, pp_arena *a, uint32_t n)
    int pp_options_set_key(pp_options *map, pp_arena *a, uint32_t i, pp_span key)


cdef extern from "base/statseg.h" nogil:
    enum:
        PP_STATSEG_COMMON
        PP_STATSEG_LAYOUT
    struct pp_statseg:
        uint32_t columns
        uint32_t words
        uint32_t schema
    size_t pp_statseg_size(uint32_t columns, uint32_t words, uint32_t dir_bytes)
    int pp_statseg_format(pp_statseg *s, void *mem, size_t size, uint32_t columns, uint32_t words,
                          uint32_t dir_bytes, uint32_t schema)
    uint32_t pp_statseg_layout(const void *mem, size_t size)
    int pp_statseg_open(pp_statseg *s, void *mem, size_t size)
    int pp_statseg_define(pp_statseg *s, uint32_t kind, pp_span name, uint32_t n, uint32_t *base)
    pp_bool pp_statseg_next(const pp_statseg *s, uint32_t *pos, uint32_t *kind, pp_span *name,
                            uint32_t *base, uint32_t *n)
    int pp_statseg_take(const pp_statseg *s, uint32_t owner, uint32_t *column)
    uint32_t pp_statseg_owner(const pp_statseg *s, uint32_t column)
    void pp_statseg_release(const pp_statseg *s, uint32_t column)
    void pp_statseg_add(const pp_statseg *s, uint32_t index, uint64_t n)
    void pp_statseg_set(const pp_statseg *s, uint32_t index, uint64_t value)
    void pp_statseg_change(const pp_statseg *s, uint32_t index, uint64_t mask, uint64_t bits)
    uint64_t pp_statseg_get(const pp_statseg *s, uint32_t column, uint32_t index)
    uint64_t pp_statseg_sum(const pp_statseg *s, uint32_t index)


cdef extern from "base/shtable.h" nogil:
    struct pp_hash_seed:
        uint64_t k0
        uint64_t k1
    struct pp_shtable:
        pass
    struct pp_shtable_fill:
        uint64_t cells
        uint64_t seen
        uint64_t alive
        uint64_t evictions
    int pp_shtable_format(pp_shtable *t, void *mem, size_t size, pp_hash_seed seed)
    int pp_shtable_open(pp_shtable *t, void *mem, size_t size)
    void pp_shtable_look(const pp_shtable *t, uint64_t now_ns, pp_shtable_fill *fill)


cdef extern from "base/ip.h" nogil:
    pp_bool pp_ip_parse_v4(pp_span s, uint8_t *ip)
    pp_bool pp_ip_parse_v6(pp_span s, uint8_t *ip)


cdef extern from "base/regex.h" nogil:
    enum:
        PP_REGEX_WHY_BYTES
    struct pp_regex:
        pass
    int pp_regex_new(pp_span text, pp_regex **out, char *why)
    void pp_regex_free(pp_regex *re)
    int pp_regex_search(const pp_regex *re, pp_span text, pp_span *group, unsigned n)
    unsigned pp_regex_groups(const pp_regex *re)
    unsigned pp_regex_group_find(const pp_regex *re, pp_span name)


cdef extern from "base/variable.h" nogil:
    enum:
        PP_VARIABLE_HEADER
        PP_VARIABLE_ARGUMENT
        PP_VARIABLE_COOKIE
        PP_VARIABLE_KIND_COUNT
    struct pp_variable:
        uint8_t kind
        uint32_t hash
        pp_span name
    int pp_variable_parse(pp_span text, pp_variable *out)
    pp_bool pp_variable_row(unsigned i, pp_span *name, pp_span *meaning)


cdef extern from "base/metric.h" nogil:
    enum:
        PP_METRIC_KIND_COUNT
        PP_METRIC_BUCKETS
        PP_METRIC_WORKER
        PP_METRIC_LISTENER
        PP_METRIC_ROUTE
        PP_METRIC_UPSTREAM
        PP_METRIC_ENDPOINT
        PP_METRIC_SUPERVISOR
        PP_METRIC_ARM
    enum pp_metric_kind:
        pass
    const uint32_t pp_metric_bucket_us[]
    uint32_t pp_metric_words(pp_metric_kind kind)
    uint32_t pp_metric_histogram(pp_metric_kind kind)
    struct pp_metric_row_s "pp_metric_row":
        uint32_t kind
        uint32_t word
        pp_bool gauge
        const char *kind_label
        const char *family
        const char *labels
        const char *help
    pp_bool pp_metric_row(unsigned i, pp_metric_row_s *out)
    uint32_t pp_metric_schema()
    void pp_metric_clear_gauges(const pp_statseg *s, uint32_t column)
