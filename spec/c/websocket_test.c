/*
** Tests of csrc/proto/websocket*.c: each conversation is fed whole, byte by
** byte, and cut in two at every place, and must tell the same story.
*/
#include "proto/websocket.h"

#include <stdlib.h>
#include <string.h>

#include "check.h"

/* --- telling the story of an input --------------------------------------- */

enum { STORY = 4096 };

struct story {
  char text[STORY];
  size_t len;
};

static void tell(struct story *st, const char *s, size_t len)
{
  if (len > STORY - 1 - st->len) len = STORY - 1 - st->len;
  memcpy(st->text + st->len, s, len);
  st->len += len;
  st->text[st->len] = 0;
}

static void tell_event(struct story *st, const struct gev_ws *ws,
                       enum gev_ws_event ev)
{
  char line[64];
  if (ev == GEV_WS_MESSAGE) {
    tell(st, ws->text ? "t:" : "b:", 2);
    tell(st, ws->data, ws->data_len);
  } else {
    snprintf(line, sizeof line, "%s%u", ev == GEV_WS_CLOSED ? "c" : "e",
             ws->code);
    tell(st, line, strlen(line));
    if (ev == GEV_WS_CLOSED && ws->reason_len)
      tell(st, ":", 1), tell(st, ws->reason, ws->reason_len);
  }
  tell(st, ";", 1);
}

/* One piece, in a block of exactly its size; false: it is over. */
static bool feed(struct story *st, struct gev_ws *ws, const char *s,
                 size_t len)
{
  char *copy = malloc(len > 0 ? len : 1);
  size_t at = 0, used;
  enum gev_ws_event ev = GEV_WS_MORE;
  memcpy(copy, s, len);
  while (at < len) {
    ev = gev_ws_feed(ws, copy + at, len - at, &used);
    at += used;
    if (ev != GEV_WS_MORE) tell_event(st, ws, ev);
    if (ev == GEV_WS_CLOSED || ev == GEV_WS_ERROR) break;
  }
  free(copy);
  return ev != GEV_WS_CLOSED && ev != GEV_WS_ERROR;
}

static const struct gev_ws_config server = {true, 1000, 0, NULL};
static const struct gev_ws_config client = {false, 1000, 0, NULL};
static const struct gev_ws_deflate_config plain = {15, 15, false, false, -1};
static const struct gev_ws_config packing = {false, 1000, 0, &plain};

/* The story of the input cut at `cut`; with 0, byte by byte. */
static void story_of(struct story *st, struct gev_bytes *out,
                     const struct gev_ws_config *config, const char *s,
                     size_t len, size_t cut)
{
  struct gev_ws ws;
  size_t i;
  st->len = 0;
  st->text[0] = 0;
  gev_ws_init(&ws, config);
  if (cut > 0) {
    if (feed(st, &ws, s, cut)) feed(st, &ws, s + cut, len - cut);
  } else {
    for (i = 0; i < len && feed(st, &ws, s + i, 1); i++)
      ;
  }
  *out = ws.out;
  ws.out = (struct gev_bytes){0};
  gev_ws_free(&ws);
  gev_ws_free(&ws);
}

static bool same_output(const struct gev_bytes *a, const struct gev_bytes *b)
{
  size_t n = gev_bytes_count(a);
  return n == gev_bytes_count(b) &&
         (n == 0 || memcmp(a->data + a->off, b->data + b->off, n) == 0);
}

/* Is that the story, however the input is cut? Masks are random, so what a
 * client sends is compared by its length alone. */
static void check_story(const struct gev_ws_config *config, const char *s,
                        size_t len, const char *want, const char *what)
{
  struct gev_bytes whole, out;
  struct story st;
  bool good;
  size_t cut;
  story_of(&st, &whole, config, s, len, len);
  good = strcmp(st.text, want) == 0;
  if (!good) printf("# got %s\n", st.text);
  for (cut = 0; cut < len && good; cut++) {
    story_of(&st, &out, config, s, len, cut);
    good = strcmp(st.text, want) == 0 &&
           (config->server ? same_output(&whole, &out)
                           : gev_bytes_count(&whole) == gev_bytes_count(&out));
    if (!good) printf("# cut at %u: %s\n", (unsigned)cut, st.text);
    gev_bytes_free(&out);
  }
  gev_bytes_free(&whole);
  check(good, what);
}

