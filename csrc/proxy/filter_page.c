#include "proxy/filter_page.h"

#include "base/num.h"
#include "proxy/variable.h"

enum part_what { PART_TEXT, PART_VARIABLE, PART_STATUS, PART_REASON, PART_ERROR, PART_DETAIL };

struct part {
    uint8_t what; /* enum part_what */
    struct pp_span text;
    struct pp_variable variable;
};

struct pp_filter_page {
    uint8_t form; /* enum pp_filter_page_form */
    uint32_t n;
    struct part part[];
};

struct pp_span pp_filter_page_type(enum pp_filter_page_form form)
{
    return form == PP_PAGE_HTML   ? PP_SPAN("text/html; charset=utf-8")
           : form == PP_PAGE_JSON ? PP_SPAN("application/json")
                                  : PP_SPAN("text/plain; charset=utf-8");
}

struct pp_span pp_filter_page_media(enum pp_filter_page_form form)
{
    struct pp_span type = pp_filter_page_type(form);
    return pp_span(type.p, pp_span_find(type, ';'));
}

/* ---- making ---- */

/* Is <name> something that stands for a value? */
static bool is_known(struct pp_span name, struct part *part)
{
    static const struct {
        struct pp_span name;
        uint8_t what;
    } own[] = {{{"status", 6}, PART_STATUS},
               {{"reason", 6}, PART_REASON},
               {{"error", 5}, PART_ERROR},
               {{"detail", 6}, PART_DETAIL}};
    for (size_t i = 0; i < PP_COUNT_OF(own); i++) {
        if (pp_span_eq(own[i].name, name)) {
            part->what = own[i].what;
            return true;
        }
    }
    part->what = PART_VARIABLE;
    return pp_variable_compile(name, &part->variable) == PP_OK;
}

/* Take the next part off the front of *rest, which is not empty: a {name}, or the text before the
 * next one. */
static struct part next_part(struct pp_span *rest)
{
    struct part part = {.what = PART_TEXT}, name = {.what = PART_TEXT};
    size_t at = 0, n = 0;
    for (; at < rest->n; at++) {
        if (rest->p[at] != '{')
            continue;
        struct pp_span after = pp_span(rest->p + at + 1, rest->n - at - 1);
        /* Not over what begins behind it: "{a {path}" has a variable. */
        for (n = 0; n < after.n && after.p[n] != '}' && after.p[n] != '{' && after.p[n] != '\n';)
            n++;
        if (n < after.n && after.p[n] == '}' && is_known(pp_span(after.p, n), &name))
            break;
    }
    if (at > 0) {
        part.text = pp_span(rest->p, at);
        *rest = pp_span(rest->p + at, rest->n - at);
        return part;
    }
    *rest = pp_span(rest->p + n + 2, rest->n - n - 2);
    return name;
}

int pp_filter_page_new(struct pp_filter_make *m, enum pp_filter_page_form form, struct pp_span text,
                       const struct pp_filter_page **out)
{
    uint32_t n = 0;
    for (struct pp_span rest = text; rest.n > 0; n++)
        (void)next_part(&rest);
    struct pp_filter_page *page =
        pp_arena_alloc(m->arena, sizeof(*page) + n * sizeof(page->part[0]));
    if (page == NULL)
        return PP_ENOMEM;
    *page = (struct pp_filter_page){.form = (uint8_t)form, .n = n};
    for (uint32_t i = 0; i < n; i++)
        page->part[i] = next_part(&text);
    *out = page;
    return PP_OK;
}

/* ---- escaping ---- */

/* The length of the UTF-8 sequence at <p> (RFC 3629), or 0. */
static size_t utf8_length(const unsigned char *p, size_t n)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t want = p[0] < 0x80 ? 1 : p[0] < 0xc2 ? 0 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
    if (want == 0 || p[0] > 0xf4 || want > n)
        return 0;
    uint32_t c = want == 1 ? p[0] : p[0] & (0xffu >> (want + 1));
    for (size_t i = 1; i < want; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
        c = c << 6 | (p[i] & 0x3f);
    }
    return c < least[want] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000) ? 0 : want;
}

