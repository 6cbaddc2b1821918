# cython: language_level=3, boundscheck=False, wraparound=False
"""One live worker: the C engine, the builder of its snapshots, and what filters see."""

import asyncio
import logging
import os
import select
import time

from cpython.buffer cimport PyBUF_SIMPLE, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.object cimport PyObject
from cpython.ref cimport Py_DECREF, Py_INCREF
from cpython.unicode cimport PyUnicode_DecodeLatin1
from libc.stdint cimport uint8_t, uint32_t, uint64_t, uintptr_t
from libc.string cimport memset

from pyproxy._capi.base cimport *
from pyproxy._capi.io cimport *
from pyproxy._capi.proxy cimport *
from pyproxy._capi.route cimport (PP_PRESSURE_SHED, PP_PRESSURE_STOP_KEEP_ALIVE,
                                  PP_ROUTER_ANY_METHOD, pp_pressure_conf, pp_pressure_level,
                                  pp_router_capture_name, pp_router_methods)
from pyproxy._capi.wire cimport (PP_HTTP_BODY_LENGTH, PP_HTTP_BODY_NONE, PP_PROXYPROTO_IP4,
                                 PP_PROXYPROTO_NONE, PP_PROXYPROTO_UNIX, pp_http_tok_method,
                                 pp_proxyproto, pp_proxyproto_end)
from pyproxy._capi.worker cimport *

from pyproxy.filters.base import Reply
from pyproxy.tls.client import ClientTls

cdef extern from "Python.h":
    const char *PyUnicode_AsUTF8AndSize(object s, Py_ssize_t *size) except NULL
    int PyUnicode_IS_ASCII(object s)
    bint PyCoro_CheckExact(object o)
    Py_ssize_t Py_REFCNT(PyObject *o)

cdef object logger = logging.getLogger("pyproxy.filters")
cdef dict NO_WORDS = {}
cdef pp_hook_ops hook_ops

# In the order of enum pp_cluster_protocol.
cdef tuple UPSTREAM_PROTOCOLS = ("auto", "h1", "h2", "h2c")

# In the order of enum pp_pressure_level.
cdef tuple PRESSURE_LEVELS = ("none", "stop_keep_alive", "shed")

# In the order of enum pp_filter_limit_event.
cdef tuple LIMIT_EVENTS = ("refused", "dry_run", "delayed", "answered", "unanswered")

# Views of ended exchanges that are kept for the next ones.
cdef int KEEP_VIEWS = 64


class ExchangeOver(RuntimeError):
    """Something of an exchange was used after the exchange had ended."""


# ---- text and spans


cdef inline object text_of(pp_span s):
    return PyUnicode_DecodeLatin1(s.p, <Py_ssize_t>s.n, NULL) if s.n > 0 else ""


cdef inline object bytes_of(pp_span s):
    return PyBytes_FromStringAndSize(s.p, <Py_ssize_t>s.n)


cdef object end_of(const pp_proxyproto *h, const pp_proxyproto_end *end):
    """One end of an announced connection: (packed IP address, port), path, or None."""
    if h.family == PP_PROXYPROTO_UNIX:
        return bytes_of(end.path)
    if h.family == PP_PROXYPROTO_NONE:
        return None
    size = 4 if h.family == PP_PROXYPROTO_IP4 else 16
    return PyBytes_FromStringAndSize(<const char *>end.ip, size), end.port


cdef inline object pair_of(const pp_http_field *f):
    return text_of(pp_span(f.name, f.name_n)), text_of(pp_span(f.value, f.value_n))


cdef inline object borrow(object value, pp_span *out):
    """Point <out> at the bytes of a str (as Latin-1) or bytes; keep what is returned meanwhile."""
    cdef Py_ssize_t n
    if isinstance(value, str):
        if PyUnicode_IS_ASCII(value):
            out.p = PyUnicode_AsUTF8AndSize(value, &n)
            out.n = <size_t>n
            return value
        value = value.encode("latin-1")
    if not isinstance(value, bytes):
        raise TypeError(f"expected str or bytes, not {type(value).__name__}")
    out.p = PyBytes_AS_STRING(value)
    out.n = <size_t>PyBytes_GET_SIZE(value)
    return value


cdef int check(int rc) except -1:
    """Raise what a negative result of the C core stands for."""
    if rc == PP_OK:
        return 0
    if rc == PP_ENOMEM:
        raise MemoryError
    raise OSError(rc, pp_err_text(rc).decode())


# ---- callbacks from C


cdef int cb_run(void *owner, pp_exchange *x, const pp_hook *hook, pp_phase phase) noexcept with gil:
    try:
        return run_phase(<Engine>owner, x, hook, phase)
    except BaseException as exc:
        return (<Engine>owner)._failed(x, hook, phase, exc)


cdef int cb_body(void *owner, pp_exchange *x, const pp_hook *hook, pp_phase phase,
                 pp_span piece, pp_bool last, pp_span *out) noexcept with gil:
    try:
        return run_body(<Engine>owner, x, hook, phase, piece, last, out)
    except BaseException as exc:
        return (<Engine>owner)._failed(x, hook, phase, exc)


cdef int cb_test(void *owner, pp_exchange *x, void *callable_, pp_bool *holds) noexcept with gil:
    try:
        return run_test(<Engine>owner, x, <object>callable_, holds)
    except BaseException as exc:
        (<Engine>owner)._report("match.python", exc)
        pp_worker_count_filter(&(<Engine>owner)._w, False)
        return PP_EIO


cdef void cb_cancel(pp_task *task, pp_exchange *x, pp_park which) noexcept with gil:
    try:
        abandon(<WaitingTask *>task)
    except BaseException as exc:
        logger.error("a filter that was cancelled raised", exc_info=exc)


cdef void cb_end(void *owner, pp_exchange *x) noexcept with gil:
    try:
        (<Engine>owner)._end(x)
    except BaseException as exc:
        (<Engine>owner)._report("end", exc)


cdef int cb_offer(void *owner, const pp_moved *m) noexcept with gil:
    try:
        return offer(<Engine>owner, m)
    except BaseException as exc:
        (<Engine>owner)._report("hand_over", exc)
        return PP_MOVE_REFUSED


cdef int cb_tunnel(void *owner, const pp_tunnel_moved *m) noexcept with gil:
    try:
        return (<Engine>owner)._offer_tunnel(m)
    except BaseException as exc:
        (<Engine>owner)._report("hand_over_tunnels", exc)
        return PP_MOVE_REFUSED


cdef int cb_client(void *owner, pp_client_tls *ct) noexcept with gil:
    try:
        return name_client(ct)
    except BaseException as exc:
        (<Engine>owner)._report("client certificate", exc)
        return PP_EINVAL


cdef void cb_pressed(void *owner, pp_bool lag, pp_pressure_level level,
                     uint64_t value) noexcept with gil:
    try:
        if (<Engine>owner)._on_overload is not None:
            reason = "loop_lag" if lag else "memory"
            (<Engine>owner)._on_overload(reason, PRESSURE_LEVELS[<int>level], value)
    except BaseException as exc:
        (<Engine>owner)._report("overload", exc)


cdef void cb_release(void *arg) noexcept with gil:
    try:
        Py_DECREF(<object>arg)
    except BaseException:
        pass


memset(&hook_ops, 0, sizeof(hook_ops))
hook_ops.run = cb_run
hook_ops.body = cb_body
hook_ops.test = cb_test
hook_ops.end = cb_end
hook_ops.client = cb_client
hook_ops.pressed = cb_pressed


cdef int run_test(Engine engine, pp_exchange *x, callable_, pp_bool *holds) except -1:
    """Ask a predicate in Python. What it answers must be true or false at once."""
    result = callable_(engine._view(x))
    if PyCoro_CheckExact(result):
        result.close()
        raise TypeError(f"{callable_!r} is async: a predicate answers at once")
    holds[0] = bool(result)
    return PP_OK


cdef int offer(Engine engine, const pp_moved *m) except -1:
    packed = PyBytes_FromStringAndSize(NULL, <Py_ssize_t>pp_moved_size(m))
    pp_moved_pack(m, PyBytes_AS_STRING(packed))
    return verdict_of(engine._receiver(m.fd, packed))


