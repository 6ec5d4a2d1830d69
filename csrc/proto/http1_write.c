/*
** Pure protocol layer: pieces for writers of HTTP/1 messages. See the header.
*/
#include "proto/http1_write.h"

#include <string.h>

#include "proto/http1_chars.h"

/* Phrases by class of status; gaps are statuses nobody registered. */
static const char *const phrases1[] = {
  "Continue", "Switching Protocols", "Processing", "Early Hints",
  "Upload Resumption Supported",
};

static const char *const phrases2[] = {
  "OK", "Created", "Accepted", "Non-Authoritative Information",
  "No Content", "Reset Content", "Partial Content", "Multi-Status",
  "Already Reported", [26] = "IM Used",
};

static const char *const phrases3[] = {
  "Multiple Choices", "Moved Permanently", "Found", "See Other",
  "Not Modified", "Use Proxy", "(Unused)", "Temporary Redirect",
  "Permanent Redirect",
};

static const char *const phrases4[] = {
  "Bad Request", "Unauthorized", "Payment Required", "Forbidden",
  "Not Found", "Method Not Allowed", "Not Acceptable",
  "Proxy Authentication Required", "Request Timeout", "Conflict", "Gone",
  "Length Required", "Precondition Failed", "Content Too Large",
  "URI Too Long", "Unsupported Media Type", "Range Not Satisfiable",
  "Expectation Failed", "(Unused)", [21] = "Misdirected Request",
  "Unprocessable Content", "Locked", "Failed Dependency", "Too Early",
  "Upgrade Required", [28] = "Precondition Required", "Too Many Requests",
  [31] = "Request Header Fields Too Large",
  [51] = "Unavailable For Legal Reasons",
};

static const char *const phrases5[] = {
  "Internal Server Error", "Not Implemented", "Bad Gateway",
  "Service Unavailable", "Gateway Timeout", "HTTP Version Not Supported",
  "Variant Also Negotiates", "Insufficient Storage", "Loop Detected",
  [10] = "Not Extended", "Network Authentication Required",
};

#define CLASS(list) {list, sizeof list / sizeof *list}

static const struct {
  const char *const *list;
  size_t len;
} classes[] = {
  CLASS(phrases1), CLASS(phrases2), CLASS(phrases3), CLASS(phrases4),
  CLASS(phrases5),
};

const char *gev_h1_reason(unsigned status)
{
  unsigned class = status / 100 - 1, i = status % 100; /* 0 wraps: too big */
  if (class >= sizeof classes / sizeof *classes) return NULL;
  return i < classes[class].len ? classes[class].list[i] : NULL;
}

static void put_digits(char *out, unsigned n, size_t width)
{
  while (width-- > 0) {
    out[width] = (char)('0' + n % 10);
    n /= 10;
  }
}

struct day {
  unsigned year;
  unsigned month; /* 0 is January */
  unsigned day;
};

/*
** The civil date of a day counted from 1970-01-01. Years are taken to begin
** in March, so that the day a leap year adds is the last one; 400 of them
** have 146,097 days, and five months from March or August have 153.
*/
static struct day civil(unsigned days)
{
  unsigned n = days + 719468; /* days since 0000-03-01 */
  unsigned era = n / 146097;
  unsigned in_era = n % 146097;
  unsigned year =
    (in_era - in_era / 1460 + in_era / 36524 - in_era / 146096) / 365;
  unsigned in_year = in_era - (365 * year + year / 4 - year / 100);
  unsigned month = (5 * in_year + 2) / 153; /* 0 is March */
  struct day d;
  d.day = in_year - (153 * month + 2) / 5 + 1;
  d.month = (month + 2) % 12;
  d.year = year + era * 400 + (month >= 10 ? 1 : 0);
  return d;
}

void gev_h1_date(char out[GEV_H1_DATE_LEN], int64_t seconds)
{
  static const int64_t last = 253402300799; /* of the year 9999 */
  static const char days[] = "ThuFriSatSunMonTueWed"; /* from 1970-01-01 */
  static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
  int64_t at = seconds < 0 ? 0 : seconds > last ? last : seconds;
  unsigned day = (unsigned)(at / 86400), rest = (unsigned)(at % 86400);
  struct day d = civil(day);
  memcpy(out, "Www, dd Mmm yyyy hh:mm:ss GMT", GEV_H1_DATE_LEN);
  memcpy(out, days + day % 7 * 3, 3);
  put_digits(out + 5, d.day, 2);
  memcpy(out + 8, months + d.month * 3, 3);
  put_digits(out + 12, d.year, 4);
  put_digits(out + 17, rest / 3600, 2);
  put_digits(out + 20, rest / 60 % 60, 2);
  put_digits(out + 23, rest % 60, 2);
}

bool gev_h1_is_token(const char *s, size_t len)
{
  return len > 0 && gev_h1_chars_are(s, len, GEV_H1_TOKEN);
}

bool gev_h1_is_value(const char *s, size_t len)
{
  return gev_h1_chars_are(s, len, GEV_H1_VALUE);
}

size_t gev_h1_chunk_line(char out[GEV_H1_CHUNK_LINE_MAX], uint64_t n)
{
  size_t width = 1, i;
  while (width < 16 && n >> (4 * width) != 0) width++;
  for (i = 0; i < width; i++)
    out[i] = "0123456789abcdef"[n >> (4 * (width - 1 - i)) & 15];
  out[width] = '\r';
  out[width + 1] = '\n';
  return width + 2;
}

/* The byte of the escape at s, of which `len` bytes are there; -1 if bad. */
static int unescape_one(const char *s, size_t len)
{
  if (len < 3 || !gev_h1_chars_are(s + 1, 2, GEV_H1_HEX)) return -1;
  return (int)(gev_h1_hex_value(s[1]) << 4 | gev_h1_hex_value(s[2]));
}

bool gev_h1_unescape(const char *s, size_t len, char *out, size_t *out_len)
{
  size_t i = 0, n = 0;
  while (i < len) {
    int c = (unsigned char)s[i];
    if (c == '%') {
      c = unescape_one(s + i, len - i);
      if (c <= 0) return false;
      i += 2;
    }
    out[n++] = (char)c;
    i++;
  }
  *out_len = n;
  return true;
}
