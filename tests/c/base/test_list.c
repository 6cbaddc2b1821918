#include "base/list.h"

#include "pp_test.h"

struct item {
    int number;
    struct pp_list link;
};

/* The numbers of <head>'s items as one decimal number, forwards or backwards. */
static int read_numbers(struct pp_list *head, bool backwards)
{
    int all = 0;
    struct pp_list *l = backwards ? head->prev : head->next;
    for (; l != head; l = backwards ? l->prev : l->next)
        all = all * 10 + PP_CONTAINER_OF(l, struct item, link)->number;
    return all;
}

PP_TEST_CASE(items_stand_where_they_were_put)
{
    struct pp_list head;
    struct item a = {1, {0}}, b = {2, {0}}, c = {3, {0}}, d = {4, {0}};

    pp_list_init(&head);
    PP_CHECK(pp_list_is_empty(&head));
    pp_list_attach(&head, &a.link);
    pp_list_attach(&head, &b.link);
    pp_list_attach_back(&head, &c.link);
    pp_list_attach(&a.link, &d.link);
    PP_CHECK_EQ(read_numbers(&head, false), 2143);
    PP_CHECK_EQ(read_numbers(&head, true), 3412);
    PP_CHECK(!pp_list_is_empty(&head));
}

PP_TEST_CASE(detached_items_point_to_themselves)
{
    struct pp_list head;
    struct item a = {1, {0}}, b = {2, {0}}, c = {3, {0}};

    pp_list_init(&head);
    pp_list_attach_back(&head, &a.link);
    pp_list_attach_back(&head, &b.link);
    pp_list_attach_back(&head, &c.link);
    pp_list_detach(&b.link);
    PP_CHECK_EQ(read_numbers(&head, false), 13);
    PP_CHECK(pp_list_is_empty(&b.link));
    pp_list_detach(&b.link); /* in no list: fine */
    PP_CHECK_EQ(read_numbers(&head, true), 31);
    pp_list_detach(&a.link);
    pp_list_detach(&c.link);
    PP_CHECK(pp_list_is_empty(&head));
}

PP_TEST_MAIN()
