#include "base/metric.h"

enum metric_type { COUNTER, GAUGE };

struct line {
    uint8_t kind, word, type;
    const char *family, *labels, *help;
};

static const struct line lines[] = {
#define METRIC_LINE(kind, word, family, type, labels, help)                                        \
    {PP_METRIC_##kind, PP_METRIC_WORD(kind, word), type, family, labels, help},
    PP_METRIC_LIST(METRIC_LINE)
#undef METRIC_LINE
};

static const char *const kind_labels[] = {
#define METRIC_LABEL(kind, label) label,
    PP_METRIC_KINDS(METRIC_LABEL)
#undef METRIC_LABEL
};

#define END_WORKER PP_METRIC_FIRST_LISTENER
#define END_LISTENER PP_METRIC_FIRST_ROUTE
#define END_ROUTE PP_METRIC_FIRST_UPSTREAM
#define END_UPSTREAM PP_METRIC_FIRST_ENDPOINT
#define END_ENDPOINT PP_METRIC_FIRST_SUPERVISOR
#define END_SUPERVISOR PP_METRIC_FIRST_ARM
#define END_ARM PP_METRIC_INDEX_COUNT

static const uint8_t line_counts[] = {
#define METRIC_COUNT(kind, label) END_##kind - PP_METRIC_FIRST_##kind,
    PP_METRIC_KINDS(METRIC_COUNT)
#undef METRIC_COUNT
};

/* PP_METRIC_WORD counts from the kind's first line: right only while the lines of a kind stand
 * together, in the order of the kinds. */
#define METRIC_CHECK(kind, word, family, type, labels, help)                                       \
    PP_STATIC_ASSERT(PP_METRIC_INDEX_##kind##_##word >= PP_METRIC_FIRST_##kind &&                  \
                         PP_METRIC_INDEX_##kind##_##word < END_##kind,                             \
                     "line out of place: " #kind " " #word);
PP_METRIC_LIST(METRIC_CHECK)
#undef METRIC_CHECK
PP_STATIC_ASSERT(PP_METRIC_INDEX_COUNT < UINT8_MAX, "line numbers fit");

const uint32_t pp_metric_bucket_us[PP_METRIC_BUCKETS - 1] = {
    250,    500,    1000,   2500,    5000,    10000,   25000,    50000,
    100000, 250000, 500000, 1000000, 2500000, 5000000, 10000000,
};

unsigned pp_metric_bucket(uint64_t us)
{
    unsigned i = 0;
    while (i < PP_METRIC_BUCKETS - 1 && us > pp_metric_bucket_us[i])
        i++;
    return i;
}

static bool has_histogram(enum pp_metric_kind kind)
{
    return kind == PP_METRIC_ROUTE || kind == PP_METRIC_UPSTREAM;
}

static uint32_t plain_words(enum pp_metric_kind kind)
{
    return line_counts[kind];
}

uint32_t pp_metric_words(enum pp_metric_kind kind)
{
    return plain_words(kind) + (has_histogram(kind) ? PP_METRIC_BUCKETS + 1 : 0);
}

uint32_t pp_metric_histogram(enum pp_metric_kind kind)
{
    return has_histogram(kind) ? plain_words(kind) : UINT32_MAX;
}

bool pp_metric_row(unsigned i, struct pp_metric_row *out)
{
    if (i >= PP_COUNT_OF(lines))
        return false;
    const struct line *l = &lines[i];
    *out = (struct pp_metric_row){
        .kind = l->kind,
        .word = l->word,
        .gauge = l->type == GAUGE,
        .kind_label = kind_labels[l->kind],
        .family = l->family,
        .labels = l->labels,
        .help = l->help,
    };
    return true;
}

struct pp_span pp_metric_shared(enum pp_metric_kind kind)
{
    return kind_labels[kind][0] ? PP_SPAN("-") : PP_SPAN("");
}

/* FNV-1a. */
static uint32_t hash_bytes(uint32_t h, const void *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        h = (h ^ ((const unsigned char *)p)[i]) * 16777619u;
    return h;
}

uint32_t pp_metric_schema(void)
{
    uint32_t h = 2166136261u;

    /* Help texts are for people: better ones change nothing. */
    for (unsigned i = 0; i < PP_COUNT_OF(lines); i++) {
        h = hash_bytes(h, (const uint8_t[]){lines[i].kind, lines[i].word, lines[i].type}, 3);
        h = hash_bytes(h, lines[i].family, strlen(lines[i].family) + 1);
        h = hash_bytes(h, lines[i].labels, strlen(lines[i].labels) + 1);
    }
    return hash_bytes(h, pp_metric_bucket_us, sizeof(pp_metric_bucket_us));
}

void pp_metric_clear_gauges(const struct pp_statseg *s, uint32_t column)
{
    uint32_t pos = 0, kind, base, n, reached = pp_statseg_reached(s, column);
    uint64_t *words = pp_statseg_words(s, column);
    struct pp_span name;

    while (pp_statseg_next(s, &pos, &kind, &name, &base, &n)) {
        if (base >= reached)
            continue;
        for (unsigned i = 0; i < PP_COUNT_OF(lines); i++) {
            const struct line *l = &lines[i];
            if (l->kind == kind && l->type == GAUGE && l->word < PP_MIN(n, reached - base))
                words[base + l->word] = 0;
        }
    }
}