#define TO_CLIENT(bytes, want, what) \
  check_story(&client, bytes, sizeof bytes - 1, want, what)
#define TO_SERVER(bytes, want, what) \
  check_story(&server, bytes, sizeof bytes - 1, want, what)
#define TO_PACKING(bytes, want, what) \
  check_story(&packing, bytes, sizeof bytes - 1, want, what)

/* --- rules of frames ----------------------------------------------------- */

static void test_messages(void)
{
  TO_CLIENT("\x81\5Hello", "t:Hello;", "a text");
  TO_SERVER("\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58", "t:Hello;",
            "a masked text");
  TO_CLIENT("\x82\3\3\1\2\x81\1x", "b:\3\1\2;t:x;", "data, then a text");
  TO_CLIENT("\x81\0\x82\0", "t:;b:;", "empty messages");
  TO_CLIENT("\1\3Hel\x80\2lo", "t:Hello;", "two fragments");
  TO_CLIENT("\1\0\0\0\x80\0", "t:;", "empty fragments");
  TO_CLIENT("\1\1a\0\0\x80\1b\x81\1c", "t:ab;t:c;", "an empty one between");
  TO_CLIENT("\1\3Hel\x89\1p\x8a\1q\x80\2lo", "t:Hello;",
            "control frames between fragments");
  TO_CLIENT("\x89\0\x8a\4abcd\x81\1x", "t:x;", "pings and pongs");
  TO_CLIENT("\x82\x7e\0\x80"
            "0123456789012345678901234567890123456789012345678901234567890123"
            "0123456789012345678901234567890123456789012345678901234567890123",
            "b:"
            "0123456789012345678901234567890123456789012345678901234567890123"
            "0123456789012345678901234567890123456789012345678901234567890123"
            ";", "a length of 16 bits");
}

static void test_violations(void)
{
  TO_CLIENT("\x81\x81\1\2\3\4x", "e1002;", "masked frame to a client");
  TO_SERVER("\x81\1x", "e1002;", "unmasked frame to a server");
  TO_CLIENT("\xc1\1x", "e1002;", "RSV1 without compression");
  TO_CLIENT("\xa1\1x", "e1002;", "RSV2");
  TO_CLIENT("\x91\1x", "e1002;", "RSV3");
  TO_CLIENT("\x83\1x", "e1002;", "reserved opcode of data");
  TO_CLIENT("\x8b\1x", "e1002;", "reserved opcode of control");
  TO_CLIENT("\x8f\0", "e1002;", "the last one");
  TO_CLIENT("\x09\1x", "e1002;", "fragmented ping");
  TO_CLIENT("\x08\2\3\xe8", "e1002;", "fragmented close");
  TO_CLIENT("\x89\x7e\0\x7e", "e1002;", "ping of 126 bytes");
  TO_CLIENT("\x80\1x", "e1002;", "continuation of nothing");
  TO_CLIENT("\x81\1a\x80\1x", "t:a;e1002;", "continuation of a whole one");
  TO_CLIENT("\1\1a\1\1b", "e1002;", "message inside a message");
  TO_CLIENT("\1\1a\x82\1b", "e1002;", "whole message inside a message");
  TO_CLIENT("\x81\x7e\0\5Hello", "e1002;", "length longer than need be");
  TO_CLIENT("\x81\x7f\0\0\0\0\0\0\xff\xff", "e1009;", "64 KiB announced");
  TO_CLIENT("\x82\x7f\x80\0\0\0\0\0\0\1", "e1009;", "2^63 announced");
  TO_CLIENT("\x82\x7f\x7f\xff\xff\xff\xff\xff\xff\xff", "e1009;",
            "2^63 - 1 announced");
  TO_CLIENT("\x82\x7e\3\xe9", "e1009;", "1001 bytes announced");
  TO_CLIENT("\2\1x\0\x7e\3\xe8", "e1009;", "limit passed by a fragment");
  TO_SERVER("\x82\xff\0\0\0\0\0\1\0\0", "e1009;", "without its mask");
  TO_CLIENT("\x81\1a\x83\1x\x81\1b", "t:a;e1002;", "nothing after an error");
}