cdef int verdict_of(result) except -1:
    """What a receiver's answer means: None is not now."""
    if result is None:
        return PP_MOVE_LATER
    return PP_MOVE_TAKEN if result else PP_MOVE_REFUSED


cdef int run_phase(Engine engine, pp_exchange *x, const pp_hook *hook, pp_phase phase) except -1:
    cdef Exchange view = engine._view(x)
    result = (<object>hook.callable)(view)
    if result is None:
        return PP_NEXT
    return engine._settle(view, hook, phase, result, <pp_park>PP_PARK_PHASE)


cdef int run_body(Engine engine, pp_exchange *x, const pp_hook *hook, pp_phase phase,
                  pp_span piece, bint last, pp_span *out) except -1:
    cdef Exchange view = engine._view(x)
    cdef int side = 0 if phase == PP_PHASE_REQUEST_BODY else 1
    # A copy: the piece may be in scratch memory, which an async filter would outlast.
    chunk = PyBytes_FromStringAndSize(piece.p, <Py_ssize_t>piece.n)
    view._pieces[side] = chunk
    result = (<object>hook.callable)(view, chunk, bool(last))
    if result is None:
        result = chunk
    if type(result) is bytes:
        view._pieces[side] = result
        out.p = PyBytes_AS_STRING(result)
        out.n = <size_t>PyBytes_GET_SIZE(result)
        return PP_NEXT
    return engine._settle(view, hook, phase, result, <pp_park>(PP_PARK_REQUEST_BODY + side))


# ---- what filters see


cdef class _Part:
    """What belongs to one exchange and is emptied when it ends."""

    cdef pp_exchange *_x

    def __init__(self):
        raise TypeError("exchanges and their parts are made by the engine")

    cdef pp_exchange *_live(self) except NULL:
        if self._x == NULL:
            raise ExchangeOver("the exchange is over")
        return self._x


cdef class Headers(_Part):
    """The fields of a message, in place: names in any case, values as `str` (Latin-1).

    A mapping of the first value of each name; `get_all` and `add` are for repeated fields. Framing
    and connection fields (Content-Length, Transfer-Encoding, Connection, ...) can be read but not
    written: the proxy frames messages itself.
    """

    cdef pp_http_msg *_m

    cdef pp_http_msg *_fields(self) except NULL:
        self._live()
        return self._m

    cdef pp_http_field *_find(self, name) except? NULL:
        cdef pp_span s
        keep = borrow(name, &s)
        return pp_http_msg_find(self._fields(), s)

    def __contains__(self, name):
        return self._find(name) != NULL

    def __getitem__(self, name):
        cdef pp_http_field *f = self._find(name)
        if f == NULL:
            raise KeyError(name)
        return text_of(pp_span(f.value, f.value_n))

    def get(self, name, default=None):
        """The first value of `name`, or `default`."""
        cdef pp_http_field *f = self._find(name)
        return default if f == NULL else text_of(pp_span(f.value, f.value_n))

    def get_all(self, name):
        """All values of `name`, one for each field line."""
        cdef pp_http_field *f = self._find(name)
        if f == NULL:
            return []
        values = [text_of(pp_span(f.value, f.value_n))]
        f = pp_http_msg_find_next(self._m, f)
        while f != NULL:
            values.append(text_of(pp_span(f.value, f.value_n)))
            f = pp_http_msg_find_next(self._m, f)
        return values

    def lookup(self, name, dict table not None):
        """What `table` has for the value of `name`. None without it, or with several of the name.

        For credentials, which must not be repeated, in the path that most requests take.
        """
        cdef pp_http_field *f = self._find(name)
        if f == NULL or pp_http_msg_find_next(self._m, f) != NULL:
            return None
        return table.get(text_of(pp_span(f.value, f.value_n)))

    cdef int _check(self, int rc, name, value) except -1:
        if rc == PP_EINVAL:
            raise ValueError(f"not a header that can be set: {name!r}: {value!r}")
        return check(rc)

    def __setitem__(self, name, value):
        cdef pp_span n, v
        cdef pp_http_msg *m = self._fields()
        keep_name = borrow(name, &n)
        keep_value = borrow(value, &v)
        self._check(pp_exchange_set_field(self._x, m, n, v), name, value)

    def add(self, name, value):
        """Append a field line, whether or not the name is there already."""
        cdef pp_span n, v
        cdef pp_http_msg *m = self._fields()
        keep_name = borrow(name, &n)
        keep_value = borrow(value, &v)
        self._check(pp_exchange_add_field(self._x, m, n, v), name, value)

    def __delitem__(self, name):
        if not self.pop_all(name):
            raise KeyError(name)

    def pop_all(self, name):
        """Remove every field of that name; returns how many there were."""
        cdef pp_span n
        cdef pp_http_msg *m = self._fields()
        keep = borrow(name, &n)
        cdef int id = pp_http_tok_name(n.p, n.n)
        if not pp_exchange_may_write(id):
            raise ValueError(f"not a header that can be removed: {name!r}")
        return pp_http_msg_remove(m, n, id)

    def items(self):
        """A list of (name, value), one for each field line, in order."""
        cdef pp_http_msg *m = self._fields()
        cdef pp_http_field *f
        cdef uint32_t i
        pairs = []
        for i in range(m.n_field):
            f = &m.field[i]
            if pp_http_field_is_live(f):
                pairs.append(pair_of(f))
        return pairs

    def keys(self):
        """The names, one for each field line."""
        return [name for name, _ in self.items()]

    def __iter__(self):
        return iter(self.keys())

    def __len__(self):
        return len(self.items())

    def __repr__(self):
        return f"Headers({self.items() if self._x != NULL else 'over'})"


cdef class Request(_Part):
    """The client's request; `headers`, `path` and `query` can be changed until it is sent on."""

    cdef readonly Headers headers

    @property
    def method(self):
        return text_of(self._live().request.method)

    @property
    def target(self):
        """The request target as it came."""
        return text_of(self._live().request.target)

    @property
    def path(self):
        """The path in normal form, without the query.

        Assign to send another one on (and, in early_request, to route by it).
        """
        cdef pp_exchange *x = self._live()
        return text_of(x.path if x.path.p != NULL else x.request.path)

    @path.setter
    def path(self, value):
        cdef pp_span s
        cdef pp_exchange *x = self._live()
        keep = borrow(value, &s)
        cdef int rc = pp_exchange_set_path(x, s)
        if rc != PP_OK:
            why = pp_err_text(rc).decode()
            raise ValueError(f"not a path that can be sent on: {value!r}: {why}")

    @property
    def query(self):
        """What follows the '?', or None; assign to send another one on."""
        cdef pp_exchange *x = self._live()
        return None if x.request.query.p == NULL else text_of(x.request.query)

    @query.setter
    def query(self, value):
        cdef pp_span s
        cdef pp_exchange *x = self._live()
        s.p = NULL
        s.n = 0
        keep = None if value is None else borrow(value, &s)
        cdef int rc = pp_exchange_set_query(x, s)
        if rc == PP_EINVAL:
            raise ValueError(f"not a query that can be sent on: {value!r}")
        check(rc)

    @property
    def host(self):
        """Host and port as the client sent them."""
        return text_of(self._live().request.authority)

    @property
    def scheme(self):
        return text_of(pp_exchange_scheme(self._live()))

    @property
    def has_body(self):
        """Whether a body comes behind the head; over HTTP/2 no field may tell of it."""
        m = &self._live().request
        return m.body != PP_HTTP_BODY_NONE and (m.body != PP_HTTP_BODY_LENGTH or
                                                m.content_length > 0)

    @property
    def body(self):
        """The whole body, of a filter that has it collected first; None: there is none so far."""
        cdef pp_flow *flow = &self._live().flow[0]
        return bytes_of(pp_span(flow.held, flow.held_n)) if flow.hold > 0 else None

    @property
    def version(self):
        m = &self._live().request
        if m.major == 2:
            return "2"
        return "1.0" if m.minor == 0 else "1.1"


cdef class Response(_Part):
    """The response on its way to the client; can be changed until it is sent."""

    cdef readonly Headers headers

    @property
    def status(self):
        return self._live().response.status

    @status.setter
    def status(self, int value):
        cdef pp_exchange *x = self._live()
        if not 200 <= value <= 599:
            raise ValueError(f"status {value} is not between 200 and 599")
        x.response.status = <unsigned short>value
        x.response.reason = pp_http_tok_reason(<unsigned>value)

    @property
    def reason(self):
        return text_of(self._live().response.reason)


