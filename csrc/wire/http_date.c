#include "wire/http_date.h"

#define DAY_S 86400
#define LAST_S INT64_C(253402300799) /* the end of the year 9999 */

static const char day_names[] = "ThuFriSatSunMonTueWed"; /* the epoch was a Thursday */
static const char month_names[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

/* ---- the calendar ---- */

/* Days are counted in years that begin in March, so that a leap day is the last of its year. */
#define MARCH_ERA 719468 /* days from 1 March of the year 0 to the epoch */
#define ERA_DAYS 146097  /* of 400 years */

static int64_t days_of(int64_t year, unsigned month, unsigned day)
{
    int64_t y = month <= 2 ? year - 1 : year;
    int64_t era = y / 400, of_era = y % 400;
    int64_t of_year = (153 * (int64_t)(month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
    return era * ERA_DAYS + of_era * 365 + of_era / 4 - of_era / 100 + of_year - MARCH_ERA;
}

struct date {
    unsigned year, month, day;
};

static struct date date_of(int64_t days)
{
    int64_t z = days + MARCH_ERA, era = z / ERA_DAYS, d = z % ERA_DAYS;
    int64_t y = (d - d / 1460 + d / 36524 - d / 146096) / 365;
    int64_t of_year = d - (365 * y + y / 4 - y / 100), m = (5 * of_year + 2) / 153;
    unsigned month = (unsigned)(m < 10 ? m + 3 : m - 9);
    return (struct date){.year = (unsigned)(era * 400 + y + (month <= 2)),
                         .month = month,
                         .day = (unsigned)(of_year - (153 * m + 2) / 5 + 1)};
}

static unsigned days_in(unsigned year, unsigned month)
{
    static const uint8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    return month == 2 && leap ? 29 : days[month - 1];
}

/* ---- writing ---- */

static void put2(char *dst, unsigned v)
{
    dst[0] = (char)('0' + v / 10 % 10);
    dst[1] = (char)('0' + v % 10);
}

void pp_http_date_format(char *dst, int64_t s)
{
    s = s < 0 ? 0 : PP_MIN(s, LAST_S);
    struct date date = date_of(s / DAY_S);
    unsigned of_day = (unsigned)(s % DAY_S);
    memcpy(dst, "Sun, 06 Nov 1994 08:49:37 GMT", PP_HTTP_DATE_CHARS);
    memcpy(dst, day_names + 3 * (s / DAY_S % 7), 3);
    put2(dst + 5, date.day);
    memcpy(dst + 8, month_names + 3 * (date.month - 1), 3);
    put2(dst + 12, date.year / 100);
    put2(dst + 14, date.year);
    put2(dst + 17, of_day / 3600);
    put2(dst + 20, of_day / 60 % 60);
    put2(dst + 23, of_day % 60);
}

/* ---- reading ---- */

/* What a form looks like: letters are what stands there, but for those that are read:
 *   a  a letter   D  day (in asctime's a blank may stand for its first digit)   #  month's name
 *   Y  year of four digits, y  of two   h, m, s  the time */
static const char *const forms[] = {"aaa, DD ### YYYY hh:mm:ss GMT", "aaa ### DD hh:mm:ss YYYY"};
static const char form_850[] = ", DD-###-yy hh:mm:ss GMT"; /* behind the name of the day */

struct parts {
    unsigned year, day, hour, minute, second;
    char month[3];
    unsigned n_month;
};

static bool take_digit(unsigned *v, char c)
{
    if (c < '0' || c > '9')
        return false;
    *v = *v * 10 + (unsigned)(c - '0');
    return true;
}

static bool take(struct parts *p, char form, char c, bool asctime)
{
    switch (form) {
    case 'a':
        return (unsigned)((c | 0x20) - 'a') < 26u;
    case 'D':
        return take_digit(&p->day, c) || (asctime && c == ' ' && p->day == 0);
    case '#':
        p->month[p->n_month++] = c;
        return true;
    case 'Y':
    case 'y':
        return take_digit(&p->year, c);
    case 'h':
        return take_digit(&p->hour, c);
    case 'm':
        return take_digit(&p->minute, c);
    case 's':
        return take_digit(&p->second, c);
    default:
        return c == form;
    }
}

static bool fits(struct pp_span s, const char *form, struct parts *p)
{
    bool asctime = form == forms[1];
    memset(p, 0, sizeof(*p));
    if (s.n != strlen(form))
        return false;
    for (size_t i = 0; i < s.n; i++) {
        if (!take(p, form[i], s.p[i], asctime))
            return false;
    }
    return true;
}

/* "Sunday, 06-Nov-94 08:49:37 GMT" */
static bool fits_850(struct pp_span s, struct parts *p)
{
    size_t comma = pp_span_find(s, ',');
    if (comma < 6 || comma > 9 || !fits(pp_span(s.p + comma, s.n - comma), form_850, p))
        return false;
    p->year += p->year < 70 ? 2000 : 1900;
    return true;
}

int pp_http_date_parse(struct pp_span text, int64_t *s)
{
    struct parts p;
    unsigned month = 1;
    if (!fits(text, forms[0], &p) && !fits(text, forms[1], &p) && !fits_850(text, &p))
        return PP_EINVAL;
    while (month <= 12 && memcmp(month_names + 3 * (month - 1), p.month, 3) != 0)
        month++;
    if (month > 12 || p.day < 1 || p.day > days_in(p.year, month) || p.hour > 23 || p.minute > 59 ||
        p.second > 60)
        return PP_EINVAL;
    *s = days_of((int64_t)p.year, month, p.day) * DAY_S + (int64_t)p.hour * 3600 +
         (int64_t)p.minute * 60 + (int64_t)p.second;
    return PP_OK;
}