static void test_closes(void)
{
  TO_CLIENT("\x88\0", "c1005;", "close without a code");
  TO_CLIENT("\x88\1\3", "e1002;", "half a code");
  TO_CLIENT("\x88\2\3\xe8", "c1000;", "normal close");
  TO_CLIENT("\x88\5\3\xe9" "bye\x81\1x", "c1001:bye;", "nothing after it");
  TO_CLIENT("\x88\4\3\xe8\xc3\xa9", "c1000:\xc3\xa9;", "reason in UTF-8");
  TO_CLIENT("\x88\3\3\xe8\xff", "e1007;", "reason that is not");
  TO_CLIENT("\x88\3\3\xe8\xc3", "e1007;", "reason cut short");
  TO_CLIENT("\1\1a\x88\2\3\xe8", "c1000;", "close inside a message");
}

static void test_close_codes(void)
{
  unsigned code;
  bool good = true;
  for (code = 0; code < 65536 && good; code++) {
    bool valid = code == 1000 || code == 1001 || code == 1002 ||
                 code == 1003 || (code >= 1007 && code <= 1014) ||
                 (code >= 3000 && code < 5000);
    char frame[4] = {(char)0x88, 2, (char)(code >> 8), (char)code};
    char want[32];
    struct gev_bytes out;
    struct story st;
    snprintf(want, sizeof want, valid ? "c%u;" : "e1002;", code);
    story_of(&st, &out, &client, frame, 4, 4);
    gev_bytes_free(&out);
    good = strcmp(st.text, want) == 0 && gev_ws_is_code(code) == valid;
  }
  check(good, "close codes");
}

/* --- UTF-8 --------------------------------------------------------------- */

/* By the table of RFC 3629. */
static bool is_character(const unsigned char *s, size_t len)
{
  uint32_t c;
  if (len == 1) return s[0] < 0x80;
  for (size_t i = 1; i < len; i++)
    if ((s[i] & 0xc0) != 0x80) return false;
  if (len == 2) return s[0] >= 0xc2 && s[0] <= 0xdf;
  if (len == 3) {
    c = (uint32_t)((s[0] & 15) << 12 | (s[1] & 63) << 6 | (s[2] & 63));
    return (s[0] & 0xf0) == 0xe0 && c >= 0x800 && (c < 0xd800 || c > 0xdfff);
  }
  c = (uint32_t)((s[0] & 7) << 18 | (s[1] & 63) << 12 | (s[2] & 63) << 6 |
                 (s[3] & 63));
  return (s[0] & 0xf8) == 0xf0 && c >= 0x10000 && c <= 0x10ffff;
}

static bool is_text(const unsigned char *s, size_t len)
{
  struct gev_utf8 u = {0, 0, 0};
  return gev_utf8_feed(&u, (const char *)s, len) && gev_utf8_whole(&u);
}

static void test_utf8_characters(void)
{
  static const unsigned char edges[] = {0,    0x7f, 0x80, 0x8f, 0x90, 0x9f,
                                        0xa0, 0xbf, 0xc0, 0xff};
  enum { N = sizeof edges };
  unsigned char s[4];
  bool good = true;
  unsigned a, b;
  for (a = 0; a < 65536; a++) {
    s[0] = (unsigned char)(a >> 8);
    s[1] = (unsigned char)a;
    good = good && is_text(s, 1) == is_character(s, 1) &&
           is_text(s, 2) == (is_character(s, 2) ||
                             (is_character(s, 1) && is_character(s + 1, 1)));
    if (s[0] < 0xe0) continue; /* more than two bytes: their edges */
    for (b = 0; b < N * N; b++) {
      s[2] = edges[b / N];
      s[3] = edges[b % N];
      good = good && is_text(s, 4) == (is_character(s, 4) ||
                                       (is_character(s, 3) && s[3] < 0x80));
    }
  }
  check(good, "UTF-8 characters");
}

