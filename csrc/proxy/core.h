/* What all exchanges of one worker share: the loop, the slabs, the counters, scratch memory and the
 * installed snapshot. Exactly one per engine; a parameter everywhere, never a global.
 *
 * Scratch memory is good until the function that filled it returns to the loop: whatever a socket
 * did not take is copied to that connection's own queue first (proxy/h1.h). This is why an idle or
 * waiting connection owns no buffer. */
#ifndef PP_PROXY_CORE_H
#define PP_PROXY_CORE_H

#include "base/buf.h"
#include "base/map.h"
#include "base/rng.h"
#include "io/dgram.h"
#include "io/loop.h"
#include "io/splice.h"
#include "proxy/leases.h"
#include "proxy/metrics.h"
#include "proxy/moved.h"
#include "proxy/snapshot.h"

#define PP_CORE_HEAD_BYTES                                                                         \
    4096 /* first input buffer of a client: nearly every request head fits                         \
          */
#define PP_CORE_INPUT_BYTES 16384 /* first input buffer of an endpoint: head and a small body */
#define PP_CORE_BULK_BYTES (128 * 1024) /* one read of a body in progress */
/* One read of an HTTP/2 connection. Apart from <bulk>, because exchanges go on, and bodies are
 * read, while it is decoded. */
#define PP_CORE_FEED_BYTES (64 * 1024)
#define PP_CORE_SCRATCH_BYTES                                                                      \
    (192 * 1024)          /* message heads being written: above every head limit times two */
#define PP_CORE_GATHER 64 /* iovecs of one write */

struct pp_hook_ops; /* proxy/hook.h */
struct pp_udp;      /* proxy/udp.h */

/* How hard pressed this worker is (proxy/overload.h). */
struct pp_overload {
    uint8_t level; /* enum pp_pressure_level, the higher of these two: every request looks at it */
    struct pp_pressure memory, lag;
    struct pp_pressure_lag lateness;
    uint64_t resident;      /* bytes when they were last measured */
    uint64_t last_us;       /* when the timer ran */
    uint64_t memory_due_ms; /* when memory is measured again */
    uint64_t trim_due_ms;   /* and when freed memory may be given back again */
    int fd;                 /* pp_memory_resident's */
    struct pp_timer timer;
};

/* Bytes about to be written to one connection, collected for one system call. */
struct pp_h1;
struct pp_gather {
    const struct pp_h1 *owner; /* whose they are, NULL: none collected */
    struct iovec iov[PP_CORE_GATHER];
    int n;
    size_t bytes;
    uint32_t used; /* of scratch */
};

struct pp_core {
    struct pp_loop loop;
    struct pp_slab down_slab, stream_slab, exchange_slab, up_slab, up_stream_slab, tunnel_slab,
        udp_slab, head_slab, input_slab, chunk_slab;
    struct pp_splice_pool splice;
    struct pp_metrics metrics;
    struct pp_shared shared;
    struct pp_leases leases;
    struct pp_rng rng;
    struct pp_hash_seed seed;
    struct pp_snapshot *snapshot;   /* NULL before the first install */
    const struct pp_hook_ops *hook; /* Python's half of filters; NULL in pure C tests */
    void *hook_owner;
    struct pp_map addresses; /* clusters of addresses that filters named (proxy/cluster.h) */
    struct pp_list in_use;   /* installed snapshots, old ones too: their logs are open */
    struct pp_list downs;    /* every client connection that speaks HTTP */
    struct pp_list tunnels;  /* every tunnel, connecting ones too */
    struct pp_list greets;   /* every connection that has not begun (proxy/greet.h) */
    struct pp_list shadows;  /* exchanges without a client (proxy/shadow.h) */
    struct pp_list h2_kinds; /* what HTTP/2 connections share (proxy/down_h2.c) */
    uint32_t n_down, n_exchange, n_tunnel, n_greet, n_udp;
    uint64_t next_exchange;
    bool draining;
    struct pp_overload overload;
    struct pp_leaving { /* connections that end or move before their client wants (move.h) */
        bool on;        /* draining, handing over, or relief */
        bool relief;    /* connections end because the worker has too much to do */
        pp_move_fn fn;  /* NULL: nobody takes them */
        void *arg;
        uint32_t spread_ms;   /* within which idle ones are closed */
        struct pp_list queue; /* of client connections, instead of <downs>: to be looked at */
        struct pp_timer timer;
    } leaving;
    struct pp_warming { /* connections to endpoints that are opened ahead (up_warm.h) */
        struct pp_timer timer;
        struct pp_list connecting;
        uint32_t n; /* of them */
    } warming;
    struct pp_gather gather;
    struct pp_list udp_spare; /* sessions that have ended, with their sockets (udp.h) */
    uint32_t n_udp_spare;
    struct pp_udp_replies {           /* datagrams on their way to clients (udp.h) */
        struct pp_dgram_batch *batch; /* NULL: there was no UDP listener yet */
        struct pp_udp *owner;         /* by whose socket they leave; NULL: none are collected */
        struct pp_deferred flush;
        bool due; /* <flush> is deferred */
    } replies;
    char *scratch; /* PP_CORE_SCRATCH_BYTES */
    char *bulk;    /* PP_CORE_BULK_BYTES */
    char *feed;    /* PP_CORE_FEED_BYTES */
};

/* Bytes of the objects that the slabs hold: their types are defined further up. */
struct pp_core_sizes {
    uint32_t down, stream, exchange, up, up_stream, tunnel, udp;
};

/* PP_OK or the error, with nothing left behind. <stats> as in pp_metrics_init. */
int pp_core_init(struct pp_core *core, const struct pp_core_sizes *sizes, void *stats,
                 size_t stats_size, uint32_t slot, uint64_t seed) PP_MUST_USE;
/* Everything that uses the core must be closed, and the loop's deferred frees run, before. */
void pp_core_fini(struct pp_core *core);

#endif