cdef class Exchange(_Part):
    """One request and its response, as filters see them. Valid until the exchange ends."""

    cdef readonly Request request
    cdef readonly Response response
    cdef dict _state
    cdef list _pieces  # body bytes that C points into, by direction

    cdef void _attach(self, pp_exchange *x) noexcept:
        self._x = self.request._x = self.response._x = x
        self.request.headers._x = self.response.headers._x = x
        if x != NULL:
            self.request.headers._m = &x.request
            self.response.headers._m = &x.response

    cdef bint _is_unshared(self) noexcept:
        """Nobody but the caller's one variable holds this view or a part of it."""
        # Through pointers, because an object argument would itself hold a reference.
        return (Py_REFCNT(<PyObject *>self) <= 2 and
                Py_REFCNT(<PyObject *>self.request) <= 1 and
                Py_REFCNT(<PyObject *>self.response) <= 1 and
                Py_REFCNT(<PyObject *>self.request.headers) <= 1 and
                Py_REFCNT(<PyObject *>self.response.headers) <= 1)

    @property
    def state(self):
        """A dict of this exchange alone, for filters to pass things on."""
        self._live()
        if self._state is None:
            self._state = {}
        return self._state

    @property
    def id(self):
        """Number of the exchange in this worker."""
        return self._live().id

    @property
    def client_address(self):
        """The IP address of the connection ("unix" for a unix socket)."""
        cdef char text[PP_SOCK_TEXT]
        cdef pp_exchange *x = self._live()
        cdef size_t n = pp_sock_ip_text(&x.client, text)
        return text[:n].decode("ascii")

    @property
    def client_port(self):
        return self._live().client.port

    @property
    def tls(self):
        """What was agreed with the client, and who it is; None when it speaks no TLS."""
        cdef pp_client_tls *ct = self._live().tls
        if ct == NULL:
            return None
        f = &ct.facts
        return ClientTls(text_of(f.version), text_of(f.cipher), text_of(f.group), text_of(f.sni),
                         text_of(f.alpn), f.resumed,
                         ct.der.p[:ct.der.n] if ct.der.n > 0 else b"")

    @property
    def proxy_protocol(self):
        """What the PROXY protocol header of the client's connection said; None: none came."""
        cdef pp_exchange *x = self._live()
        if x.announced == NULL or x.announced.header.version == 0:
            return None
        from pyproxy.filters.announced import header_of

        cdef pp_proxyproto *h = &x.announced.header
        return header_of(h.version, end_of(h, &h.source), end_of(h, &h.destination),
                         bytes_of(h.tlvs))

    @property
    def listener(self):
        return text_of(self._live().listener.name)

    @property
    def route(self):
        """Name of the route ("-" before routing and when none matched)."""
        return text_of(self._live().route.name)

    @property
    def captures(self):
        """What the route's pattern captured: name -> text."""
        cdef pp_exchange *x = self._live()
        cdef unsigned i
        found = {}
        for i in range(x.hit.n_capture):
            name = text_of(pp_router_capture_name(x.snapshot.router, x.hit.pattern, i))
            found[name] = text_of(x.hit.capture[i])
        return found

    def value(self, name):
        """The value of a variable, or None when this request has none.

        ValueError: there is no such variable, or the request has more arguments or cookies than
        are looked at.
        """
        cdef pp_span s
        cdef pp_variable v
        cdef pp_exchange *x = self._live()
        keep = borrow(name, &s)
        if pp_variable_compile(s, &v) != PP_OK:
            raise ValueError(f"there is no such variable: {name!r}")
        cdef int rc = pp_variable_get(x, &v, &s)
        if rc == PP_EHTTP_ARGUMENTS:
            raise ValueError(pp_err_text(rc).decode())
        if rc == PP_ENOENT:
            return None
        check(rc)
        return text_of(s)

    def _count_limit(self, str event not None, uint64_t us=0):
        pp_filter_limit_count(self._live(), <pp_filter_limit_event><int>LIMIT_EVENTS.index(event),
                              us)

    @property
    def upstream(self):
        """Name of the upstream in use, or None."""
        cdef pp_exchange *x = self._live()
        return None if x.cluster == NULL else text_of(x.cluster.name)

    @property
    def endpoint(self):
        """The endpoint of the last attempt, or None."""
        cdef pp_exchange *x = self._live()
        return None if x.endpoint == NULL else text_of(x.endpoint.name)

    @property
    def attempts(self):
        return self._live().attempts

    @property
    def fault(self):
        """Machine-readable word for what went wrong, or None; in connect_failed: this attempt's."""
        cdef pp_exchange *x = self._live()
        if x.fault.code != PP_FAULT_NONE:
            return pp_fault_word(&x.fault).decode("ascii")
        if x.last_fault.code != PP_FAULT_NONE and x.upstream_status == 0:
            return pp_fault_word(&x.last_fault).decode("ascii")
        return None

    @property
    def status(self):
        """Status that was sent to the client, 0 before."""
        return self._live().status

    @property
    def upstream_status(self):
        """Status that the endpoint sent, 0 before."""
        return self._live().upstream_status

    @property
    def request_bytes(self):
        """Body bytes sent on so far."""
        return self._live().flow[0].bytes

    @property
    def response_bytes(self):
        """Body bytes sent to the client so far."""
        return self._live().flow[1].bytes

    @property
    def trailers(self):
        """In response_trailers: the trailer fields as a list of pairs; else empty."""
        cdef pp_http_msg *m = self._live().flow[1].trailers
        cdef uint32_t i
        if m == NULL:
            return []
        return [pair_of(&m.field[i]) for i in range(m.n_field)]


cdef Exchange new_view():
    cdef Exchange view = Exchange.__new__(Exchange)
    view._pieces = [None, None]
    view.request = Request.__new__(Request)
    view.response = Response.__new__(Response)
    view.request.headers = Headers.__new__(Headers)
    view.response.headers = Headers.__new__(Headers)
    return view


async def _guarded(coro):
    """Await a filter; what would end the event loop becomes an ordinary exception."""
    try:
        return await coro
    except (SystemExit, KeyboardInterrupt) as exc:
        raise RuntimeError(f"a filter raised {type(exc).__name__}") from exc


# What C knows of a waiting filter; the first member is the whole of it there.
cdef struct WaitingTask:
    pp_task task
    void *owner


cdef int abandon(WaitingTask *task) except -1:
    (<_Waiting>task.owner).abandon()
    return 0


cdef class _Waiting:
    """An async filter at work: the link between its task and the exchange that waits for it."""

    cdef WaitingTask _link
    cdef pp_exchange *_x
    cdef Engine _engine
    cdef Exchange _view
    cdef const pp_hook *_hook
    cdef pp_phase _phase
    cdef pp_park _which
    cdef object _coro
    cdef object _task
    cdef object _timer

    cdef void start(self, object loop, object coro) except *:
        self._coro = coro
        self._task = loop.create_task(_guarded(coro))
        self._task.add_done_callback(self.on_done)
        if self._hook.timeout_ms > 0:
            self._timer = loop.call_later(self._hook.timeout_ms / 1000, self.on_deadline)
        Py_INCREF(self)
        self._link.task.cancel = cb_cancel
        self._link.owner = <void *>self
        self._x.task[<int>self._which] = &self._link.task

    cdef pp_exchange *_let_go(self) noexcept:
        """Cut the link; NULL when it was cut already."""
        cdef pp_exchange *x = self._x
        if x == NULL:
            return NULL
        self._x = NULL
        x.task[<int>self._which] = NULL
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        Py_DECREF(self)
        return x

    cdef void abandon(self) except *:
        """The exchange goes on without us."""
        if self._let_go() != NULL:
            self._task.cancel()

    def on_deadline(self):
        cdef pp_exchange *x = self._let_go()
        cdef pp_span none
        if x == NULL:
            return
        self._task.cancel()
        none.p = NULL
        none.n = 0
        x.replied = False
        pp_worker_count_filter(&self._engine._w, True)
        pp_exchange_fault(x, pp_fault_make(PP_FAULT_FILTER_TIMEOUT, 0, False, PP_OK))
        pp_phase_resume(x, self._which, PP_REPLY, none)

    def on_done(self, task):
        cdef pp_exchange *x = self._let_go()
        cdef int verdict = PP_NEXT
        cdef pp_span piece
        piece.p = NULL
        piece.n = 0
        error = None if task.cancelled() else task.exception()
        self._coro.close()  # it never ran when it was cancelled at once
        if x == NULL:
            if error is not None:
                self._engine._report("abandoned by its exchange", error)
            return
        try:
            if task.cancelled():
                raise asyncio.CancelledError("the filter was cancelled")
            if error is not None:
                raise error
            result = task.result()
            side = 0 if self._which == PP_PARK_REQUEST_BODY else 1
            if self._which != PP_PARK_PHASE and (result is None or type(result) is bytes):
                kept = self._view._pieces[side] if result is None else result
                self._view._pieces[side] = kept
                piece.p = PyBytes_AS_STRING(kept)
                piece.n = <size_t>PyBytes_GET_SIZE(kept)
            elif result is not None:
                verdict = self._engine._settle(self._view, self._hook, self._phase, result,
                                               self._which)
        except BaseException as exc:
            verdict = self._engine._failed(x, self._hook, self._phase, exc)
        pp_phase_resume(x, self._which, verdict, piece)