static void test_utf8_messages(void)
{
  TO_CLIENT("\x81\4\xf0\x9f\x98\x80", "t:\xf0\x9f\x98\x80;", "a character");
  TO_CLIENT("\1\1\xf0\0\1\x9f\0\1\x98\x80\1\x80", "t:\xf0\x9f\x98\x80;",
            "a character over four fragments");
  TO_CLIENT("\x81\x0a" "12345678\xc3\xa9", "t:12345678\xc3\xa9;",
            "a character after eight of ASCII");
  TO_CLIENT("\x81\x0a" "1234567\xc3\xa9" "9", "t:1234567\xc3\xa9" "9;",
            "across eight bytes");
  TO_CLIENT("\x81\1\xf0", "e1007;", "a character cut short");
  TO_CLIENT("\1\1\xf0\x80\0", "e1007;", "the same in fragments");
  TO_CLIENT("\x81\2\xc0\xaf", "e1007;", "overlong");
  TO_CLIENT("\x81\3\xed\xa0\x80", "e1007;", "surrogate");
  TO_CLIENT("\x81\4\xf4\x90\x80\x80", "e1007;", "above U+10FFFF");
  TO_CLIENT("\1\2\xc3\x28\x80\1", "e1007;", "known before the message ends");
  TO_CLIENT("\x81\x14\xce\xba\xff", "e1007;", "known before the frame ends");
  TO_CLIENT("\x82\2\xc3\x28", "b:\xc3\x28;", "binary data is not text");
  TO_CLIENT("\1\1\xf0\x89\1\xff\0\1\x9f\x80\2\x98\x80",
            "t:\xf0\x9f\x98\x80;", "a ping does not disturb it");
}

/* --- compression --------------------------------------------------------- */

static void test_inflate(void)
{
  TO_PACKING("\xc1\7\xf2\x48\xcd\xc9\xc9\7\0", "t:Hello;", "RFC: one block");
  TO_PACKING("\x41\3\xf2\x48\xcd\x80\4\xc9\xc9\7\0", "t:Hello;",
             "RFC: two fragments");
  TO_PACKING("\xc1\7\xf2\x48\xcd\xc9\xc9\7\0\xc1\5\xf2\0\x11\0\0",
             "t:Hello;t:Hello;", "RFC: the window is kept");
  TO_PACKING("\xc1\x0b\0\5\0\xfa\xffHello\0", "t:Hello;", "RFC: stored");
  TO_PACKING("\xc1\x08\xf3\x48\xcd\xc9\xc9\7\0\0", "t:Hello;",
             "RFC: a final block");
  TO_PACKING("\xc1\x0d\xf2\x48\5\0\0\0\xff\xff\xca\xc9\xc9\7\0", "t:Hello;",
             "RFC: two blocks");
  TO_PACKING("\x81\5Hello\xc1\7\xf2\x48\xcd\xc9\xc9\7\0", "t:Hello;t:Hello;",
             "one that is not compressed");
  TO_PACKING("\xc1\1\0", "t:;", "empty");
  TO_PACKING("\x41\3\xf2\x48\xcd\xc0\4\xc9\xc9\7\0", "e1002;",
             "RSV1 in a continuation");
  TO_PACKING("\xc9\0", "e1002;", "RSV1 in a ping");
  TO_PACKING("\xc1\3\xff\xff\xff", "e1007;", "what deflate never makes");
  TO_PACKING("\xc1\3\xf2\x48\xcd", "e1007;", "cut inside a block");
  TO_PACKING("\xc2\x7e\4\xa6", "e1009;", "more than the limit can become");
}

