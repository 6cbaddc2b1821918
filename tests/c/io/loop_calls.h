/* The system calls that a turn must not make needlessly are counted: to be included before loop.c.
 */
#ifndef PP_LOOP_CALLS_H
#define PP_LOOP_CALLS_H

#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <time.h>

static unsigned n_settime, n_ctl, n_clock, n_wait;

static int counted_settime(int fd, int flags, const struct itimerspec *to, struct itimerspec *old)
{
    n_settime++;
    return timerfd_settime(fd, flags, to, old);
}
static int counted_ctl(int epfd, int op, int fd, struct epoll_event *ev)
{
    n_ctl++;
    return epoll_ctl(epfd, op, fd, ev);
}
static int counted_clock(clockid_t id, struct timespec *ts)
{
    n_clock += id == CLOCK_MONOTONIC;
    return clock_gettime(id, ts);
}
static int counted_wait(int epfd, struct epoll_event *ev, int max, int ms)
{
    n_wait++;
    return epoll_wait(epfd, ev, max, ms);
}

#define timerfd_settime counted_settime
#define epoll_ctl counted_ctl
#define clock_gettime counted_clock
#define epoll_wait counted_wait
#endif
