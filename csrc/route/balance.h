/* Choosing an endpoint: a policy sees a row of endpoints and gives an index. Pure: all live numbers
 * come in the view.
 *
 * A policy keeps tables of its own. They are made by `update`, when a weight or what is usable has
 * changed, so that a pick need not look at every endpoint:
 *
 *   policy         a pick costs                        an update costs (n endpoints)
 *   round_robin    one step per distinct weight        n
 *   random         one draw                            n
 *   least_request  two draws                           n
 *   peak_ewma      two draws                           n
 *   ring_hash      log2 of the ring's points           n, or the ring when weights change
 *   maglev         one step                            n, or the table when weights change */
#ifndef PP_ROUTE_BALANCE_H
#define PP_ROUTE_BALANCE_H

#include "base/err.h"
#include "base/ids.h"
#include "base/rng.h"

/* What a policy may know of one endpoint. */
struct pp_balance_view {
    uint64_t key;     /* hash of its address: the same in every process and on every machine */
    uint64_t ewma_us; /* decayed latency (pp_balance_ewma_decay); 0: nothing is known */
    uint32_t weight;  /* >= 1; only ratios count */
    uint32_t active;  /* exchanges in progress */
    bool usable;      /* it may be chosen */
};

/* One choice. */
struct pp_balance_pick {
    const struct pp_balance_view *view;
    uint64_t hash;  /* the exchange's key, for policies that hash */
    uint64_t tried; /* a bit for each index below 64 that is left out this time */
    uint64_t total; /* exchanges in progress at all endpoints: for bounded load alone */
    struct pp_rng *rng;
    /* Bring <active> and <ewma_us> of view[i] up to date; NULL: they are. */
    void (*look)(struct pp_balance_pick *p, uint32_t i);
};

/* What an operator may say about a policy. */
struct pp_balance_conf {
    uint32_t points;        /* of ring_hash, for an endpoint of mean weight; 0: PP_BALANCE_POINTS */
    uint32_t bound_percent; /* bounded load of ring_hash and maglev: most that an endpoint may have,
                               in percent of its fair share (> 100); 0: no bound */
};
/* The standard deviation of the shares is about one by the root of it: 6 %. */
#define PP_BALANCE_POINTS 256
/* Of the whole ring: 128 MiB with what sorting needs. */
#define PP_BALANCE_POINTS_MAX (8u << 20)

/* Which live numbers a policy uses. */
#define PP_BALANCE_USES_HASH 1u    /* pick.hash, and weights that hold still */
#define PP_BALANCE_USES_ACTIVE 2u  /* view.active */
#define PP_BALANCE_USES_LATENCY 4u /* view.ewma_us */

struct pp_balance_ops;

struct pp_balance {
    const struct pp_balance_ops *ops;
    uint32_t n; /* endpoints */
};

/* One policy. <n> endpoints are fixed at creation. */
struct pp_balance_ops {
    const char *name; /* the word of the configuration file */
    unsigned uses;    /* PP_BALANCE_USES_* */
    /* NULL when memory is out. Nothing is usable before the first update. */
    struct pp_balance *(*create)(const struct pp_balance_conf *conf, uint32_t n);
    /* NULL is fine. */
    void (*free)(struct pp_balance *b);
    /* Weights or what is usable have changed, or this is the first time: <view> has <n> rows. */
    void (*update)(struct pp_balance *b, const struct pp_balance_view *view);
    /* Index of a usable endpoint that was not tried, or PP_ID_NONE when there is none. */
    uint32_t (*pick)(struct pp_balance *b, struct pp_balance_pick *p);
};

/* Smooth weighted round robin (Sysoev, nginx 1.3.1, 2012): as many picks as the weights add up to
 * give every endpoint its weight's share, evenly spread. */
extern const struct pp_balance_ops pp_balance_rr_ops;

/* A draw by weight, with the alias method (Walker 1977, Vose 1991). */
extern const struct pp_balance_ops pp_balance_random_ops;

/* The less loaded of two that are drawn by weight (Mitzenmacher, "The Power of Two Choices in
 * Randomized Load Balancing", 2001): the fullest endpoint is at log log n above the mean, not at
 * log n. Load is (active + 1) / weight; of two that are idle the first one drawn is taken, so that
 * shares are the weights' when there is little to do. */
extern const struct pp_balance_ops pp_balance_least_ops;

/* The same two, by the cost of one more request: (active + 1) times the decayed peak latency,
 * divided by the weight (Peak EWMA of Finagle, 2015). */
extern const struct pp_balance_ops pp_balance_ewma_ops;

/* Consistent hashing on a ring (Karger et al., "Consistent Hashing and Random Trees", 1997) with
 * many points for each endpoint, as ketama has them: of n endpoints that one goes moves its own
 * keys, 1/n of all, and no others. With conf.bound_percent: bounded loads (Mirrokni, Thorup and
 * Zadimoghaddam, 2016): who has its share already passes a key on to the next point. */
extern const struct pp_balance_ops pp_balance_ring_ops;

/* Maglev hashing (Eisenbud et al., "Maglev: A Fast and Reliable Software Network Load Balancer",
 * 2016): a table of PP_BALANCE_MAGLEV_SLOTS slots that endpoints fill in turn, each by a
 * permutation of its own. Shares are even to one slot; one of n endpoints that goes moves little
 * more than 1/n of the keys. One that is merely not usable keeps its slots: its keys are hashed
 * once more until they meet another, and no others move. Bounded as above. */
extern const struct pp_balance_ops pp_balance_maglev_ops;
#define PP_BALANCE_MAGLEV_SLOTS 65537u

/* The policy called <name>, or NULL. */
const struct pp_balance_ops *pp_balance_find(const char *name);

/* ---- latency, in 1/256 us ---- */

/* What is left of <value> after <elapsed_us>: half of it every <half_us> > 0, in straight lines
 * between. */
uint64_t pp_balance_ewma_decay(uint64_t value, uint64_t elapsed_us, uint64_t half_us);
/* <value>, noted <elapsed_us> ago, with a new <sample>: a higher one counts at once, a lower one
 * by the time that has passed. */
uint64_t pp_balance_ewma_note(uint64_t value, uint64_t elapsed_us, uint64_t half_us,
                              uint64_t sample);

/* ---- for policies ---- */

/* May endpoint <i> be chosen this time? */
static inline bool pp_balance_may(const struct pp_balance_pick *p, uint32_t i)
{
    return p->view[i].usable && !(i < 64 && (p->tried >> i & 1) != 0);
}

/* Another hash made from <x>: a bijection whose every bit depends on every bit (SplitMix64). */
static inline uint64_t pp_balance_mix(uint64_t x)
{
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

#endif
