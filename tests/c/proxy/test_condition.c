#include "proxy/condition.c"

#include "proxy/rig.h"
#include "route/predicate_program.h"

static struct rig r;
static int answer; /* of the callable: 0, 1, or an error */

static int on_test(void *owner, struct pp_exchange *x, void *callable, bool *holds)
{
    PP_CHECK(owner == &r && callable == &answer && x != NULL);
    *holds = answer == 1;
    return answer < 0 ? answer : PP_OK;
}

static const struct pp_hook_ops table = {.test = on_test};

static struct pp_exchange *begin(void)
{
    struct rig_conf conf = rig_defaults();
    if (!rig_start(&r, &conf))
        return NULL;
    pp_loop_enter(&r.w.core.loop);
    return pp_exchange_new(&r.w.core, r.w.core.snapshot->listener[0], NULL);
}

static void end(struct pp_exchange *x)
{
    pp_exchange_free(x);
    pp_loop_leave(&r.w.core.loop);
    rig_stop(&r);
}

PP_TEST_CASE(values_are_those_of_the_exchange)
{
    struct pp_exchange *x = begin();
    struct program header = {.n = 0}, client = {.n = 0};
    bool holds = false;
    PP_REQUIRE(x != NULL);
    put_test(&header, '=', "header.x-user", "ann");
    put_test(&client, '/', "client.address", "10.0.0.0/8");
    struct pp_predicate *by_header = compile(&header), *by_client = compile(&client);
    PP_CHECK(pp_condition_holds(x, NULL, &holds) == PP_OK && holds);
    PP_CHECK(pp_condition_holds(x, by_header, &holds) == PP_OK && !holds);
    PP_CHECK_EQ(pp_http_msg_add(&x->request, PP_SPAN("X-User"), PP_NAME_OTHER, PP_SPAN("ann")),
                PP_OK);
    PP_CHECK(pp_condition_holds(x, by_header, &holds) == PP_OK && holds);
    /* No client, one of a unix socket, one outside, one inside, and the same mapped to IPv6. */
    PP_CHECK(pp_condition_holds(x, by_client, &holds) == PP_OK && !holds);
    x->client = (struct pp_sock_addr){.family = AF_UNIX};
    PP_CHECK(pp_condition_holds(x, by_client, &holds) == PP_OK && !holds);
    x->client = (struct pp_sock_addr){.family = AF_INET, .ip = {11, 0, 0, 1}};
    PP_CHECK(pp_condition_holds(x, by_client, &holds) == PP_OK && !holds);
    x->client.ip[0] = 10;
    PP_CHECK(pp_condition_holds(x, by_client, &holds) == PP_OK && holds);
    x->client = (struct pp_sock_addr){.family = AF_INET6, .ip = {[10] = 0xff, 0xff, 10, 0, 0, 1}};
    PP_CHECK(pp_condition_holds(x, by_client, &holds) == PP_OK && holds);
    pp_predicate_free(by_header);
    pp_predicate_free(by_client);
    end(x);
}

PP_TEST_CASE(callables_are_asked_through_the_hook)
{
    struct pp_exchange *x = begin();
    struct program p = {.n = 0};
    char why[PP_PREDICATE_WHY_BYTES];
    void *const callable[] = {&answer};
    struct pp_predicate *compiled;
    bool holds;
    PP_REQUIRE(x != NULL);
    put_group(&p, 'C', 0);
    PP_REQUIRE(pp_predicate_new(pp_span(p.bytes, p.n), callable, 1, &compiled, why) == PP_OK);
    r.w.core.hook = NULL;
    PP_CHECK(pp_condition_holds(x, compiled, &holds) == PP_OK && !holds);
    r.w.core.hook = &table;
    r.w.core.hook_owner = &r;
    for (answer = -1; answer < 2; answer++) {
        PP_CHECK_EQ(pp_condition_holds(x, compiled, &holds), PP_MIN(answer, 0));
        PP_CHECK_EQ(holds, answer == 1);
    }
    r.w.core.hook = NULL;
    pp_predicate_free(compiled);
    end(x);
}

PP_TEST_CASE(errors_become_faults)
{
    PP_CHECK_EQ(pp_condition_fault(PP_ENOMEM).code, PP_FAULT_NO_MEMORY);
    PP_CHECK_EQ(pp_condition_fault(PP_EIO).code, PP_FAULT_FILTER_ERROR);
    struct pp_fault f = pp_condition_fault(PP_EHTTP_ARGUMENTS);
    PP_CHECK_EQ(f.code, PP_FAULT_BAD_REQUEST);
    PP_CHECK_EQ(pp_fault_status(&f), 400);
}

PP_TEST_MAIN()
