/*
** Pure protocol layer: see http1_fields.h.
*/
#include "proto/http1_fields.h"

#include <string.h>

#include "proto/http1_chars.h"

/* --- dates --------------------------------------------------------------- */

struct date {
  unsigned year, month, day, hour, minute, second; /* 0 is January */
};

static bool take_digits(const char *s, size_t n, unsigned *out)
{
  if (!gev_h1_chars_are(s, n, GEV_H1_DIGIT)) return false;
  for (*out = 0; n > 0; n--) *out = *out * 10 + (unsigned)(*s++ - '0');
  return true;
}

static bool take_month(const char *s, unsigned *out)
{
  static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
  unsigned i;
  for (i = 0; i < 12; i++) {
    if (memcmp(s, months + 3 * i, 3) != 0) continue;
    *out = i;
    return true;
  }
  return false;
}

static bool take_time(const char *s, struct date *d)
{
  return s[2] == ':' && s[5] == ':' && take_digits(s, 2, &d->hour) &&
         take_digits(s + 3, 2, &d->minute) &&
         take_digits(s + 6, 2, &d->second);
}

/* Sun, 06 Nov 1994 08:49:37 GMT */
static bool take_fixdate(const char *s, size_t len, struct date *d)
{
  return len == 29 && memcmp(s + 3, ", ", 2) == 0 &&
         take_digits(s + 5, 2, &d->day) && s[7] == ' ' &&
         take_month(s + 8, &d->month) && s[11] == ' ' &&
         take_digits(s + 12, 4, &d->year) && s[16] == ' ' &&
         take_time(s + 17, d) && memcmp(s + 25, " GMT", 4) == 0;
}

/* Sunday, 06-Nov-94 08:49:37 GMT: of 1970 to 2069 */
static bool take_rfc850(const char *s, size_t len, struct date *d)
{
  const char *comma = memchr(s, ',', len);
  if (!comma || comma - s < 6 || comma - s > 9) return false; /* a day */
  if (s + len - comma != 24 || comma[1] != ' ') return false;
  s = comma + 2;
  if (!take_digits(s, 2, &d->day) || s[2] != '-' ||
      !take_month(s + 3, &d->month) || s[6] != '-' ||
      !take_digits(s + 7, 2, &d->year) || s[9] != ' ' ||
      !take_time(s + 10, d) || memcmp(s + 18, " GMT", 4) != 0)
    return false;
  d->year += d->year < 70 ? 2000 : 1900;
  return true;
}

/* Sun Nov  6 08:49:37 1994 */
static bool take_asctime(const char *s, size_t len, struct date *d)
{
  if (len != 24 || s[3] != ' ' || s[7] != ' ' || s[10] != ' ' || s[19] != ' ')
    return false;
  return take_month(s + 4, &d->month) &&
         (s[8] == ' ' ? take_digits(s + 9, 1, &d->day)
                      : take_digits(s + 8, 2, &d->day)) &&
         take_time(s + 11, d) && take_digits(s + 20, 4, &d->year);
}

static bool is_leap(unsigned year)
{
  return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

static bool is_valid(const struct date *d)
{
  static const uint8_t days[] = {31, 28, 31, 30, 31, 30,
                                 31, 31, 30, 31, 30, 31};
  unsigned leap = d->month == 1 && is_leap(d->year) ? 1 : 0;
  unsigned last = days[d->month] + leap;
  return d->year > 0 && d->day >= 1 && d->day <= last && d->hour < 24 &&
         d->minute < 60 && d->second <= 60;
}

/* Days since 1970-01-01; years begin in March, as in http1_write.c. */
static int64_t days_of(const struct date *d)
{
  int64_t year = (int64_t)d->year - (d->month < 2), era = year / 400;
  int64_t in_era = year % 400, month = (d->month + 10) % 12;
  int64_t in_year = (153 * month + 2) / 5 + d->day - 1;
  return era * 146097 + in_era * 365 + in_era / 4 - in_era / 100 + in_year -
         719468;
}

bool gev_h1_parse_date(const char *s, size_t len, int64_t *seconds)
{
  struct date d;
  if (!take_fixdate(s, len, &d) && !take_rfc850(s, len, &d) &&
      !take_asctime(s, len, &d))
    return false;
  if (!is_valid(&d)) return false;
  *seconds = days_of(&d) * 86400 + d.hour * 3600 + d.minute * 60 + d.second;
  return true;
}

/* --- lists with qualities ------------------------------------------------ */

/* The digits of "0.5" and the like, in thousandths; 0 for what is none. */
static int take_quality(const char *s, size_t len)
{
  int n = 0, scale = 100;
  size_t i;
  if (len == 0 || len > 5 || (s[0] != '0' && s[0] != '1')) return 0;
  if (len > 1 && s[1] != '.') return 0;
  for (i = 2; i < len; i++, scale /= 10) {
    if (!gev_h1_char_is(s[i], GEV_H1_DIGIT)) return 0;
    n += (s[i] - '0') * scale;
  }
  if (s[0] == '1') return n == 0 ? 1000 : 0;
  return n;
}

static size_t trim(const char **s, size_t len)
{
  while (len && gev_h1_char_is(**s, GEV_H1_BLANK)) {
    ++*s;
    len--;
  }
  while (len && gev_h1_char_is((*s)[len - 1], GEV_H1_BLANK)) len--;
  return len;
}

/* The quality of one member, from its parameters. */
static int quality_of(const char *s, size_t len)
{
  while (len) {
    const char *end = memchr(s, ';', len), *word = s;
    size_t n = end ? (size_t)(end - s) : len, k = trim(&word, n);
    if (k >= 2 && gev_h1_same(word, "q=", 2))
      return take_quality(word + 2, k - 2);
    s += end ? n + 1 : n;
    len -= end ? n + 1 : n;
  }
  return 1000;
}

int gev_h1_quality(const char *s, size_t len, const char *lower)
{
  size_t wanted = strlen(lower);
  while (len) {
    const char *comma = memchr(s, ',', len);
    size_t n = comma ? (size_t)(comma - s) : len;
    const char *semicolon = memchr(s, ';', n), *word = s;
    size_t k = trim(&word, semicolon ? (size_t)(semicolon - s) : n);
    if (k == wanted && gev_h1_same(word, lower, k))
      return semicolon ? quality_of(semicolon + 1,
                                    (size_t)(s + n - semicolon - 1))
                       : 1000;
    s += comma ? n + 1 : n;
    len -= comma ? n + 1 : n;
  }
  return -1;
}
