# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Stateless C parts as Python objects: parser, router, URIs.

Safe in any process.
"""

from cpython.buffer cimport (
    PyBUF_SIMPLE,
    PyBuffer_Release,
    PyObject_GetBuffer,
)
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.list cimport PyList_New, PyList_SET_ITEM
from cpython.object cimport PyObject
from cpython.ref cimport Py_INCREF, Py_XDECREF
from cpython.tuple cimport PyTuple_GET_ITEM
from libc.stdint cimport UINT64_MAX, uint8_t, uint32_t, uint64_t
from libc.string cimport memcmp, memcpy, memset

from pyproxy._capi.base cimport (
    PP_EEND,
    PP_EINVAL,
    PP_EIO,
    PP_EMETHOD,
    PP_EMORE,
    PP_ENOENT,
    PP_ENOMEM,
    PP_ID_NONE,
    PP_OK,
    PP_REGEX_WHY_BYTES,
    PP_VARIABLE_ARGUMENT,
    PP_VARIABLE_COOKIE,
    PP_VARIABLE_HEADER,
    pp_arena,
    pp_arena_fini,
    pp_arena_init,
    pp_arena_reset,
    pp_bool,
    pp_err_code,
    pp_err_count,
    pp_err_name,
    pp_err_text,
    pp_ip_parse_v4,
    pp_ip_parse_v6,
    pp_mem_alloc,
    pp_mem_free,
    pp_mem_resize,
    pp_regex,
    pp_regex_free,
    pp_regex_group_find,
    pp_regex_groups,
    pp_regex_new,
    pp_regex_search,
    pp_span,
    pp_variable,
    pp_variable_parse,
    pp_variable_row,
)
from pyproxy._capi.route cimport (
    PP_PREDICATE_WHY_BYTES,
    PP_ROUTER_ANY_METHOD,
    pp_predicate,
    pp_predicate_free,
    pp_predicate_input,
    pp_predicate_new,
    pp_router,
    pp_router_bytes,
    pp_router_capture_name,
    pp_router_count,
    pp_router_draft,
    pp_router_draft_add,
    pp_router_draft_free,
    pp_router_draft_new,
    pp_router_draft_set_predicate,
    pp_router_explain,
    pp_router_find,
    pp_router_free,
    pp_router_hit,
    pp_router_methods,
    pp_router_new,
    pp_router_query,
    pp_router_route,
    pp_router_shadowed,
)
from pyproxy._capi.wire cimport (
    PP_HTTP1_REQUEST,
    PP_HTTP1_RESPONSE,
    PP_HTTP_BODY_CHUNKED,
    PP_HTTP_BODY_CLOSE,
    PP_HTTP_BODY_LENGTH,
    PP_HTTP_BODY_NONE,
    PP_HTTP_GET,
    PP_HTTP_METHOD_COUNT,
    PP_HTTP_OTHER,
    PP_NAME_COUNT,
    pp_arg,
    pp_args,
    pp_args_find,
    pp_args_split_cookies,
    pp_args_split_query,
    pp_http1_body,
    pp_http1_body_eof,
    pp_http1_body_init,
    pp_http1_body_next,
    pp_http1_head,
    pp_http1_head_feed,
    pp_http1_head_init,
    pp_http1_head_kind,
    pp_http1_limits,
    pp_http_body,
    pp_http_field,
    pp_http_field_is_live,
    pp_http_method,
    pp_http_msg,
    pp_http_msg_init,
    pp_http_rules_request,
    pp_http_rules_response,
    pp_http_tok_is_token,
    pp_http_tok_method,
    pp_http_tok_method_text,
    pp_clienthello,
    pp_clienthello_decode,
    pp_clienthello_next_protocol,
    PP_PROXYPROTO_IP4,
    PP_PROXYPROTO_IP6,
    PP_PROXYPROTO_UNIX,
    pp_proxyproto,
    pp_proxyproto_decode,
    pp_proxyproto_end,
    pp_uri_authority,
    pp_uri_authority_parse,
    pp_uri_normal_path,
    pp_uri_split,
    pp_uri_split_absolute,
)


class WireError(ValueError):
    """A verdict of the C core: `code` is the number, `name` the machine-readable word.

    `allowed` holds the methods that would have matched; only Router.find fills it.
    """

    def __init__(self, code: int, text: str = "", allowed: tuple = ()) -> None:
        super().__init__(code, text, allowed)
        self.code = code
        self.name = pp_err_name(code).decode("ascii")
        self.text = text or pp_err_text(code).decode("ascii")
        self.allowed = allowed

    def __str__(self) -> str:
        return self.text


def error_codes() -> list:
    """(code, name, text) of every row of base/err.h."""
    cdef int i, code
    rows = []
    for i in range(pp_err_count()):
        code = pp_err_code(i)
        rows.append((code, pp_err_name(code).decode("ascii"), pp_err_text(code).decode("ascii")))
    return rows


cdef inline bytes _bytes(pp_span s):
    return PyBytes_FromStringAndSize(s.p, <Py_ssize_t>s.n)


cdef inline pp_span _span(bytes text) noexcept:
    cdef pp_span s
    s.p = <const char *>text
    s.n = <size_t>len(text)
    return s


cdef bytes _as_bytes(object text):
    if isinstance(text, bytes):
        return text
    if isinstance(text, str):
        return (<str>text).encode("utf-8", "surrogateescape")
    raise TypeError(f"str or bytes expected, not {type(text).__name__}")


cdef str _as_str(pp_span s):
    return _bytes(s).decode("utf-8", "surrogateescape")


cdef object _error(int code):
    """The exception for a result code, to be raised by the caller."""
    return MemoryError() if code == PP_ENOMEM else WireError(code)


cdef inline bint _is_text(object text, const char *p, size_t n) noexcept:
    return <size_t>PyBytes_GET_SIZE(text) == n and not memcmp(PyBytes_AS_STRING(text), p, n)


# The last spelling seen of every field name that has an id: nearly always the next one too, and an
# object that is there already costs no allocation.
cdef list _NAMES = [b""] * PP_NAME_COUNT


cdef bytes _field_name(const pp_http_field *f):
    cdef bytes name = <bytes>_NAMES[f.id]
    if not _is_text(name, f.name, f.name_n):
        name = PyBytes_FromStringAndSize(f.name, f.name_n)
        if f.id:
            _NAMES[f.id] = name
    return name


# A client's heads on one connection are nearly the same. So a parser keeps the pairs of name and
# value that it gave out last and gives them, or at least their names, out again when they come
# again. Places: one for each listed name, some for others by their length. Values that keep
# changing (the id of a request) and long ones are not kept; so what a parser holds stays below
# the size of one head, whatever comes.
cdef enum:
    _KEPT_OTHERS = 16
    _KEPT = PP_NAME_COUNT + _KEPT_OTHERS
    _KEPT_BYTES = 512
    _KEPT_CHANGES = 8


cdef struct _Kept:
    PyObject *pair  # NULL: none yet
    int changes     # in a row; at _KEPT_CHANGES it is only the name that is given out again


cdef inline tuple _kept_pair(const pp_http_field *f, _Kept *kept):
    cdef _Kept *place = &kept[f.id if f.id else PP_NAME_COUNT + f.name_n % _KEPT_OTHERS]
    cdef PyObject *old = place.pair
    cdef PyObject *name = NULL if old == NULL else PyTuple_GET_ITEM(<object>old, 0)
    cdef bint is_named = name != NULL and _is_text(<object>name, f.name, f.name_n)
    cdef tuple pair
    if (is_named and place.changes < _KEPT_CHANGES and
            _is_text(<object>PyTuple_GET_ITEM(<object>old, 1), f.value, f.value_n)):
        place.changes = 0
        return <tuple>old
    pair = (<object>name if is_named else _field_name(f),
            PyBytes_FromStringAndSize(f.value, f.value_n))
    if place.changes < _KEPT_CHANGES and f.name_n + f.value_n <= _KEPT_BYTES:
        Py_INCREF(pair)
        place.pair = <PyObject *>pair
        place.changes += old != NULL
        Py_XDECREF(old)
    return pair


cdef list _fields(const pp_http_msg *m, _Kept *kept):
    """The live fields as pairs; `kept` has _KEPT places, cleared at first."""
    cdef const pp_http_field *f
    cdef uint32_t i
    cdef Py_ssize_t n = 0
    for i in range(m.n_field):
        n += pp_http_field_is_live(&m.field[i])
    cdef list fields = PyList_New(n)
    n = 0
    for i in range(m.n_field):
        f = &m.field[i]
        if pp_http_field_is_live(f):
            pair = _kept_pair(f, kept)
            Py_INCREF(pair)
            PyList_SET_ITEM(fields, n, pair)
            n += 1
    return fields


cdef void _drop(_Kept *kept) noexcept:
    """Give up the pairs, for the last time."""
    cdef int i
    for i in range(_KEPT):
        Py_XDECREF(kept[i].pair)


# By enum pp_http_body.
cdef tuple _BODY_KINDS = ("none", "length", "chunked", "close")

# Texts of the methods that have an id.
cdef tuple _METHODS = tuple([
    _bytes(pp_http_tok_method_text(<pp_http_method>i)) for i in range(PP_HTTP_METHOD_COUNT)
])

# Heads with more fields than a message has room for take it from their arena.
cdef enum:
    _ARENA_BYTES = 1 << 20


cdef class HeadParser:
    """Parse HTTP/1 heads: feed bytes until a head is complete.

    `rules` also applies csrc/wire/http_rules.h, which fills `path`, `query`, `authority`, `body`,
    `content_length` and `keep_alive`. Responses are read as answers to GET. Attributes may be read
    once `feed` has returned True and until `reset`; otherwise RuntimeError.
    """

    cdef pp_http1_head _head
    cdef pp_http1_limits _limits
    cdef pp_arena _arena
    cdef pp_http_msg _msg
    cdef pp_http1_head_kind _kind
    cdef bint _rules
    cdef bint _done
    cdef int _verdict
    cdef char *_mem
    cdef size_t _n, _cap, _used
    cdef _Kept _kept[_KEPT]

    def __cinit__(self, *, bint response=False, uint32_t max_head_bytes=61440,
                  uint32_t max_line_bytes=16384, uint32_t max_target_bytes=8192,
                  uint32_t max_fields=100, bint rules=True):
        self._kind = PP_HTTP1_RESPONSE if response else PP_HTTP1_REQUEST
        self._limits.head_bytes = max_head_bytes
        self._limits.line_bytes = max_line_bytes
        self._limits.target_bytes = max_target_bytes
        self._limits.fields = max_fields
        self._rules = rules
        pp_arena_init(&self._arena, NULL, 0, _ARENA_BYTES)
        self._start()

    def __dealloc__(self):
        _drop(self._kept)
        pp_arena_fini(&self._arena)
        pp_mem_free(self._mem)

    cdef void _start(self) noexcept:
        pp_arena_reset(&self._arena)
        pp_http_msg_init(&self._msg, &self._arena)
        pp_http1_head_init(&self._head, self._kind)
        self._n = 0
        self._used = 0
        self._done = False
        self._verdict = PP_OK

    cdef int _append(self, const char *p, size_t n) noexcept:
        cdef size_t cap
        cdef void *mem
        if n == 0:
            return PP_OK
        if n > self._cap - self._n:
            cap = max(self._cap * 2, self._n + n, 1024)
            mem = pp_mem_resize(self._mem, cap)
            if mem == NULL:
                return PP_ENOMEM
            self._mem = <char *>mem
            self._cap = cap
        memcpy(self._mem + self._n, p, n)
        self._n += n
        return PP_OK

    cdef int _append_buffer(self, chunk) except? -1:
        cdef Py_buffer view
        PyObject_GetBuffer(chunk, &view, PyBUF_SIMPLE)
        try:
            return self._append(<const char *>view.buf, <size_t>view.len) if view.len else PP_OK
        finally:
            PyBuffer_Release(&view)

    cdef int _parse(self) noexcept:
        cdef pp_bool declared = False
        cdef int rc = pp_http1_head_feed(&self._head, self._mem, self._n, &self._limits,
                                         &self._msg, &self._used)
        if rc == PP_OK and self._rules:
            if self._kind == PP_HTTP1_REQUEST:
                rc = pp_http_rules_request(&self._msg)
            else:
                rc = pp_http_rules_response(&self._msg, PP_HTTP_GET, &declared)
        return rc

    def feed(self, chunk, /):
        """Take more bytes; True when the head is complete.

        Bytes past the head are kept in `rest`. Raises WireError on a verdict (and again at every
        later call), RuntimeError after a complete head.
        """
        cdef int rc
        if self._done:
            raise RuntimeError("a head is complete: read it and call reset()")
        if type(chunk) is bytes:
            rc = self._append(<const char *><bytes>chunk, <size_t>PyBytes_GET_SIZE(chunk))
        else:
            rc = self._append_buffer(chunk)
        if rc == PP_OK:
            rc = self._verdict
        if rc == PP_OK and self._n:
            rc = self._parse()
        elif rc == PP_OK:
            rc = PP_EMORE
        if rc == PP_EMORE:
            return False
        if rc != PP_OK:
            self._verdict = rc
            raise _error(rc)
        self._done = True
        return True

    def reset(self):
        """Forget everything: the next byte begins a head. `rest` is not kept."""
        self._start()

    cdef int _ensure_done(self) except -1:
        if not self._done:
            raise RuntimeError("no complete head")
        return 0

    @property
    def method(self):
        self._ensure_done()
        if self._msg.method_id != PP_HTTP_OTHER:
            return _METHODS[self._msg.method_id]
        return _bytes(self._msg.method)

    @property
    def target(self):
        self._ensure_done()
        return _bytes(self._msg.target)

    @property
    def path(self):
        self._ensure_done()
        return _bytes(self._msg.path)

    @property
    def query(self):
        self._ensure_done()
        return None if self._msg.query.p == NULL else _bytes(self._msg.query)

    @property
    def authority(self):
        self._ensure_done()
        return _bytes(self._msg.authority)

    @property
    def status(self):
        self._ensure_done()
        return self._msg.status

    @property
    def reason(self):
        self._ensure_done()
        return _bytes(self._msg.reason)

    @property
    def minor(self):
        self._ensure_done()
        return self._msg.minor

    @property
    def fields(self):
        self._ensure_done()
        return _fields(&self._msg, self._kept)

    @property
    def body(self):
        self._ensure_done()
        return _BODY_KINDS[self._msg.body]

    @property
    def content_length(self):
        self._ensure_done()
        return self._msg.content_length

    @property
    def keep_alive(self):
        self._ensure_done()
        return bool(self._msg.keep_alive)

    @property
    def rest(self):
        self._ensure_done()
        return PyBytes_FromStringAndSize(self._mem + self._used, <Py_ssize_t>(self._n - self._used))


cdef class BodyDecoder:
    """Undo HTTP/1 body framing of one body.

    `kind` is what HeadParser.body says, `length` matters for "length" only, `limit` is the most
    body bytes (-1: none).
    """

    cdef pp_http1_body _body
    cdef pp_arena _arena
    cdef pp_http_msg _trailers
    cdef readonly bint done
    cdef readonly bytes rest

    def __cinit__(self, str kind not None, uint64_t length=0, *, object limit=-1):
        cdef uint64_t most = UINT64_MAX if limit < 0 else <uint64_t>limit
        if kind not in _BODY_KINDS:
            raise ValueError(f"kind: one of {', '.join(_BODY_KINDS)}, not {kind!r}")
        pp_arena_init(&self._arena, NULL, 0, _ARENA_BYTES)
        pp_http_msg_init(&self._trailers, &self._arena)
        pp_http1_body_init(&self._body, <pp_http_body><int>_BODY_KINDS.index(kind), length, most,
                           &self._trailers)
        self.rest = b""

    def __dealloc__(self):
        pp_arena_fini(&self._arena)

    def feed(self, chunk, /):
        """The body bytes in `chunk`; afterwards see `done` and `rest`.

        Raises WireError on a verdict, RuntimeError when the body was complete.
        """
        cdef Py_buffer view
        cdef const char *p
        cdef size_t n, used
        cdef pp_span piece
        cdef int rc = PP_OK
        if self.done:
            raise RuntimeError("the body is complete")
        pieces = []
        PyObject_GetBuffer(chunk, &view, PyBUF_SIMPLE)
        try:
            p = <const char *>view.buf
            n = <size_t>view.len
            while rc == PP_OK:
                used = 0
                piece.p = NULL
                piece.n = 0
                rc = pp_http1_body_next(&self._body, p, n, &used, &piece)
                if piece.n:
                    pieces.append(_bytes(piece))
                p += used
                n -= used
            if rc == PP_EEND:
                self.done = True
                self.rest = PyBytes_FromStringAndSize(p, <Py_ssize_t>n)
        finally:
            PyBuffer_Release(&view)
        if rc != PP_EEND and rc != PP_EMORE:
            raise _error(rc)
        return b"".join(pieces)

    def feed_eof(self):
        """The connection ended. Raises WireError when the body was not complete."""
        cdef int rc = PP_EEND if self.done else pp_http1_body_eof(&self._body)
        if rc != PP_EEND:
            raise _error(rc)
        self.done = True

    @property
    def trailers(self):
        """The trailer fields so far."""
        cdef _Kept kept[_KEPT]
        memset(kept, 0, sizeof(kept))
        try:
            return _fields(&self._trailers, kept)
        finally:
            _drop(kept)


cdef unsigned _method_id(str method) except? 0xffff:
    cdef bytes token = _as_bytes(method)
    if not pp_http_tok_is_token(_span(token)):
        raise ValueError(f"not a method: {method!r}")
    return <unsigned>pp_http_tok_method(_span(token))


cdef tuple _method_names(uint32_t mask):
    """Names of the methods of a mask; those without an id of their own are one "*"."""
    cdef int i
    names = []
    for i in range(1, PP_HTTP_METHOD_COUNT):
        if mask >> i & 1:
            names.append(_as_str(pp_http_tok_method_text(<pp_http_method>i)))
    if mask & 1:
        names.append("*")
    return tuple(names)


cdef void cb_explain(void *arg, uint32_t route, pp_bool chosen, const char *reason) noexcept with gil:
    cdef list found = <list>arg
    try:
        found.append((route, bool(chosen), reason.decode("utf-8", "replace")))
    except BaseException as exc:
        # The walk cannot be stopped: the caller finds the exception among the rows.
        found[:] = [exc]


cdef class _Predicate:
    """A compiled program of `pyproxy.expressions`, and the callables that it calls."""

    cdef pp_predicate *_p
    cdef tuple _callables

    def __cinit__(self, bytes program not None, tuple callables not None=()):
        cdef char why[PP_PREDICATE_WHY_BYTES]
        cdef Py_ssize_t i
        cdef void **pointers
        why[0] = 0
        packed = PyBytes_FromStringAndSize(NULL, len(callables) * <Py_ssize_t>sizeof(void *))
        pointers = <void **>PyBytes_AS_STRING(packed)
        for i in range(len(callables)):
            pointers[i] = <void *>callables[i]
        self._callables = callables
        rc = pp_predicate_new(_span(program), pointers, <uint32_t>len(callables), &self._p, why)
        if rc == PP_ENOMEM:
            raise MemoryError
        if rc != PP_OK:
            raise WireError(rc, (<bytes>why).decode("utf-8", "replace"))

    def __dealloc__(self):
        pp_predicate_free(self._p)


def check_predicate(bytes program not None):
    """Raise WireError when `program` names what does not exist; for programs without callables."""
    _Predicate(program)


def check_variable(str name not None):
    """Raise WireError when there is no such variable."""
    cdef pp_variable v
    cdef bytes text = _as_bytes(name)
    if pp_variable_parse(_span(text), &v) != PP_OK:
        raise WireError(PP_EINVAL, f"there is no such variable: {name}")


def check_regex(str text not None, names=()):
    """Which of `names` are groups of a regular expression, by number or name.

    Raises WireError when it is none, with what is wrong as `text`.
    """
    cdef char why[PP_REGEX_WHY_BYTES]
    cdef pp_regex *re = NULL
    cdef bytes pattern = _as_bytes(text)
    cdef bytes name
    why[0] = 0
    rc = pp_regex_new(_span(pattern), &re, why)
    if rc == PP_ENOMEM:
        raise MemoryError
    if rc != PP_OK:
        raise WireError(rc, (<bytes>why).decode("utf-8", "replace"))
    try:
        most = pp_regex_groups(re)
        found = []
        for given in names:
            name = _as_bytes(given)
            number = int(name) if name.isdigit() else -1
            if 0 <= number <= most or pp_regex_group_find(re, _span(name)) > 0:
                found.append(given)
        return found
    finally:
        pp_regex_free(re)


def variable_rows():
    """(name, meaning) of every variable; a name that ends in "." goes on with one of a request."""
    cdef pp_span name, meaning
    cdef unsigned i = 0
    rows = []
    while pp_variable_row(i, &name, &meaning):
        rows.append((_as_str(name), _as_str(meaning)))
        i += 1
    return rows


cdef class Regex:
    """A regular expression over bytes, in linear time (csrc/base/regex.h)."""

    cdef pp_regex *_p

    def __cinit__(self, str pattern not None):
        cdef char why[PP_REGEX_WHY_BYTES]
        why[0] = 0
        cdef bytes text = _as_bytes(pattern)
        rc = pp_regex_new(_span(text), &self._p, why)
        if rc == PP_ENOMEM:
            raise MemoryError
        if rc != PP_OK:
            raise WireError(rc, (<bytes>why).decode("utf-8", "replace"))

    def __dealloc__(self):
        pp_regex_free(self._p)

    def search(self, bytes text not None):
        """Does it match anywhere in `text`?"""
        rc = pp_regex_search(self._p, _span(text), NULL, 0)
        if rc == PP_ENOMEM:
            raise MemoryError
        return rc == PP_OK


cdef class Lookup:
    """What a look-up asks about, as a mapping of variables: what predicates in Python get."""

    cdef dict _values
    cdef pp_arena _arena
    cdef const pp_args *_query
    cdef const pp_args *_cookies
    cdef uint8_t _ip[16]
    cdef pp_predicate_input _input
    cdef object _raised

    def __cinit__(self):
        pp_arena_init(&self._arena, NULL, 0, _ARENA_BYTES)
        self._values = {}
        self._input.get = cb_variable
        self._input.call = cb_predicate
        self._input.arg = <void *>self

    def __dealloc__(self):
        pp_arena_fini(&self._arena)

    cdef int _fill(self, str host, str path, str method, str client, headers, query,
                   variables) except -1:
        cdef bytes text
        fixed = {"host": host, "path": path, "method": method, "query": query, **variables}
        if client:
            fixed["client.address"] = client
            text = _as_bytes(client)
            if pp_ip_parse_v4(_span(text), self._ip):
                self._input.client = self._ip
            elif pp_ip_parse_v6(_span(text), self._ip):
                self._input.client = self._ip
                self._input.client_v6 = True
            else:
                raise ValueError(f"not an IP address: {client}")
        for name, value in fixed.items():
            if value is not None:
                self._values[name] = _as_bytes(value)
        for name, value in headers.items() if hasattr(headers, "items") else headers:
            key = f"header.{name.lower()}"
            text = _as_bytes(value)
            if key in self._values:
                between = b"; " if key == "header.cookie" else b", "
                text = self._values[key] + between + text
            self._values[key] = text
        return 0

    cdef const pp_args *_split(self, bint cookies) except? NULL:
        """The arguments or the cookies; NULL when there are none."""
        cdef const pp_args **place = &self._cookies if cookies else &self._query
        cdef bytes text = self._values.get("header.cookie" if cookies else "query")
        cdef int rc
        if place[0] == NULL and text is not None:
            if cookies:
                rc = pp_args_split_cookies(&self._arena, _span(text), place)
            else:
                rc = pp_args_split_query(&self._arena, _span(text), place)
            if rc != PP_OK:
                place[0] = NULL
                raise _error(rc)
        return place[0]

    cdef int _find(self, const pp_variable *v, pp_span *out) except? -1:
        cdef const pp_args *args
        cdef const pp_arg *arg = NULL
        cdef pp_span name, meaning
        if v.kind == PP_VARIABLE_ARGUMENT or v.kind == PP_VARIABLE_COOKIE:
            args = self._split(v.kind == PP_VARIABLE_COOKIE)
            if args != NULL:
                arg = pp_args_find(args, v.name, v.hash)
            if arg == NULL:
                return PP_ENOENT
            out[0] = arg.value
            return PP_OK
        pp_variable_row(v.kind, &name, &meaning)
        key = _as_str(name) + _as_str(v.name)
        if v.kind == PP_VARIABLE_HEADER:
            key = key.lower()
        value = self._values.get(key)
        if value is None:
            return PP_ENOENT
        out[0] = _span(<bytes>value)  # kept by the mapping
        return PP_OK

    def get(self, str name not None, default=None):
        """The value of a variable, or `default`. Raises WireError for what is no variable."""
        cdef pp_variable v
        cdef pp_span value
        cdef bytes text = _as_bytes(name)
        if pp_variable_parse(_span(text), &v) != PP_OK:
            raise WireError(PP_EINVAL, f"there is no such variable: {name}")
        return default if self._find(&v, &value) != PP_OK else _as_str(value)

    def __getitem__(self, str name not None):
        found = self.get(name)
        if found is None:
            raise KeyError(name)
        return found


cdef int cb_variable(void *arg, const pp_variable *v, pp_span *out) noexcept with gil:
    try:
        return (<Lookup>arg)._find(v, out)
    except BaseException as exc:
        (<Lookup>arg)._raised = exc
        return PP_EIO


cdef int cb_predicate(void *arg, void *callable_, pp_bool *holds) noexcept with gil:
    try:
        holds[0] = bool((<object>callable_)(<Lookup>arg))
        return PP_OK
    except BaseException as exc:
        (<Lookup>arg)._raised = exc
        return PP_EIO


cdef Lookup _lookup(str host, str path, str method, str client, headers, query, variables):
    cdef Lookup asked = Lookup.__new__(Lookup)
    asked._fill(host, path, method, client, headers, query, variables or {})
    return asked


cdef class Router:
    """The route table; csrc/route/router.h states the order of precedence.

    Routes may be added at any time; the table is compiled anew at the next look-up.
    """

    cdef pp_router_draft *_draft
    cdef pp_router *_p
    cdef list _predicates
    cdef bint _guarded

    def __cinit__(self):
        self._predicates = []
        self._draft = pp_router_draft_new()
        if self._draft == NULL:
            raise MemoryError

    def __dealloc__(self):
        pp_router_draft_free(self._draft)
        pp_router_free(self._p)

    def add(self, uint32_t route, str path not None, *, str host not None="",
            methods not None=(), int priority=0, clients=(), headers=None, query=None,
            cookies=None, when=None, python=None, predicate=None):
        """Add a route; no `methods`: any. Raises WireError with a sentence for a bad host, path or
        condition, ValueError for a word that is no method or operator.

        The conditions are those of `pyproxy.expressions.program`, and `predicate` is what that
        makes of them, instead of them."""
        cdef _Predicate guard = None
        cdef char why[160]
        cdef pp_router_methods mask = 0
        cdef int rc
        for method in methods:
            mask |= <uint32_t>1 << _method_id(method)
        if not mask:
            mask = PP_ROUTER_ANY_METHOD
        cdef bytes host_text = _as_bytes(host), path_text = _as_bytes(path)
        if clients or headers or query or cookies or when or python is not None:
            from pyproxy.expressions import program

            predicate = program(clients=clients, headers=headers, query=query, cookies=cookies,
                                when=when, python=python)
        if predicate is not None and predicate[0]:
            guard = _Predicate(*predicate)
        rc = pp_router_draft_add(self._draft, _span(host_text), _span(path_text), mask, priority,
                                 route, why)
        if rc == PP_ENOMEM:
            raise MemoryError
        if rc != PP_OK:
            raise WireError(rc, (<bytes>why).decode("utf-8", "replace"))
        if guard is not None:
            self._guarded = True
            self._predicates.append(guard)
            pp_router_draft_set_predicate(self._draft, guard._p)
        pp_router_free(self._p)
        self._p = NULL

    def freeze(self):
        """Compile; done by the first `find` too."""
        if self._p == NULL:
            self._p = pp_router_new(self._draft)
            if self._p == NULL:
                raise MemoryError

    cdef Lookup _ask(self, pp_router_query *q, host, path, method, client, headers, query,
                     variables):
        """For predicates, when there are any."""
        cdef Lookup asked = None
        q.input = NULL
        if self._guarded:
            asked = _lookup(host, path, method, client, headers, query, variables)
            q.input = &asked._input
        return asked

    def find(self, str host not None, str path not None, str method not None="GET", *,
             str client not None="", headers not None=(), query=None, variables=None):
        """(route, captures) for a lower-case host without port and a path in normal form.

        A nameless star is the capture "". Raises KeyError when nothing matches, and WireError with
        `allowed` (PP_EMETHOD) when only other methods do. The rest is for conditions: the client's
        address, headers (a mapping, or pairs), the query without its question mark, and other
        variables by name; what a condition in Python raises goes through.
        """
        cdef pp_router_query q
        cdef pp_router_hit hit
        cdef pp_router_methods allowed = 0
        cdef unsigned i
        cdef bytes host_text = _as_bytes(host), path_text = _as_bytes(path)
        self.freeze()
        q.host = _span(host_text)
        q.path = _span(path_text)
        q.method = _method_id(method)
        cdef Lookup asked = self._ask(&q, host, path, method, client, headers, query, variables)
        cdef int rc = pp_router_find(self._p, &q, &hit, &allowed)
        if asked is not None and asked._raised is not None:
            raise asked._raised
        if rc == PP_ENOENT:
            raise KeyError(path)
        if rc != PP_OK:
            raise WireError(rc, "", _method_names(allowed))
        captures = {}
        for i in range(hit.n_capture):
            name = _as_str(pp_router_capture_name(self._p, hit.pattern, i))
            captures[name] = _as_str(hit.capture[i])
        return hit.route, captures

    def explain(self, str host not None, str path not None, str method not None="GET", *,
                str client not None="", headers not None=(), query=None, variables=None):
        """(route, chosen, reason) of every route that matches host and path, best first."""
        cdef pp_router_query q
        cdef list found = []
        cdef bytes host_text = _as_bytes(host), path_text = _as_bytes(path)
        self.freeze()
        q.host = _span(host_text)
        q.path = _span(path_text)
        q.method = _method_id(method)
        cdef Lookup asked = self._ask(&q, host, path, method, client, headers, query, variables)
        cdef int rc = pp_router_explain(self._p, &q, cb_explain, <void *>found)
        if asked is not None and asked._raised is not None:
            raise asked._raised
        if rc == PP_ENOMEM:
            raise MemoryError
        for row in found:
            if isinstance(row, BaseException):
                raise row
        return found

    def shadowed(self):
        """(index, by): additions, counted from 0, that no request can take, and one that takes
        theirs first. Found among equal hosts and equal shapes of path only."""
        cdef uint32_t i, by
        self.freeze()
        found = []
        for i in range(pp_router_count(self._p)):
            by = pp_router_shadowed(self._p, i)
            if by != PP_ID_NONE:
                found.append((i, by))
        return found

    @property
    def nbytes(self):
        """Memory of the compiled table."""
        self.freeze()
        return pp_router_bytes(self._p)


def normal_path(path):
    """The one form of a path on which routing, filters and logs agree. Raises WireError."""
    cdef bytes text = _as_bytes(path)
    cdef size_t n = 0
    cdef pp_bool changed = False
    cdef char *mem = <char *>pp_mem_alloc(<size_t>len(text) + 1)
    if mem == NULL:
        raise MemoryError
    try:
        rc = pp_uri_normal_path(_span(text), mem, &n, &changed)
        if rc != PP_OK:
            raise WireError(rc)
        return PyBytes_FromStringAndSize(mem, <Py_ssize_t>n)
    finally:
        pp_mem_free(mem)


def parse_authority(authority):
    """(host, port or 0) of host[:port]. Raises WireError."""
    cdef bytes text = _as_bytes(authority)
    cdef pp_uri_authority out
    rc = pp_uri_authority_parse(_span(text), &out)
    if rc != PP_OK:
        raise WireError(rc)
    return _as_str(out.host), out.port


def split_target(url):
    """(scheme, authority, path, query) of an absolute URL; query None: no '?'. Raises WireError."""
    cdef bytes text = _as_bytes(url)
    cdef pp_uri_split out
    rc = pp_uri_split_absolute(_span(text), &out)
    if rc != PP_OK:
        raise WireError(rc)
    query = None if out.query.p == NULL else _as_str(out.query)
    return _as_str(out.scheme), _as_str(out.authority), _as_str(out.path), query


cdef _proxy_end(const pp_proxyproto *h, const pp_proxyproto_end *end):
    if h.family == PP_PROXYPROTO_UNIX:
        return PyBytes_FromStringAndSize(end.path.p, <Py_ssize_t>end.path.n), 0
    size = {PP_PROXYPROTO_IP4: 4, PP_PROXYPROTO_IP6: 16}.get(h.family, 0)
    return PyBytes_FromStringAndSize(<const char *>end.ip, size), end.port


def decode_proxy_header(bytes data not None):
    """Read a PROXY protocol header. Raises WireError."""
    cdef pp_proxyproto h
    cdef size_t used
    rc = pp_proxyproto_decode(_span(data), &h, &used)
    if rc != PP_OK:
        raise WireError(rc)
    source, destination = _proxy_end(&h, &h.source), _proxy_end(&h, &h.destination)
    tlvs = PyBytes_FromStringAndSize(h.tlvs.p, <Py_ssize_t>h.tlvs.n)
    return used, h.version, h.family, h.local, source, destination, tlvs


def decode_client_hello(bytes data not None):
    """(server name, ALPN protocols) of a TLS ClientHello. Raises WireError."""
    cdef pp_clienthello hello
    cdef pp_span protocol
    cdef bytes copy = PyBytes_FromStringAndSize(PyBytes_AS_STRING(data), len(data))
    rc = pp_clienthello_decode(PyBytes_AS_STRING(copy), len(copy), &hello)
    if rc != PP_OK:
        raise WireError(rc)
    protocols = []
    while pp_clienthello_next_protocol(&hello.alpn, &protocol):
        protocols.append(protocol.p[:protocol.n])
    return _as_str(hello.server_name), protocols


def _bench_head(bytes head not None, uint64_t n, bint rules=True):
    """Parse the same request head `n` times with the C parser alone; the bytes parsed.

    Every round does what a connection does: fresh parser and message, parse, rules. For benchmarks.
    Raises WireError when `head` is not exactly one valid head.
    """
    cdef pp_http1_head h
    cdef pp_http1_limits limits
    cdef pp_arena arena
    cdef pp_http_msg *m = <pp_http_msg *>pp_mem_alloc(sizeof(pp_http_msg))
    cdef pp_span s = _span(head)
    cdef size_t used = 0
    cdef uint64_t i, total = 0
    cdef int rc = PP_OK
    if m == NULL:
        raise MemoryError
    limits.head_bytes = 61440
    limits.line_bytes = 16384
    limits.target_bytes = 8192
    limits.fields = 100
    pp_arena_init(&arena, NULL, 0, _ARENA_BYTES)
    for i in range(n):
        pp_arena_reset(&arena)
        pp_http_msg_init(m, &arena)
        pp_http1_head_init(&h, PP_HTTP1_REQUEST)
        rc = pp_http1_head_feed(&h, s.p, s.n, &limits, m, &used)
        if rc == PP_OK and rules:
            rc = pp_http_rules_request(m)
        if rc != PP_OK or used != s.n:
            break
        total += used
    pp_arena_fini(&arena)
    pp_mem_free(m)
    if rc != PP_OK:
        raise _error(rc)
    if n and total != n * s.n:
        raise ValueError("bytes after the head")
    return total
