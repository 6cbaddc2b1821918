/* UDP listeners: their sockets, and the end of sessions that say nothing any more. */
#include "base/check.h"
#include "base/mem.h"
#include "io/fd.h"
#include "proxy/udp.h"

/* Batches that are read before a socket is given up: more than the kernel lets wait in one. */
#define LAST_ROUNDS 1024

static struct pp_udp_flow *first_flow(const struct pp_udp *u)
{
    return PP_CONTAINER_OF(u->flows.next, struct pp_udp_flow, link);
}

/* End what is due, and come back when the next one is. */
static void on_timer(struct pp_timer *timer)
{
    struct pp_udp *u = PP_CONTAINER_OF(timer, struct pp_udp, timer);
    struct pp_loop *lp = &u->door->core->loop;
    for (int i = 0; i < PP_UDP_EXPIRE && !pp_list_is_empty(&u->flows); i++) {
        if (pp_udp_due(first_flow(u)) > lp->now_ms)
            break;
        pp_udp_expire(first_flow(u));
    }
    if (pp_list_is_empty(&u->flows))
        return;
    uint64_t due = pp_udp_due(first_flow(u));
    if (due != UINT64_MAX)
        pp_loop_start(lp, timer, PP_MAX(due, lp->now_ms + 1)); /* never in this turn again */
}

int pp_udp_listen(struct pp_door *door, int fd)
{
    struct pp_core *core = door->core;
    if (core->replies.batch == NULL)
        core->replies.batch = pp_dgram_batch_new();
    struct pp_udp *u = pp_mem_zalloc(sizeof(*u));
    int rc = u == NULL || core->replies.batch == NULL ? PP_ENOMEM : PP_OK;
    if (rc == PP_OK) {
        u->door = door;
        u->io.fd = -1;
        pp_udp_table_init(&u->table, core->seed);
        pp_list_init(&u->flows);
        pp_timer_init(&u->timer, on_timer);
        rc = pp_dgram_listen(&u->socket, fd);
    }
    if (rc == PP_OK)
        rc = pp_loop_add_level(&core->loop, &u->io, fd, pp_udp_on_datagrams);
    if (rc != PP_OK) {
        pp_mem_free(u);
        return rc;
    }
    door->udp = u;
    door->l.fd = fd;
    return PP_OK;
}

void pp_udp_stop(struct pp_door *door)
{
    struct pp_udp *u = door->udp;
    if (door->l.fd < 0)
        return;
    (void)pp_udp_read(u, LAST_ROUNDS);
    pp_loop_remove(&door->core->loop, &u->io, false); /* others share the socket */
    door->l.fd = -1;
    u->stopped_ms = door->core->loop.now_ms;
    if (!pp_list_is_empty(&u->flows))
        pp_loop_no_later(&door->core->loop, &u->timer, pp_udp_due(first_flow(u)));
}

void pp_udp_close_all(struct pp_door *door)
{
    struct pp_udp *u = door->udp;
    uint32_t n = u->table.n; /* the last one may free the door, and <u> with it */
    while (n-- > 0)
        pp_udp_end(first_flow(u), pp_fault_make(PP_FAULT_SHUTDOWN, PP_SIDE_DOWN, false, PP_OK));
}

void pp_udp_free(struct pp_door *door)
{
    struct pp_udp *u = door->udp;
    if (u == NULL)
        return;
    PP_ASSERT(pp_list_is_empty(&u->flows));
    pp_udp_flush(door->core);
    pp_loop_stop(&door->core->loop, &u->timer);
    pp_fd_close(&u->socket.fd);
    pp_udp_table_fini(&u->table);
    pp_mem_free(u);
    door->udp = NULL;
}