/* What stands for the character <c> of one byte; empty: itself. <room> has 6 bytes. */
static struct pp_span escaped(enum pp_filter_page_form form, unsigned char c, char *room)
{
    if (form == PP_PAGE_HTML)
        return c == '&'    ? PP_SPAN("&amp;")
               : c == '<'  ? PP_SPAN("&lt;")
               : c == '>'  ? PP_SPAN("&gt;")
               : c == '"'  ? PP_SPAN("&quot;")
               : c == '\'' ? PP_SPAN("&#39;")
                           : PP_SPAN_NONE;
    if (form != PP_PAGE_JSON || (c >= 0x20 && c != '"' && c != '\\' && c != '<'))
        return PP_SPAN_NONE;
    memcpy(room, "\\u00", 4);
    room[4] = "0123456789abcdef"[c >> 4];
    room[5] = "0123456789abcdef"[c & 15];
    return pp_span(room, 6);
}

/* Write <s> at <to> (NULL: only count) as <form> wants it; returns how many bytes. What is not
 * UTF-8 becomes question marks, since the page is declared to be. */
static size_t escape(enum pp_filter_page_form form, struct pp_span s, char *to)
{
    char room[6];
    size_t n = 0, step;
    for (size_t i = 0; i < s.n; i += step) {
        step = utf8_length((const unsigned char *)s.p + i, s.n - i);
        struct pp_span put = step == 1 ? escaped(form, (unsigned char)s.p[i], room) : PP_SPAN_NONE;
        if (step == 0) {
            put = PP_SPAN("?");
            step = 1;
        } else if (put.n == 0) {
            put = pp_span(s.p + i, step);
        }
        if (to != NULL)
            memcpy(to + n, put.p, put.n);
        n += put.n;
    }
    return n;
}

/* ---- running ---- */

static struct pp_span span_of(const char *text)
{
    return pp_span(text, strlen(text));
}

static int value_of(const struct part *p, struct pp_exchange *x, char *digits, struct pp_span *out)
{
    bool faulty = pp_fault_is_set(&x->fault);
    unsigned status = x->response.status;
    *out = PP_SPAN("");
    if (p->what == PART_STATUS)
        *out = pp_span(digits, pp_num_format_u64(digits, status));
    else if (p->what == PART_REASON)
        *out = pp_http_tok_reason(status);
    else if (p->what == PART_ERROR && faulty)
        *out = span_of(pp_fault_word(&x->fault));
    else if (p->what == PART_DETAIL && faulty)
        *out = span_of(pp_fault_text(&x->fault));
    if (p->what != PART_VARIABLE)
        return PP_OK;
    int rc = pp_variable_get(x, &p->variable, out);
    return rc == PP_ENOENT ? PP_OK : rc;
}

int pp_filter_page_render(const struct pp_filter_page *page, struct pp_exchange *x,
                          struct pp_span *out)
{
    char digits[PP_NUM_U64_CHARS], *p = NULL;
    size_t n = 0;
    if (page->n == 0 || (page->n == 1 && page->part[0].what == PART_TEXT)) {
        *out = page->n == 0 ? PP_SPAN("") : page->part[0].text;
        return PP_OK;
    }
    /* First the size, then the bytes; a value that was made stays. */
    for (int pass = 0; pass < 2; pass++) {
        size_t at = 0;
        for (uint32_t i = 0; i < page->n; i++) {
            const struct part *part = &page->part[i];
            struct pp_span value = part->text;
            if (part->what == PART_TEXT) {
                if (pass == 1)
                    memcpy(p + at, value.p, value.n);
                at += value.n;
                continue;
            }
            int rc = value_of(part, x, digits, &value);
            if (rc != PP_OK)
                return rc;
            at += escape((enum pp_filter_page_form)page->form, value, pass == 1 ? p + at : NULL);
        }
        if (pass == 0) {
            n = at;
            p = pp_arena_alloc(&x->arena, n + 1);
            if (p == NULL)
                return PP_ENOMEM;
        }
    }
    *out = pp_span(p, n);
    return PP_OK;
}
