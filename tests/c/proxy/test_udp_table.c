#include "proxy/udp_table.c"

#include "pp_test.h"

static const struct pp_hash_seed seed = {.k0 = 7, .k1 = 11};

static void name(const struct pp_udp_table *t, struct pp_udp_node *node, uint32_t number)
{
    memset(node, 0, sizeof *node);
    node->path.family = 2;
    node->path.port = (uint16_t)number;
    memcpy(node->path.peer, &number, sizeof number);
    node->hash = pp_udp_table_hash(t, &node->path);
}

PP_TEST_CASE(nodes_are_found_by_their_path_until_they_are_taken_out)
{
    static struct pp_udp_node node[5000];
    struct pp_udp_table t;
    pp_udp_table_init(&t, seed);
    for (uint32_t i = 0; i < PP_COUNT_OF(node); i++) {
        name(&t, &node[i], i);
        PP_CHECK(pp_udp_table_find(&t, &node[i].path, node[i].hash) == NULL);
        PP_CHECK_EQ(pp_udp_table_put(&t, &node[i]), PP_OK);
    }
    PP_CHECK_EQ(t.n, PP_COUNT_OF(node));
    for (uint32_t i = 0; i < PP_COUNT_OF(node); i += 2)
        pp_udp_table_take(&t, &node[i]);
    for (uint32_t i = 0; i < PP_COUNT_OF(node); i++)
        PP_CHECK(pp_udp_table_find(&t, &node[i].path, node[i].hash) == (i % 2 ? &node[i] : NULL));
    for (uint32_t i = 1; i < PP_COUNT_OF(node); i += 2)
        pp_udp_table_take(&t, &node[i]);
    PP_CHECK_EQ(t.n, 0);
    pp_udp_table_fini(&t);
}

/* One hash for all, as if somebody had found it: still right, if slow. */
PP_TEST_CASE(equal_hashes_do_not_confuse_paths)
{
    struct pp_udp_node node[100];
    struct pp_udp_table t;
    pp_udp_table_init(&t, seed);
    for (uint32_t i = 0; i < PP_COUNT_OF(node); i++) {
        name(&t, &node[i], i);
        node[i].hash = 42;
        PP_CHECK_EQ(pp_udp_table_put(&t, &node[i]), PP_OK);
    }
    for (uint32_t i = 0; i < PP_COUNT_OF(node); i++) {
        PP_CHECK(pp_udp_table_find(&t, &node[i].path, 42) == &node[i]);
        PP_CHECK(pp_udp_table_find(&t, &node[i].path, 43) == NULL);
    }
    for (uint32_t i = 0; i < PP_COUNT_OF(node); i++)
        pp_udp_table_take(&t, &node[i]);
    pp_udp_table_fini(&t);
}

PP_TEST_CASE(every_part_of_a_path_counts)
{
    struct pp_udp_node node;
    struct pp_udp_table t;
    pp_udp_table_init(&t, seed);
    name(&t, &node, 1);
    PP_CHECK_EQ(pp_udp_table_put(&t, &node), PP_OK);
    for (size_t i = 0; i < sizeof node.path; i++) {
        struct pp_dgram_path other = node.path;
        ((unsigned char *)&other)[i] ^= 1;
        PP_CHECK(pp_udp_table_hash(&t, &other) != node.hash);
        PP_CHECK(pp_udp_table_find(&t, &other, node.hash) == NULL);
    }
    pp_udp_table_take(&t, &node);
    pp_udp_table_fini(&t);
}

PP_TEST_CASE(without_memory_chains_get_longer)
{
    static struct pp_udp_node node[200];
    struct pp_udp_table t;
    pp_udp_table_init(&t, seed);
    name(&t, &node[0], 0);
    pp_mem_fail_after_for_test(0);
    PP_CHECK_EQ(pp_udp_table_put(&t, &node[0]), PP_ENOMEM);
    PP_CHECK_EQ(t.n, 0);
    pp_mem_fail_after_for_test(1);
    for (uint32_t i = 0; i < PP_COUNT_OF(node); i++) {
        name(&t, &node[i], i);
        PP_CHECK_EQ(pp_udp_table_put(&t, &node[i]), PP_OK);
    }
    pp_mem_fail_after_for_test(-1);
    PP_CHECK_EQ(t.cap, FIRST_BUCKETS);
    for (uint32_t i = 0; i < PP_COUNT_OF(node); i++) {
        PP_CHECK(pp_udp_table_find(&t, &node[i].path, node[i].hash) == &node[i]);
        pp_udp_table_take(&t, &node[i]);
    }
    pp_udp_table_fini(&t);
    memset(&t, 0, sizeof t);
    pp_udp_table_fini(&t);
}

PP_TEST_MAIN()