static bool roundtrip(struct gev_ws *a, struct gev_ws *b, bool text,
                      const char *s, size_t len, size_t part)
{
  size_t at, n, used = 0;
  enum gev_ws_event ev;
  for (at = 0; at < len || len == 0; at += n) {
    n = part < len - at ? part : len - at;
    if (gev_ws_send(a, text, s + at, n, part >= len) != GEV_WS_SENT)
      return false;
    if (len == 0) break;
  }
  if (part < len && gev_ws_send(a, text, "", 0, true) != GEV_WS_SENT)
    return false;
  n = gev_bytes_count(&a->out);
  ev = gev_ws_feed(b, a->out.data + a->out.off, n, &used);
  gev_ws_written(a, n);
  return ev == GEV_WS_MESSAGE && used == n && b->text == text &&
         b->data_len == len && memcmp(b->data, s, len) == 0;
}

static void test_roundtrips(void)
{
  static const size_t sizes[] = {0, 1, 2, 125, 126, 127, 4096, 65535, 65536,
                                 100000};
  static const size_t fragments[] = {0, 1000};
  char *data = malloc(100000);
  unsigned bits, mode;
  for (size_t i = 0; i < 100000; i++)
    data[i] = (char)('a' + (i * 7919 + i / 100) % 23);
  for (mode = 0; mode < 32; mode++) {
    bool good = true;
    struct gev_ws a, b;
    for (bits = 8; bits <= 15 && good; bits += mode & 1 ? 1 : 8) {
      struct gev_ws_deflate_config there = {(int)bits, 15, mode & 2, mode & 4,
                                            6};
      struct gev_ws_deflate_config back = {15, (int)bits, mode & 4, mode & 2,
                                           6};
      struct gev_ws_config one = {mode & 8, 1 << 20, fragments[mode >> 4],
                                  mode & 1 ? &there : NULL};
      struct gev_ws_config two = {!(mode & 8), 1 << 20, 0,
                                  mode & 1 ? &back : NULL};
      good = gev_ws_init(&a, &one) && gev_ws_init(&b, &two);
      for (size_t i = 0; i < sizeof sizes / sizeof *sizes && good; i++)
        good = roundtrip(&a, &b, i & 1, data, sizes[i], sizes[i]) &&
               roundtrip(&a, &b, i & 1, data, sizes[i], 1 + sizes[i] / 3) &&
               roundtrip(&b, &a, true, data, sizes[i], sizes[i]);
      gev_ws_free(&a);
      gev_ws_free(&b);
    }
    check(good, "what one end sends the other receives");
  }
  free(data);
}

static void test_bomb(void)
{
  struct gev_ws_config big = {true, 1 << 24, 0, &plain};
  struct gev_ws_config small = {false, 10000, 0, &plain};
  struct gev_ws a, b;
  size_t used, n = 1 << 23;
  char *zeros = calloc(1, n);
  gev_ws_init(&a, &big);
  gev_ws_init(&b, &small);
  gev_ws_send(&a, false, zeros, n, true);
  check(gev_bytes_count(&a.out) < 10000, "8 MiB of zeros are small");
  check(gev_ws_feed(&b, a.out.data, gev_bytes_count(&a.out), &used) ==
        GEV_WS_ERROR && b.code == 1009, "a bomb does not go off");
  check(b.message.cap < 100000, "nor does it take memory");
  gev_ws_free(&a);
  gev_ws_free(&b);
  free(zeros);
}

/* --- what goes out ------------------------------------------------------- */

static bool out_is(struct gev_ws *ws, const char *want, size_t len)
{
  bool good = gev_bytes_count(&ws->out) == len &&
              memcmp(ws->out.data + ws->out.off, want, len) == 0;
  gev_ws_written(ws, gev_bytes_count(&ws->out));
  return good;
}

