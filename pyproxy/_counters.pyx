# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""What processes share in memory as Python objects: counters, their metrics, the table of limits.

Safe in any process.
"""

from cpython.buffer cimport PyBUF_SIMPLE, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING
from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memcpy

from pyproxy._capi.base cimport (
    PP_EINVAL,
    PP_ID_NONE,
    PP_METRIC_ARM,
    PP_METRIC_BUCKETS,
    PP_METRIC_ENDPOINT,
    PP_METRIC_KIND_COUNT,
    PP_METRIC_LISTENER,
    PP_METRIC_ROUTE,
    PP_METRIC_SUPERVISOR,
    PP_METRIC_UPSTREAM,
    PP_METRIC_WORKER,
    PP_OK,
    PP_STATSEG_COMMON,
    PP_STATSEG_LAYOUT,
    pp_hash_seed,
    pp_metric_bucket_us,
    pp_metric_clear_gauges,
    pp_metric_histogram,
    pp_metric_kind,
    pp_metric_row,
    pp_metric_row_s,
    pp_metric_schema,
    pp_metric_words,
    pp_shtable,
    pp_shtable_fill,
    pp_shtable_format,
    pp_shtable_look,
    pp_shtable_open,
    pp_span,
    pp_statseg,
    pp_statseg_add,
    pp_statseg_change,
    pp_statseg_define,
    pp_statseg_format,
    pp_statseg_get,
    pp_statseg_layout,
    pp_statseg_next,
    pp_statseg_open,
    pp_statseg_owner,
    pp_statseg_release,
    pp_statseg_set,
    pp_statseg_size,
    pp_statseg_sum,
    pp_statseg_take,
)

from pyproxy._wire import WireError


cdef dict _METRIC_KINDS = {
    "worker": PP_METRIC_WORKER,
    "listener": PP_METRIC_LISTENER,
    "route": PP_METRIC_ROUTE,
    "upstream": PP_METRIC_UPSTREAM,
    "endpoint": PP_METRIC_ENDPOINT,
    "supervisor": PP_METRIC_SUPERVISOR,
    "arm": PP_METRIC_ARM,
}
cdef dict _METRIC_NAMES = {number: name for name, number in _METRIC_KINDS.items()}
assert sorted(_METRIC_NAMES) == list(range(PP_METRIC_KIND_COUNT))


cdef uint32_t _kind(str kind) except? 0xffff:
    if kind not in _METRIC_KINDS:
        raise ValueError(f"not a kind of record: {kind!r}")
    return _METRIC_KINDS[kind]


cdef class StatSegment:
    """The shared counter segment over a writable buffer, e.g. a mapped memfd.

    Made by `format` or `open`; holds the buffer as long as it lives.
    """

    cdef pp_statseg _seg
    cdef Py_buffer _view
    cdef bint _held

    def __init__(self):
        raise TypeError("StatSegment.format() or StatSegment.open() make one")

    def __dealloc__(self):
        if self._held:
            PyBuffer_Release(&self._view)

    @staticmethod
    cdef StatSegment _over(object memory):
        cdef StatSegment self = StatSegment.__new__(StatSegment)
        PyObject_GetBuffer(memory, &self._view, PyBUF_SIMPLE | PyBUF_WRITABLE)
        self._held = True
        return self

    @staticmethod
    def size(uint32_t columns, uint32_t words, uint32_t dir_bytes):
        """Bytes that `format` needs."""
        return pp_statseg_size(columns, words, dir_bytes)

    @classmethod
    def format(cls, memory, *, uint32_t columns, uint32_t words, uint32_t dir_bytes):
        """Lay a segment out in zeroed memory. Raises WireError when it is too small."""
        cdef StatSegment self = StatSegment._over(memory)
        cdef int rc = pp_statseg_format(&self._seg, self._view.buf, <size_t>self._view.len, columns,
                                        words, dir_bytes, pp_metric_schema())
        if rc != PP_OK:
            raise WireError(rc, "memory too small or not aligned, or no columns or words")
        return self

    @classmethod
    def open(cls, memory):
        """The segment that was laid out in `memory`. Raises WireError when there is none.

        A segment of a release with another layout or another list of metrics is none.
        """
        cdef StatSegment self = StatSegment._over(memory)
        cdef uint32_t layout = pp_statseg_layout(self._view.buf, <size_t>self._view.len)
        cdef int rc = pp_statseg_open(&self._seg, self._view.buf, <size_t>self._view.len)
        if layout == 0:
            raise WireError(PP_EINVAL, "not a counter segment")
        if layout != PP_STATSEG_LAYOUT:
            raise WireError(PP_EINVAL, f"a counter segment of layout {layout}, which this release "
                                       f"does not know: it uses layout {PP_STATSEG_LAYOUT}")
        if rc != PP_OK:
            raise WireError(rc, "a counter segment whose header is damaged")
        if self._seg.schema != pp_metric_schema():
            raise WireError(PP_EINVAL, "a counter segment of a release with another list of "
                                       "metrics")
        return self

    def define(self, str kind not None, str name not None):
        """Find or add a record; the index of its first word. WireError (PP_ELIMIT) when full."""
        cdef bytes text = name.encode("utf-8", "surrogateescape")
        cdef pp_span span
        span.p, span.n = PyBytes_AS_STRING(text), <size_t>len(text)
        cdef uint32_t number = _kind(kind), base = 0
        cdef int rc = pp_statseg_define(&self._seg, number, span,
                                        pp_metric_words(<pp_metric_kind>number), &base)
        if rc != PP_OK:
            raise WireError(rc)
        return base

    def records(self):
        """Iterate (kind, name, base, words)."""
        cdef uint32_t pos = 0, kind = 0, base = 0, n = 0
        cdef pp_span name
        found = []
        while pp_statseg_next(&self._seg, &pos, &kind, &name, &base, &n):
            # Kinds that a newer version has defined are none of ours.
            if kind in _METRIC_NAMES:
                found.append((_METRIC_NAMES[kind], name.p[:name.n].decode("utf-8", "surrogateescape"), base, n))
        return iter(found)

    def sum(self, uint32_t index):
        """Word `index` added up over all columns; IndexError past the end."""
        if index >= self._seg.words:
            raise IndexError(index)
        return pp_statseg_sum(&self._seg, index)

    def get(self, uint32_t column, uint32_t index):
        """Word `index` of one column; IndexError past the ends."""
        if column >= self._seg.columns or index >= self._seg.words:
            raise IndexError((column, index))
        return pp_statseg_get(&self._seg, column, index)

    def add(self, uint32_t index, uint64_t n):
        """Add to word `index` of the common column; IndexError past the end."""
        if index >= self._seg.words:
            raise IndexError(index)
        pp_statseg_add(&self._seg, index, n)

    def set(self, uint32_t index, uint64_t value):
        """Set word `index` of the common column; IndexError past the end."""
        if index >= self._seg.words:
            raise IndexError(index)
        pp_statseg_set(&self._seg, index, value)

    def change(self, uint32_t index, uint64_t mask, uint64_t bits):
        """Replace the bits of `mask` in word `index` of the common column.

        IndexError past the end.
        """
        if index >= self._seg.words:
            raise IndexError(index)
        pp_statseg_change(&self._seg, index, mask, bits)

    def take(self, uint32_t owner):
        """Take a free column for `owner`, not 0. Raises WireError (limit) when there is none."""
        cdef uint32_t column = 0
        cdef int rc = pp_statseg_take(&self._seg, owner, &column)
        if rc != PP_OK:
            raise WireError(rc)
        return column

    def owner(self, uint32_t column):
        """Who has taken the column; 0: it is free. IndexError past the end."""
        if column >= self._seg.columns:
            raise IndexError(column)
        return pp_statseg_owner(&self._seg, column)

    def release(self, uint32_t column):
        """Clear the gauges of a column whose writer has ended, and give it back.

        IndexError for the common column and past the end.
        """
        if column == PP_STATSEG_COMMON or column >= self._seg.columns:
            raise IndexError(column)
        pp_metric_clear_gauges(&self._seg, column)
        pp_statseg_release(&self._seg, column)

    @property
    def columns(self):
        return self._seg.columns


cdef class SharedTable:
    """The table that workers share, over a writable buffer, e.g. a mapped memfd.

    Made by `format` or `open`; holds the buffer as long as it lives.
    """

    cdef pp_shtable _table
    cdef Py_buffer _view
    cdef bint _held

    def __init__(self):
        raise TypeError("SharedTable.format() or SharedTable.open() make one")

    def __dealloc__(self):
        if self._held:
            PyBuffer_Release(&self._view)

    @staticmethod
    cdef SharedTable _over(object memory):
        cdef SharedTable self = SharedTable.__new__(SharedTable)
        PyObject_GetBuffer(memory, &self._view, PyBUF_SIMPLE | PyBUF_WRITABLE)
        self._held = True
        return self

    @classmethod
    def format(cls, memory, bytes seed not None):
        """Lay a table out in zeroed memory, with a secret of 16 bytes. Raises WireError."""
        cdef SharedTable self = SharedTable._over(memory)
        cdef pp_hash_seed words
        if len(seed) != 16:
            raise ValueError("the seed is 16 bytes")
        memcpy(&words, PyBytes_AS_STRING(seed), 16)
        cdef int rc = pp_shtable_format(&self._table, self._view.buf, <size_t>self._view.len, words)
        if rc != PP_OK:
            raise WireError(rc, "memory too small or not aligned")
        return self

    @classmethod
    def open(cls, memory):
        """The table that was laid out in `memory`. Raises WireError when there is none."""
        cdef SharedTable self = SharedTable._over(memory)
        cdef int rc = pp_shtable_open(&self._table, self._view.buf, <size_t>self._view.len)
        if rc != PP_OK:
            raise WireError(rc, "not a shared table of this release's layout")
        return self

    def look(self, uint64_t now_ns):
        """(cells, looked at, alive of those, evictions ever), at a time of the monotonic clock."""
        cdef pp_shtable_fill fill
        pp_shtable_look(&self._table, now_ns, &fill)
        return fill.cells, fill.seen, fill.alive, fill.evictions


def metric_rows():
    """(kind, kind_label, word, type, family, labels, help) for every metric of base/metric.h."""
    cdef pp_metric_row_s row
    cdef unsigned i = 0
    rows = []
    while pp_metric_row(i, &row):
        rows.append((_METRIC_NAMES[row.kind], row.kind_label.decode("utf-8"), row.word,
                     "gauge" if row.gauge else "counter", row.family.decode("utf-8"),
                     row.labels.decode("utf-8"), row.help.decode("utf-8")))
        i += 1
    return rows


def metric_words(str kind not None):
    """Words of one record of the kind, its histogram included."""
    return pp_metric_words(<pp_metric_kind>_kind(kind))


def metric_histogram(str kind not None):
    """First histogram word of the kind; None when it has none."""
    cdef uint32_t first = pp_metric_histogram(<pp_metric_kind>_kind(kind))
    return None if first == PP_ID_NONE else first


def metric_buckets():
    """Upper bounds in microseconds, without +Inf."""
    cdef int i
    return [pp_metric_bucket_us[i] for i in range(PP_METRIC_BUCKETS - 1)]