# ---- TLS


# The library of this process, and of those that are forked from it; NULL before load_tls.
cdef pp_tls_lib *tls_lib = NULL
# The keys of session tickets that it shall use; b"": its own.
cdef bytes ticket_keys = b""


def load_tls():
    """Take the TLS library's functions; see the type stub."""
    if tls_lib != NULL:
        return
    try:
        from pyproxy.tls.api import finder
        with finder() as address_of:
            take_tls(address_of)
    except ImportError as error:
        # Python may be where the user that workers have become cannot read.
        raise ValueError(f"cannot load the TLS library: {error}; a start or an upgrade can, where "
                         "only root may read it") from error
    if ticket_keys:
        set_ticket_keys(ticket_keys)


cdef int take_tls(address_of) except -1:
    global tls_lib
    cdef uintptr_t address[256]
    cdef const char *name
    cdef const char *missing
    cdef pp_bool optional
    cdef unsigned n = 0
    while n < 256:
        name = pp_tls_lib_name(n, &optional)
        if name == NULL:
            break
        address[n] = address_of(name.decode())
        n += 1
    cdef int rc = pp_tls_lib_new(address, &tls_lib, &missing)
    if rc == PP_EINVAL:
        what = "refuses our settings" if missing == NULL else f"lacks {missing.decode()}"
        raise OSError(f"the TLS library {what}")
    return check(rc)


def set_ticket_keys(bytes keys not None):
    global ticket_keys
    cdef pp_span s
    if tls_lib == NULL:
        ticket_keys = keys
        return True
    keep = borrow(keys, &s)
    cdef int rc = pp_tls_ticket_use(tls_lib, s)
    if rc == PP_ENOENT:
        return False
    check(rc)
    return True


def sweep_tls():
    return tls_lib != NULL and pp_tls_conf_sweep(tls_lib, 16)


cdef int check_tls(int rc, const pp_tls_why *why, str where="") except -1:
    if rc == PP_EINVAL:
        raise ValueError(where + (<const char *>why.text).decode("utf-8", "replace"))
    return check(rc)


cdef object retry_of(pp_builder_retry *r, str conditions, bint non_idempotent, uint32_t base_ms,
                     uint32_t most_ms, uint32_t per_try_ms, uint32_t after_ms,
                     uint32_t budget_percent, uint32_t budget_least):
    """Fill <r>; keep what is returned as long."""
    memset(r, 0, sizeof(r[0]))
    r.policy.non_idempotent = non_idempotent
    r.policy.base_ms, r.policy.most_ms = base_ms, most_ms
    r.policy.per_try_ms, r.policy.after_ms = per_try_ms, after_ms
    r.policy.budget_percent, r.policy.budget_least = budget_percent, budget_least
    return borrow(conditions, &r.conditions)


cdef object fill_settings(pp_tls_settings *s, agreement):
    """Take over what both kinds of settings share; keep what is returned as long as <s>."""
    load_tls()
    s.min_version, s.max_version = agreement.min_version, agreement.max_version
    return (borrow(agreement.ciphers, &s.ciphers), borrow(agreement.groups, &s.groups),
            borrow(agreement.ciphersuites, &s.ciphersuites))


cdef int name_client(pp_client_tls *ct) except? -1:
    """Tell endpoints of the certificate that a client has shown."""
    from pyproxy.tls.forwarded import forwarded
    from pyproxy.tls.peer import peer_of
    cdef pp_span text
    keep = borrow(forwarded(peer_of(ct.der.p[:ct.der.n]), text_of(ct.facts.by)), &text)
    return pp_client_tls_set_forwarded(ct, text)


cdef class ListenerTls:
    """TLS of one listener in the making, until a snapshot or an engine takes it."""

    cdef pp_tls_conf *_p
    cdef unsigned _count

    def __init__(self, str listener not None, settings not None):
        cdef pp_tls_conf_params params
        cdef pp_tls_conf *conf = NULL
        cdef pp_tls_why why
        memset(&params, 0, sizeof(params))
        agreement = settings.agreement
        keep = [fill_settings(&params.settings, agreement), borrow(listener, &params.scope),
                borrow(settings.client_ca, &params.client_ca), borrow(agreement.alpn, &params.alpn),
                borrow(agreement.key_log, &params.key_log)]
        params.client_auth = settings.client_auth
        check_tls(pp_tls_conf_new(tls_lib, &params, &why, &conf), &why)
        self._let_go()
        self._p = conf

    def __dealloc__(self):
        pp_tls_conf_unref(self._p)

    cdef pp_tls_conf *_draft(self) except NULL:
        if self._p == NULL:
            raise ValueError("this one is in use already; make another one")
        return self._p

    cdef pp_tls_conf *_complete(self) except NULL:
        if self._draft() != NULL and self._count == 0:
            raise ValueError("no certificate")
        return self._p

    cdef void _let_go(self) noexcept:
        pp_tls_conf_unref(self._p)
        self._p = NULL
        self._count = 0

    def add(self, names, pairs, str by not None=""):
        cdef pp_tls_conf *conf = self._draft()
        cdef pp_tls_why why
        cdef pp_span a, b, c
        self._count += 1
        where = f"certificate {self._count}" + (f" ({names[0]}): " if names else ": ")
        check_tls(pp_tls_conf_add(conf, &why), &why)
        for name in names:
            keep = borrow(name, &a)
            check_tls(pp_tls_conf_name(conf, a, &why), &why, where)
        keep = borrow(by, &a)
        check(pp_tls_conf_set_by(conf, a))
        for chain, key, ocsp in pairs:
            keep = borrow(chain, &a), borrow(key, &b), borrow(ocsp, &c)
            check_tls(pp_tls_conf_pair(conf, a, b, c, &why), &why, where)


# ---- building a snapshot


cdef class Snapshot:
    """An immutable compiled configuration: from `SnapshotBuilder.finish` for `Engine.install`."""

    cdef pp_snapshot *_p

    def __init__(self):
        raise TypeError("snapshots are made by SnapshotBuilder")

    def __dealloc__(self):
        pp_snapshot_unref(self._p)


cdef int fill_options(pp_arena *a, pp_options *o, object value) except -1:
    """Make the tree of plain values that a native filter reads; texts are UTF-8 there."""
    cdef pp_span s
    cdef uint32_t i = 0
    if value is None:
        return 0
    if isinstance(value, bool):
        pp_options_set_bool(o, value)
    elif isinstance(value, int):
        pp_options_set_int(o, value)
    elif isinstance(value, float):
        pp_options_set_real(o, value)
    elif isinstance(value, str):
        keep = borrow(value.encode(), &s)
        check(pp_options_set_text(o, a, s))
    elif isinstance(value, dict):
        check(pp_options_set_map(o, a, <uint32_t>len(value)))
        for key, below in value.items():
            keep = borrow(key.encode(), &s)
            check(pp_options_set_key(o, a, i, s))
            fill_options(a, pp_options_at(o, i), below)
            i += 1
    elif isinstance(value, (list, tuple)):
        check(pp_options_set_list(o, a, <uint32_t>len(value)))
        for below in value:
            fill_options(a, pp_options_at(o, i), below)
            i += 1
    else:
        raise TypeError(f"an option cannot be a {type(value).__name__}")
    return 0