static void test_output(void)
{
  struct gev_ws ws;
  struct gev_ws_config pieces = {true, 1000, 3, NULL};
  gev_ws_init(&ws, &server);
  gev_ws_send(&ws, true, "Hello", 5, true);
  check(out_is(&ws, "\x81\5Hello", 7), "a text");
  gev_ws_send(&ws, false, "\xff", 1, true);
  check(out_is(&ws, "\x82\1\xff", 3), "data");
  check(gev_ws_send(&ws, true, "a\xc3", 2, true) == GEV_WS_NOT_UTF8 &&
        gev_bytes_count(&ws.out) == 0, "a text that is none stays here");
  gev_ws_send(&ws, true, "a\xc3", 2, false);
  gev_ws_ping(&ws, "p", 1);
  gev_ws_send(&ws, true, "", 0, false);
  gev_ws_send(&ws, true, "\xa9", 1, true);
  check(out_is(&ws, "\1\2a\xc3\x89\1p\x80\1\xa9", 10), "in parts");
  gev_ws_close(&ws, 1000, "bye", 3);
  check(out_is(&ws, "\x88\5\3\xe8" "bye", 7), "a close");
  check(gev_ws_send(&ws, true, "x", 1, true) == GEV_WS_CLOSING &&
        gev_ws_ping(&ws, "", 0) == GEV_WS_CLOSING &&
        gev_ws_close(&ws, 1000, "", 0) == GEV_WS_CLOSING &&
        gev_bytes_count(&ws.out) == 0, "nothing after it");
  gev_ws_free(&ws);
  gev_ws_init(&ws, &pieces);
  gev_ws_send(&ws, false, "12345678", 8, true);
  check(out_is(&ws, "\2\003123\0\003456\x80\00278", 14), "in small frames");
  gev_ws_free(&ws);
}

static void test_pongs(void)
{
  struct gev_ws ws;
  size_t used, most = 0;
  char ping[6] = {(char)0x89, 4, 0, 0, 0, 0};
  gev_ws_init(&ws, &client);
  ws.server = false;
  for (uint32_t i = 0; i < 100000; i++) {
    memcpy(ping + 2, &i, 4);
    gev_ws_feed(&ws, ping, sizeof ping, &used);
    if (gev_bytes_count(&ws.out) > most) most = gev_bytes_count(&ws.out);
  }
  check(most < 2 * GEV_WS_PONG_ROOM, "a flood of pings takes no memory");
  used = gev_bytes_count(&ws.out);
  gev_ws_written(&ws, used - 1);
  check(gev_bytes_count(&ws.out) == 1, "it waits until all is out");
  gev_ws_written(&ws, 1);
  check(gev_bytes_count(&ws.out) == 10, "then the last one is answered");
  gev_ws_written(&ws, 10);
  check(gev_bytes_count(&ws.out) == 0 && ws.out.data == NULL,
        "and nothing is left");
  gev_ws_free(&ws);
  gev_ws_init(&ws, &server);
  gev_ws_feed(&ws, "\x89\x81\0\0\0\0p", 7, &used);
  check(out_is(&ws, "\x8a\1p", 3), "a pong");
  gev_ws_close(&ws, 1000, "", 0);
  gev_ws_written(&ws, gev_bytes_count(&ws.out));
  gev_ws_feed(&ws, "\x89\x81\0\0\0\0p", 7, &used);
  check(gev_bytes_count(&ws.out) == 0, "none after a close");
  gev_ws_feed(&ws, "\x88\x82\0\0\0\0\3\xe8", 8, &used);
  check(ws.close_received && gev_bytes_count(&ws.out) == 0,
        "nor a second close");
  gev_ws_free(&ws);
}

static void test_answers(void)
{
  struct gev_ws ws;
  size_t used;
  gev_ws_init(&ws, &server);
  gev_ws_feed(&ws, "\x88\x82\0\0\0\0\3\xe9", 8, &used);
  check(out_is(&ws, "\x88\2\3\xe9", 4), "a close is answered in kind");
  gev_ws_free(&ws);
  gev_ws_init(&ws, &server);
  gev_ws_feed(&ws, "\x81\1x", 3, &used);
  check(out_is(&ws, "\x88\x16\3\xea" "frame without a mask", 24),
        "an error is told");
  gev_ws_free(&ws);
}

int main(void)
{
  test_messages();
  test_violations();
  test_closes();
  test_close_codes();
  test_utf8_characters();
  test_utf8_messages();
  test_inflate();
  test_roundtrips();
  test_bomb();
  test_output();
  test_pongs();
  test_answers();
  return report();
}
