#include "proxy/filter_body.c"

#include "proxy/rig.h"

static struct rig r;

static int change(struct rig_filter *f, struct pp_exchange *x, enum pp_phase phase)
{
    (void)f;
    (void)phase;
    PP_CHECK(!pp_filter_is_own(x));
    PP_CHECK_EQ(pp_filter_body_changes(x), PP_OK);
    return PP_NEXT;
}

static int replace(struct rig_filter *f, struct pp_exchange *x, enum pp_phase phase)
{
    (void)phase;
    return pp_filter_body_replace(x, PP_SPAN("a/b"), pp_span(f->mem, f->n));
}

/* What the client hears of <answer> with this filter. */
static void check(int (*run)(struct rig_filter *, struct pp_exchange *, enum pp_phase),
                  const char *body, const char *answer, const char *heard)
{
    struct rig_conf conf = rig_defaults();
    conf.phases = PP_PHASE_BIT(RESPONSE);
    PP_REQUIRE(rig_start(&r, &conf));
    r.filter[0].run = run;
    r.filter[0].n = strlen(body);
    memcpy(r.filter[0].mem, body, r.filter[0].n);
    int c = rig_connect(&r);
    rig_send(&r, c, RIG_GET);
    int o = rig_accept(&r, 0);
    rig_expect(&r, o, RIG_GOT);
    rig_send(&r, o, answer);
    rig_expect(&r, c, heard);
    rig_expect_quiet(&r, c);
    close(c);
    close(o);
    rig_settle(&r);
    rig_stop(&r);
}

#define CODED                                                                                      \
    "HTTP/1.1 200 OK\r\n" RIG_DATE "X-A: 1\r\nETag: \"e\"\r\nAccept-Ranges: bytes\r\n"             \
    "Repr-Digest: x\r\nContent-MD5: y\r\nContent-Disposition: inline\r\nContent-Type: c/d\r\n"     \
    "Content-Length: 2\r\n\r\nhi"

PP_TEST_CASE(a_body_that_changes_has_weak_validators_and_no_digests)
{
    check(change, "", CODED,
          "HTTP/1.1 200 OK\r\n" RIG_DATE "X-A: 1\r\nETag: W/\"e\"\r\n"
          "Content-Disposition: inline\r\nContent-Type: c/d\r\nContent-Length: 2\r\n\r\nhi");
    check(change, "", "HTTP/1.1 200 OK\r\n" RIG_DATE "ETag: W/\"e\"\r\nContent-Length: 2\r\n\r\nhi",
          "HTTP/1.1 200 OK\r\n" RIG_DATE "ETag: W/\"e\"\r\nContent-Length: 2\r\n\r\nhi");
    check(change, "", RIG_HI, RIG_HI);
}

PP_TEST_CASE(a_body_that_is_replaced_takes_all_of_its_fields_along)
{
    check(replace, "other", CODED,
          "HTTP/1.1 200 OK\r\n" RIG_DATE
          "X-A: 1\r\nContent-Type: a/b\r\nContent-Length: 5\r\n\r\nother");
    check(replace, "", CODED, "HTTP/1.1 200 OK\r\n" RIG_DATE "X-A: 1\r\nContent-Length: 0\r\n\r\n");
}

PP_TEST_CASE(our_own_answers_have_bodies_too)
{
    struct rig_conf conf = rig_defaults();
    conf.phases = PP_PHASE_BIT(RESPONSE);
    conf.route.action = PP_ROUTE_ACTION_RESPOND;
    conf.route.status = 404;
    PP_REQUIRE(rig_start(&r, &conf));
    r.filter[0].run = replace;
    r.filter[0].n = 2;
    memcpy(r.filter[0].mem, "hi", 2);
    int c = rig_connect(&r);
    rig_send(&r, c, RIG_GET);
    rig_expect(&r, c, "HTTP/1.1 404 Not Found\r\nContent-Type: a/b\r\nDate: ");
    char heard[64];
    int ended;
    size_t n = rig_read(&r, c, heard, 29 + 2 + 19 + 4 - 2 + 2, &ended);
    PP_CHECK(n > 2 && memcmp(heard + n - 2, "hi", 2) == 0);
    close(c);
    rig_settle(&r);
    rig_stop(&r);
}

PP_TEST_MAIN()