cdef class SnapshotBuilder:
    """Flat calls that build one snapshot: see the type stub for their order and meaning."""

    cdef pp_builder *_p
    cdef list _callables
    cdef uint32_t _listeners
    cdef uint32_t _upstreams
    cdef uint32_t _routes
    cdef uint32_t _filters
    cdef bint _has_fallback

    def __cinit__(self):
        self._p = pp_builder_new()
        if self._p == NULL:
            raise MemoryError
        self._callables = []

    def __dealloc__(self):
        pp_builder_free(self._p)

    cdef pp_builder *_draft(self) except NULL:
        if self._p == NULL:
            raise ValueError("this builder has finished; make another one")
        return self._p

    cdef int _check(self, int rc) except -1:
        if rc == PP_EINVAL:
            raise ValueError(pp_builder_why(self._p).decode("utf-8", "replace"))
        return check(rc)

    def add_access_log(self, *, path=None, int fd=-1, bint json=True, str format=""):
        cdef pp_span p, f
        cdef uint32_t id
        p.p = NULL
        p.n = 0
        keep_path = None if path is None else borrow(os.fsencode(path), &p)
        keep_format = borrow(format, &f)
        self._check(pp_builder_add_log(self._draft(), p, fd, json, f, &id))
        return id

    def add_listener(self, str name not None, *, int access_log=-1, trusted_proxies=(),
                     uint32_t max_head_bytes=61440, uint32_t max_line_bytes=16384,
                     uint32_t max_target_bytes=8192, uint32_t max_fields=100,
                     uint64_t header_timeout_ms=60000, uint64_t idle_timeout_ms=75000,
                     uint64_t body_timeout_ms=60000, uint32_t body_min_rate=240,
                     uint64_t send_timeout_ms=60000, uint32_t max_requests=0,
                     uint64_t max_age_ms=3600000, uint32_t max_connections=0,
                     str server_header="", str via="pyproxy", int upstream=-1,
                     uint32_t keepalive_s=0, dict http2=NO_WORDS, bint udp=False,
                     uint32_t max_sessions=0, uint32_t responses=0,
                     uint64_t tunnel_idle_ms=3600000):
        cdef pp_listener_conf_s conf
        cdef pp_http2_limits h2
        cdef pp_span n, v, s, r
        cdef uint32_t id
        memset(&conf, 0, sizeof(conf))
        conf.limits.head_bytes = max_head_bytes
        conf.limits.line_bytes = max_line_bytes
        conf.limits.target_bytes = max_target_bytes
        conf.limits.fields = max_fields
        conf.header_timeout_ms = header_timeout_ms
        conf.idle_timeout_ms = idle_timeout_ms
        conf.body_timeout_ms = body_timeout_ms
        conf.body_min_rate = body_min_rate
        conf.send_timeout_ms = send_timeout_ms
        conf.max_requests = max_requests
        conf.max_age_ms = max_age_ms
        conf.max_connections = max_connections
        conf.keepalive_s = keepalive_s
        conf.protocol = PP_LISTENER_UDP if udp else PP_LISTENER_HTTP
        conf.max_flows = max_sessions
        conf.responses = responses
        conf.tunnel_idle_ms = tunnel_idle_ms
        conf.access_log = PP_ID_NONE if access_log < 0 else <uint32_t>access_log
        keep = borrow(name, &n), borrow(via, &v), borrow(server_header, &s)
        self._check(pp_builder_add_listener(self._draft(), n, &conf, v, s, &id))
        limits = http2 or {}
        memset(&h2, 0, sizeof(h2))
        h2.max_streams = limits.get("max_streams", 0)
        h2.stream_window = limits.get("stream_window", 0)
        h2.connection_window = limits.get("connection_window", 0)
        h2.table_bytes = limits.get("table_bytes", 0)
        pp_builder_set_http2(self._draft(), id, http2 is not None, &h2)
        for one in trusted_proxies:
            keep = borrow(one, &r)
            self._check(pp_builder_add_trusted(self._draft(), id, r))
        if upstream >= 0:
            self._check_upstream(<uint32_t>upstream)
            self._check(pp_builder_set_tunnel(self._draft(), id, <uint32_t>upstream))
        self._listeners += 1
        return id

    def add_proxies(self, uint32_t listener, ranges not None, *, bint others_direct=False):
        cdef pp_span r
        self._check_listener(listener)
        for one in ranges:
            keep = borrow(one, &r)
            self._check(pp_builder_add_proxy(self._draft(), listener, r, others_direct))

    def add_server_name(self, uint32_t listener, str name not None, uint32_t upstream):
        cdef pp_span n
        self._check_listener(listener)
        self._check_upstream(upstream)
        keep = borrow(name, &n)
        self._check(pp_builder_add_server_name(self._draft(), listener, n, upstream))

    cdef int _check_listener(self, uint32_t listener) except -1:
        if listener >= self._listeners:
            raise IndexError(f"no such listener: {listener}")
        return 0

    def begin_tls(self, uint32_t listener, settings not None):
        self._check_listener(listener)
        return ListenerTls(text_of(pp_builder_listener(self._draft(), listener).name), settings)

    def set_listener_tls(self, uint32_t listener, ListenerTls tls not None):
        self._check_listener(listener)
        self._check(pp_builder_set_tls(self._draft(), listener, tls._complete()))
        tls._let_go()

    def add_upstream(self, str name not None, *, str balance="round_robin",
                     uint64_t connect_timeout_ms=5000, uint64_t send_timeout_ms=60000,
                     uint64_t first_byte_timeout_ms=60000, uint64_t read_timeout_ms=60000,
                     uint64_t total_timeout_ms=0, uint32_t max_idle=128, uint32_t warm=0,
                     uint64_t idle_timeout_ms=60000, uint64_t max_age_ms=3600000,
                     uint32_t max_requests=0, uint32_t retries=1, uint32_t max_head_bytes=61440,
                     uint32_t max_fields=200, str protocol not None="auto",
                     uint32_t http2_max_streams=100, uint32_t http2_window_bytes=262144,
                     int proxy_protocol=0):
        cdef pp_cluster_conf_s conf
        cdef pp_span n, b
        cdef uint32_t id
        memset(&conf, 0, sizeof(conf))
        conf.connect_timeout_ms = connect_timeout_ms
        conf.send_timeout_ms = send_timeout_ms
        conf.first_byte_timeout_ms = first_byte_timeout_ms
        conf.read_timeout_ms = read_timeout_ms
        conf.total_timeout_ms = total_timeout_ms
        conf.max_idle = max_idle
        conf.warm = warm
        conf.idle_timeout_ms = idle_timeout_ms
        conf.max_age_ms = max_age_ms
        conf.max_requests = max_requests
        conf.retries = retries
        conf.proxy_protocol = proxy_protocol
        conf.limits.head_bytes = max_head_bytes
        conf.limits.line_bytes = max_head_bytes
        conf.limits.target_bytes = max_head_bytes
        conf.limits.fields = max_fields
        conf.balance = pp_cluster_default_conf().balance
        conf.http2.protocol = <uint8_t>UPSTREAM_PROTOCOLS.index(protocol)
        conf.http2.max_streams = http2_max_streams
        conf.http2.window_bytes = http2_window_bytes
        keep = borrow(name, &n), borrow(balance, &b)
        self._check(pp_builder_add_upstream(self._draft(), n, b, &conf, &id))
        self._upstreams += 1
        return id

    def set_upstream_tls(self, uint32_t upstream, settings not None):
        cdef pp_tls_client_params params
        cdef pp_tls_client *client = NULL
        cdef pp_tls_why why
        self._check_upstream(upstream)
        memset(&params, 0, sizeof(params))
        agreement = settings.agreement
        keep = [fill_settings(&params.settings, agreement), borrow(settings.ca, &params.ca),
                borrow(settings.server_name, &params.name), borrow(settings.key, &params.key),
                borrow(settings.ca_dir, &params.ca_dir), borrow(settings.chain, &params.chain),
                borrow(agreement.alpn, &params.alpn), borrow(agreement.key_log, &params.key_log)]
        params.verify = settings.verify
        check_tls(pp_tls_client_new(tls_lib, &params, &why, &client), &why)
        cdef int rc = pp_builder_set_upstream_tls(self._draft(), upstream, client)
        pp_tls_client_unref(client)
        self._check(rc)

    def set_balance(self, uint32_t upstream, *, str key not None="", uint32_t points=0,
                    uint32_t bound_percent=0, uint32_t panic_percent=50,
                    uint32_t slow_start_ms=0, ramp not None=(), str sticky not None="",
                    str attributes not None=""):
        cdef pp_builder_balance b
        self._check_upstream(upstream)
        memset(&b, 0, sizeof(b))
        b.policy.points = points
        b.policy.bound_percent = bound_percent
        b.panic_percent = panic_percent
        b.slow_start_ms = slow_start_ms
        if slow_start_ms and len(ramp) != PP_CLUSTER_RAMP:
            raise ValueError(f"a ramp has {PP_CLUSTER_RAMP} steps")
        for i, part in enumerate(ramp[:PP_CLUSTER_RAMP]):
            b.ramp[i] = part
        keep = [borrow(key, &b.key), borrow(sticky, &b.sticky), borrow(attributes, &b.attributes)]
        self._check(pp_builder_set_balance(self._draft(), upstream, &b))

    def set_breaker(self, uint32_t upstream, *, uint32_t in_a_row, uint32_t percent, uint32_t least,
                    uint32_t window_ms, uint32_t open_ms, uint32_t probes):
        cdef pp_breaker_conf c
        self._check_upstream(upstream)
        c.in_a_row, c.percent, c.least = in_a_row, percent, least
        c.window_ms, c.open_ms, c.probes = window_ms, open_ms, probes
        pp_builder_set_breaker(self._draft(), upstream, &c)

    def set_overload(self, *, tuple memory not None, tuple loop_lag not None):
        cdef pp_pressure_conf of_memory, of_lag
        memset(&of_memory, 0, sizeof(of_memory))
        memset(&of_lag, 0, sizeof(of_lag))
        cdef int stop = PP_PRESSURE_STOP_KEEP_ALIVE, shed = PP_PRESSURE_SHED
        of_memory.at[stop], of_memory.at[shed] = memory
        of_lag.at[stop], of_lag.at[shed] = loop_lag
        pp_builder_set_overload(self._draft(), &of_memory, &of_lag)

    def exempt_route(self, uint32_t route):
        if route >= self._routes:
            raise ValueError(f"there is no route {route}")
        pp_builder_exempt_route(self._draft(), route)

    def set_limits(self, uint32_t upstream, *, uint32_t requests, uint32_t pending,
                   uint32_t queue_ms, uint32_t connections, uint32_t retries):
        cdef pp_admission_conf c
        self._check_upstream(upstream)
        memset(&c, 0, sizeof(c))
        c.requests, c.pending, c.queue_ms = requests, pending, queue_ms
        c.connections, c.retries = connections, retries
        pp_builder_set_limits(self._draft(), upstream, &c)

    def set_adaptive(self, uint32_t upstream, *, uint32_t least, uint32_t most,
                     uint32_t percentile, uint32_t window_ms, uint32_t min_rtt_ms,
                     uint32_t requests, uint32_t jitter_percent, uint32_t buffer_percent):
        cdef pp_gradient_conf c
        self._check_upstream(upstream)
        c.least, c.most, c.percentile, c.window_ms = least, most, percentile, window_ms
        c.min_rtt_ms, c.requests = min_rtt_ms, requests
        c.jitter_percent, c.buffer_percent = jitter_percent, buffer_percent
        pp_builder_set_adaptive(self._draft(), upstream, &c)

    def set_retry(self, uint32_t upstream, *, str conditions not None, bint non_idempotent,
                  uint32_t base_ms, uint32_t most_ms, uint32_t per_try_ms, uint32_t after_ms,
                  uint32_t budget_percent, uint32_t budget_least):
        cdef pp_builder_retry r
        self._check_upstream(upstream)
        keep = retry_of(&r, conditions, non_idempotent, base_ms, most_ms, per_try_ms, after_ms,
                        budget_percent, budget_least)
        self._check(pp_builder_set_retry(self._draft(), upstream, &r))

    def set_route_retry(self, uint32_t route, *, str conditions not None, bint non_idempotent,
                        uint32_t base_ms, uint32_t most_ms, uint32_t per_try_ms, uint32_t after_ms,
                        uint32_t budget_percent, uint32_t budget_least):
        cdef pp_builder_retry r
        if route >= self._routes:
            raise IndexError(f"no such route: {route}")
        keep = retry_of(&r, conditions, non_idempotent, base_ms, most_ms, per_try_ms, after_ms,
                        budget_percent, budget_least)
        self._check(pp_builder_set_route_retry(self._draft(), route, &r))

    def set_outlier(self, uint32_t upstream, *, uint64_t interval_ms, uint64_t base_ms,
                    uint64_t max_ms, uint32_t consecutive_5xx, uint32_t consecutive_gateway,
                    uint32_t min_hosts, uint32_t min_volume, uint32_t stdev_factor,
                    uint32_t max_percent):
        cdef pp_outlier_conf c
        self._check_upstream(upstream)
        c.interval_ms, c.base_ms, c.max_ms = interval_ms, base_ms, max_ms
        c.consecutive_5xx, c.consecutive_gateway = consecutive_5xx, consecutive_gateway
        c.min_hosts, c.min_volume, c.stdev_factor = min_hosts, min_volume, stdev_factor
        c.max_percent = max_percent
        pp_builder_set_outlier(self._draft(), upstream, &c)

    def add_endpoint(self, uint32_t upstream, str address not None, *, uint32_t weight=1,
                     str name not None="", str server_name not None="", uint8_t tier=0,
                     bint drain=False, uint32_t max_requests=0, uint32_t max_connections=0):
        cdef pp_span a, n, h
        cdef uint32_t id
        self._check_upstream(upstream)
        keep = borrow(address, &a), borrow(name, &n)
        self._check(pp_builder_add_endpoint(self._draft(), upstream, a, n, weight, &id))
        if server_name:
            keep = borrow(server_name, &h)
            self._check(pp_builder_set_host(self._draft(), upstream, h))
        pp_builder_set_role(self._draft(), upstream, tier, drain)
        pp_builder_set_endpoint_limits(self._draft(), upstream, max_requests, max_connections)
        return id

    cdef int _check_upstream(self, uint32_t upstream) except -1:
        if upstream >= self._upstreams:
            raise IndexError(f"no such upstream: {upstream}")
        return 0

    def add_filter(self, str name not None, phases, *, uint32_t timeout_ms=30000,
                   uint32_t buffer_request_body=0, uint32_t buffer_response_body=0,
                   uint32_t body_before_request=0):
        cdef pp_span n, p
        cdef uint32_t id
        keep = borrow(name, &n)
        self._check(pp_builder_add_filter(self._draft(), n, timeout_ms, buffer_request_body,
                                          buffer_response_body, &id))
        pp_builder_set_body_first(self._draft(), id, body_before_request)
        self._filters += 1
        for phase, callable_ in phases.items():
            keep = borrow(phase, &p)
            found = pp_snapshot_phase_find(p)
            if found < 0:
                raise ValueError(f"no such phase: {phase}")
            self._callables.append(callable_)
            self._check(pp_builder_bind(self._draft(), id, <pp_phase><int>found, <void *>callable_))
        return id

    def add_native_filter(self, str kind not None, str name not None, dict options not None):
        cdef pp_options root
        cdef pp_span k, n
        cdef uint32_t id
        memset(&root, 0, sizeof(root))
        keep = borrow(kind, &k), borrow(name, &n)
        fill_options(pp_builder_arena(self._draft()), &root, options)
        self._check(pp_builder_add_native(self._draft(), k, n, &root, &id))
        self._filters += 1
        return id

    def set_condition(self, uint32_t filter, bytes predicate not None, predicates=()):
        if filter >= self._filters:
            raise IndexError(f"no such filter: {filter}")
        self._check(pp_builder_set_when(self._draft(), filter,
                                        self._compile(predicate, tuple(predicates))))

    def set_global_filters(self, filters):
        cdef uint32_t ids[256]
        if self._has_fallback:
            raise ValueError("set_global_filters comes once, before the first route")
        self._has_fallback = True
        self._check(pp_builder_set_early(self._draft(), ids, self._ids(filters, ids)))
        self.add_route("-", paths=(), filters=filters, max_body_bytes=0)

    cdef uint32_t _ids(self, filters, uint32_t *out) except? 4294967295:
        cdef uint32_t n = 0
        for f in filters:
            if n == 254:
                raise ValueError("more than 254 filters in one place")
            out[n] = f
            n += 1
        return n

    cdef list _copy_fields(self, pairs, pp_builder_route *r):
        """The response fields of a route as C wants them; the list keeps their bytes alive."""
        cdef pp_respond_field *fields
        cdef uint32_t i
        packed = PyBytes_FromStringAndSize(NULL, len(pairs) * sizeof(pp_respond_field))
        fields = <pp_respond_field *>PyBytes_AS_STRING(packed)
        keep = [packed]
        for i in range(<uint32_t>len(pairs)):
            keep.append(borrow(pairs[i][0], &fields[i].name))
            keep.append(borrow(pairs[i][1], &fields[i].value))
        r.field = fields
        r.n_field = <uint32_t>len(pairs)
        return keep

    def add_route(self, str name not None, *, hosts=(), paths=("/*",), methods=(), int priority=0,
                  filters=(), int upstream=-1, respond=None, redirect=None, rewrite_path=None,
                  rewrite_host=None, uint64_t max_body_bytes=1048576, uint64_t total_timeout_ms=0,
                  int access_log=-1, str upgrade not None="websocket", bint grpc_web=False,
                  bytes predicate not None=b"", predicates=(), split=(), str split_by not None=""):
        cdef pp_builder_route r
        cdef const pp_predicate *guard = NULL
        cdef pp_router_methods mask = 0
        cdef pp_span h, p, m
        cdef uint32_t ids[256]
        cdef uint32_t id
        if not self._has_fallback:
            self.set_global_filters(())
        if upstream >= 0:
            self._check_upstream(<uint32_t>upstream)
        memset(&r, 0, sizeof(r))
        keep = [borrow(name, &r.name), borrow(upgrade, &r.upgrade)]
        r.action = (PP_ROUTE_ACTION_NONE if upstream < 0 and not split
                    else PP_ROUTE_ACTION_UPSTREAM)
        r.upstream = PP_ID_NONE if upstream < 0 else <uint32_t>upstream
        r.max_body = max_body_bytes if max_body_bytes > 0 else <uint64_t>-1
        r.total_timeout_ms = total_timeout_ms
        r.grpc_web = grpc_web
        r.access_log = PP_ID_NONE if access_log == -1 else PP_ROUTE_LOG_OFF if access_log < 0 else <uint32_t>access_log
        r.filter = ids
        r.n_filter = self._ids(filters, ids)
        if rewrite_path is not None:
            keep.append(borrow(rewrite_path, &r.rewrite_path))
        if rewrite_host:
            keep.append(borrow(rewrite_host, &r.rewrite_host))
        if redirect is not None:
            r.action = PP_ROUTE_ACTION_REDIRECT
            r.status = redirect[0]
            keep.append(borrow(redirect[1], &r.location))
        if respond is not None:
            r.action = PP_ROUTE_ACTION_RESPOND
            r.status = respond[0]
            keep.append(self._copy_fields(list(respond[1]), &r))
            keep.append(borrow(respond[2], &r.body))
        self._check(pp_builder_add_route(self._draft(), &r, &id))
        self._routes = id + 1
        if predicate:
            guard = self._compile(predicate, tuple(predicates))
        if split:
            self._add_split(id, split, split_by)
        for method in methods:
            keep.append(borrow(method, &m))
            mask |= <pp_router_methods>(1 << <int>pp_http_tok_method(m))
        if mask == 0:
            mask = PP_ROUTER_ANY_METHOD
        for host in hosts or ("",):
            for path in paths:
                keep.append((borrow(host, &h), borrow(path, &p)))
                self._check(pp_builder_add_match(self._draft(), id, h, p, mask, priority))
                if guard != NULL:
                    pp_builder_set_predicate(self._draft(), guard)
        return id

    cdef const pp_predicate *_compile(self, bytes program, tuple callables) except? NULL:
        """A predicate of the snapshot's, with the callables that its program numbers."""
        cdef const pp_predicate *compiled = NULL
        cdef pp_span text
        cdef Py_ssize_t i
        keep = borrow(program, &text)
        packed = PyBytes_FromStringAndSize(NULL, len(callables) * <Py_ssize_t>sizeof(void *))
        cdef void **pointers = <void **>PyBytes_AS_STRING(packed)
        for i in range(len(callables)):
            self._callables.append(callables[i])
            pointers[i] = <void *>callables[i]
        self._check(pp_builder_compile_predicate(self._draft(), text, pointers,
                                                 <uint32_t>len(callables), &compiled))
        return compiled

    cdef int _add_split(self, uint32_t route, arms, str by) except -1:
        cdef pp_span n, v
        for name, upstream, weight in arms:
            self._check_upstream(upstream)
            keep = borrow(name, &n)
            self._check(pp_builder_add_arm(self._draft(), route, n, upstream, weight))
        if by:
            keep = borrow(by, &v)
            self._check(pp_builder_set_split_key(self._draft(), route, v))
        return 0

    def finish(self):
        cdef Snapshot sn = Snapshot.__new__(Snapshot)
        cdef pp_builder *p = self._draft()
        if not self._has_fallback:
            self.set_global_filters(())
        self._p = NULL
        Py_INCREF(self._callables)
        cdef int rc = pp_builder_finish(p, cb_release, <void *>self._callables, &sn._p)
        if rc != PP_OK:
            Py_DECREF(self._callables)
        check(rc)
        return sn


# ---- the engine


cdef class Engine:
    """One worker's data plane. Single-threaded; all calls from the thread that made it."""

    cdef pp_worker _w
    cdef Py_buffer _stats
    cdef Py_buffer _shared
    cdef bint _open
    cdef bint _has_stats
    cdef bint _has_shared
    cdef object _loop
    cdef object _on_error
    cdef object _on_overload
    cdef object _take_tunnel
    cdef list _free_views
    cdef object _snapshot
    cdef object _receiver

    def __init__(self, *, loop=None, uint32_t slot=0, stats=None, shared=None,
                 on_error=None, on_overload=None):
        cdef void *mem = NULL
        cdef size_t size = 0
        if self._open:
            raise RuntimeError("this engine is initialised already")
        self._loop = loop
        self._on_error = on_error
        self._on_overload = on_overload
        self._free_views = []
        if stats is not None:
            PyObject_GetBuffer(stats, &self._stats, PyBUF_SIMPLE | PyBUF_WRITABLE)
            self._has_stats = True
            mem = self._stats.buf
            size = <size_t>self._stats.len
        seed = int.from_bytes(os.urandom(8), "little")
        cdef int rc = pp_worker_init(&self._w, mem, size, slot, seed)
        if rc != PP_OK:
            self._release_memory()
            check(rc)
        if shared is not None:
            PyObject_GetBuffer(shared, &self._shared, PyBUF_SIMPLE | PyBUF_WRITABLE)
            self._has_shared = True
            rc = pp_worker_share(&self._w, self._shared.buf, <size_t>self._shared.len)
            if rc != PP_OK:
                pp_worker_fini(&self._w)
                self._release_memory()
                raise ValueError("not a table that this version can share")
        pp_worker_set_hook(&self._w, &hook_ops, <void *>self)
        self._open = True

    def __dealloc__(self):
        # Ends every exchange, which empties every view.
        if self._open:
            pp_worker_fini(&self._w)
            self._open = False
        if self._has_stats:
            PyBuffer_Release(&self._stats)
        if self._has_shared:
            PyBuffer_Release(&self._shared)

    cdef int _release_memory(self) except -1:
        if self._has_stats:
            self._has_stats = False
            PyBuffer_Release(&self._stats)
        if self._has_shared:
            self._has_shared = False
            PyBuffer_Release(&self._shared)
        return 0

    cdef int _ensure_open(self) except -1:
        if not self._open:
            raise RuntimeError("the engine is closed")
        return 0

    def fileno(self):
        self._ensure_open()
        return pp_worker_fd(&self._w)

    def run_ready(self):
        self._ensure_open()
        return pp_worker_run_ready(&self._w)

    def run_for(self, double seconds):
        self._ensure_open()
        poll = select.poll()
        poll.register(pp_worker_fd(&self._w), select.POLLIN)
        end = time.monotonic() + seconds
        done = 0
        while True:
            done += pp_worker_run_ready(&self._w)
            left = end - time.monotonic()
            if left <= 0:
                return done
            poll.poll(left * 1000)

    def install(self, Snapshot snapshot not None):
        self._ensure_open()
        check(pp_worker_install(&self._w, snapshot._p))

    def listen(self, int fd, str listener not None):
        cdef pp_span name
        self._ensure_open()
        keep = borrow(listener, &name)
        copy = os.dup(fd)
        cdef int rc = pp_worker_listen(&self._w, copy, name)
        if rc != PP_OK:
            os.close(copy)
        if rc == PP_ENOENT:
            raise ValueError(f"no such listener: {listener}")
        check(rc)
        return copy

    def unlisten(self, int handle):
        self._ensure_open()
        cdef int rc = pp_worker_unlisten(&self._w, handle)
        if rc == PP_ENOENT:
            raise ValueError(f"no such listening socket: {handle}")
        check(rc)

    def stop_listening(self):
        self._ensure_open()
        pp_worker_stop_listening(&self._w)

    def drain(self, uint64_t spread_ms=0):
        self._ensure_open()
        pp_worker_drain(&self._w, spread_ms)

    def hand_over(self, receiver):
        self._ensure_open()
        if receiver is not None and not callable(receiver):
            raise TypeError("the receiver is called, or None")
        self._receiver = receiver
        if receiver is not None:
            pp_worker_hand_over(&self._w, cb_offer, <void *>self)
        else:
            pp_worker_hand_over(&self._w, NULL, NULL)

    def take(self, int fd, bytes packed not None):
        cdef pp_moved m
        cdef pp_span s
        self._ensure_open()
        s.p = PyBytes_AS_STRING(packed)
        s.n = <size_t>PyBytes_GET_SIZE(packed)
        if pp_moved_unpack(s, &m) != PP_OK:
            raise ValueError("not a connection that this version can take")
        m.fd = os.dup(fd)
        cdef int rc = pp_worker_take(&self._w, &m)
        if rc == PP_ENOENT:
            raise ValueError("the connection's listener is not in the snapshot")
        check(rc)

    def hand_over_tunnels(self, callback):
        self._ensure_open()
        self._take_tunnel = callback
        if callback is None:
            pp_worker_hand_over_tunnels(&self._w, NULL, NULL)
        else:
            pp_worker_hand_over_tunnels(&self._w, cb_tunnel, <void *>self)

    cdef int _offer_tunnel(self, const pp_tunnel_moved *m) except -1:
        packed = PyBytes_FromStringAndSize(NULL, <Py_ssize_t>pp_tunnel_moved_size(m))
        pp_tunnel_moved_pack(m, PyBytes_AS_STRING(packed))
        return verdict_of(self._take_tunnel(m.fd[0], m.fd[1], packed))

    def take_tunnel(self, int client_fd, int endpoint_fd, bytes packed not None):
        cdef int fd[2]
        cdef pp_span s
        self._ensure_open()
        keep = borrow(packed, &s)
        fd[0] = os.dup(client_fd)
        try:
            fd[1] = os.dup(endpoint_fd)
        except OSError:
            os.close(fd[0])
            raise
        cdef int rc = pp_worker_take_tunnel(&self._w, fd, s)
        if rc == PP_EINVAL:
            raise ValueError("not a tunnel that this version can take over")
        if rc == PP_ENOENT:
            raise ValueError("the configuration does not know the listener of the tunnel")
        check(rc)

    def close_connections(self):
        self._ensure_open()
        pp_worker_close_connections(&self._w)

    def close_tunnels(self):
        self._ensure_open()
        pp_worker_close_tunnels(&self._w)

    def close_sessions(self):
        self._ensure_open()
        pp_worker_close_flows(&self._w)

    @property
    def sessions(self):
        return self._w.core.n_udp if self._open else 0

    @property
    def tunnels(self):
        return self._w.core.n_tunnel if self._open else 0

    @property
    def connections(self):
        return self._w.core.n_down + self._w.core.n_greet if self._open else 0

    @property
    def exchanges(self):
        return self._w.core.n_exchange if self._open else 0

    def replace_listener_tls(self, str listener not None, ListenerTls tls not None):
        cdef pp_span name
        self._ensure_open()
        keep = borrow(listener, &name)
        cdef int rc = pp_worker_replace_tls(&self._w, name, tls._complete())
        if rc == PP_ENOENT:
            raise KeyError(listener)
        check(rc)
        tls._let_go()

    def reopen_logs(self):
        self._ensure_open()
        check(pp_worker_reopen_logs(&self._w))

    def flush_logs(self):
        self._ensure_open()
        pp_worker_flush_logs(&self._w)

    def close(self):
        if self._open:
            pp_worker_fini(&self._w)
            self._open = False
            self._receiver = self._take_tunnel = None
            self._release_memory()

    cdef Exchange _view(self, pp_exchange *x):
        cdef Exchange view
        if x.view != NULL:
            return <Exchange>x.view
        view = self._free_views.pop() if self._free_views else new_view()
        view._attach(x)
        Py_INCREF(view)
        x.view = <void *>view
        return view

    cdef int _end(self, pp_exchange *x) except -1:
        cdef Exchange view = <Exchange>x.view
        x.view = NULL
        view._attach(NULL)
        view._state = None
        view._pieces[0] = view._pieces[1] = None
        if len(self._free_views) < KEEP_VIEWS and view._is_unshared():
            self._free_views.append(view)
        Py_DECREF(view)
        return 0

    cdef int _settle(self, Exchange view, const pp_hook *hook, pp_phase phase, object result,
                     pp_park which) except -1:
        """The verdict that a phase's result means, when it is not None."""
        cdef pp_exchange *x = view._x
        cdef pp_span s
        if isinstance(result, Reply):
            self._apply_reply(x, result)
            return PP_REPLY
        if phase == PP_PHASE_UPSTREAM_PEER and isinstance(result, str):
            keep = borrow(result, &s)
            check(pp_arena_dup(&x.arena, s, &x.peer))
            return PP_NEXT
        if PyCoro_CheckExact(result) and x.task[<int>which] == NULL:
            return self._park(view, hook, phase, result, which)
        name = pp_snapshot_phase_name(phase).decode()
        raise TypeError(f"{name} returned {type(result).__name__}: not a result of this phase")

    cdef int _park(self, Exchange view, const pp_hook *hook, pp_phase phase, object coro,
                   pp_park which) except -1:
        cdef _Waiting waiting = _Waiting.__new__(_Waiting)
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
        waiting._engine = self
        waiting._view = view
        waiting._x = view._x
        waiting._hook = hook
        waiting._phase = phase
        waiting._which = which
        waiting.start(self._loop, coro)
        return PP_PARK

    cdef int _apply_reply(self, pp_exchange *x, object reply) except -1:
        cdef pp_span body, n, v
        keep = borrow(reply.body, &body)
        check(pp_exchange_reply(x, reply.status, body))
        for name, value in reply.headers:
            keep = borrow(name, &n), borrow(value, &v)
            if pp_exchange_add_field(x, &x.response, n, v) != PP_OK:
                raise ValueError(f"not a header a reply can have: {name!r}: {value!r}")
        x.replied = True
        return 0

    cdef int _failed(self, pp_exchange *x, const pp_hook *hook, pp_phase phase,
                     object exc) noexcept:
        """A filter raised: note it, and answer 500 where an answer is still possible."""
        x.replied = False
        pp_worker_count_filter(&self._w, False)
        pp_exchange_fault(x, pp_fault_make(PP_FAULT_FILTER_ERROR, 0, False, PP_OK))
        self._report(f"{text_of(hook.name)}.{pp_snapshot_phase_name(phase).decode()}", exc)
        return PP_REPLY

    cdef void _report(self, str where, object exc) noexcept:
        try:
            if self._on_error is not None:
                self._on_error(where, exc)
            else:
                logger.error("filter %s raised", where, exc_info=exc)
        except Exception:
            logger.exception("the error handler of filter %s raised", where)
