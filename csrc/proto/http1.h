/*
** Pure protocol layer, no Lua, no libuv: the parser of HTTP/1 messages,
** requests for servers and responses for clients. Bytes go in by
** gev_h1_feed(), events come out; it does no I/O.
**
** llhttp reads the head and the trailers; this parser keeps the raw lines
** and checks that nothing but the strict grammar can have produced them (CRLF
** line ends, no folding, single spaces), then decides the framing by itself:
** Content-Length and chunked bodies are its own code. All that RFC 9112
** lets us refuse is refused, for a message must mean the same to us as to any
** proxy between us and the peer.
**
** Owns: one malloc'ed block while a message is being read, which holds the
** bytes of the head and of the trailers and where the fields are in them; an
** idle parser owns nothing. gev_h1_next() and gev_h1_free() release it.
** The result never depends on how the input was cut into pieces.
*/
#ifndef GEV_HTTP1_H
#define GEV_HTTP1_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <llhttp.h>

#define GEV_H1_MAX_LINE 8192u /* request line with its CRLF: 414 */
#define GEV_H1_MAX_HEAD 32768u /* request line and all fields: 431 */
#define GEV_H1_MAX_FIELD 8190u /* one field line with its CRLF: 431 */
#define GEV_H1_MAX_FIELDS 100u /* fields and trailers together: 431 */
#define GEV_H1_MAX_EXT 16384u /* chunk extensions of a message: 413 */
#define GEV_H1_MAX_TRAILERS 16384u /* trailer section: 431 */
#define GEV_H1_NO_LIMIT UINT64_MAX /* for max_body */

enum gev_h1_event {
  GEV_H1_MORE, /* all was taken; the message goes on */
  GEV_H1_HEAD, /* first line and fields are complete and accepted */
  GEV_H1_BODY, /* p->chunk, p->chunk_len: a piece of the body */
  GEV_H1_DONE, /* the message is complete, trailers included */
  GEV_H1_ERROR /* answer p->status and close; p->error tells why */
};

/* What is parsed. The method decides whether a response has a body. */
enum gev_h1_kind {
  GEV_H1_REQUEST,
  GEV_H1_RESPONSE,
  GEV_H1_TO_HEAD, /* a response to HEAD */
  GEV_H1_TO_CONNECT /* a response to CONNECT */
};

struct gev_h1_limits {
  uint32_t max_line;
  uint32_t max_head;
  uint32_t max_field;
  uint32_t max_fields;
  uint32_t max_ext;
  uint32_t max_trailers;
  uint64_t max_body; /* 413; GEV_H1_NO_LIMIT for none */
};

/* The limits above, and no limit for the body. */
extern const struct gev_h1_limits gev_h1_default_limits;

struct gev_h1_span {
  uint32_t off;
  uint32_t len;
};

struct gev_h1 {
  /* What a caller may read, from HEAD to gev_h1_next(). */
  uint64_t content_length; /* 0 without the field */
  const char *chunk; /* BODY: points into the data just fed */
  size_t chunk_len;
  const char *error; /* ERROR: a constant string, else NULL */
  uint16_t status; /* ERROR: what to answer, else 0 */
  uint8_t major; /* 1 */
  uint8_t minor; /* 0 or 1 */
  uint16_t code; /* of a response: 100 to 999 */
  uint32_t nfields; /* fields of the head */
  uint32_t ntrailers; /* at DONE: fields nfields .. nfields+ntrailers-1 */
  bool keep_alive; /* the peer lets the connection stay open */
  bool upgrade; /* asks for another protocol (Connection: upgrade) */
  bool connect; /* the method is CONNECT */
  bool chunked;
  bool has_length; /* there is a Content-Length */
  bool has_body; /* chunked, or content_length > 0, or until_close */
  bool until_close; /* of a response: its body ends with the connection */
  bool expect_continue; /* waits for "100 Continue" before its body */

  /* Private. */
  uint8_t kind;
  uint8_t state;
  uint8_t blank; /* empty lines in front of the request, times 2, + CR */
  uint8_t digits; /* of the chunk size, so far */
  uint8_t strange; /* where in the request line: http1_strange.c */
  uint32_t ext; /* bytes of chunk extensions, so far */
  uint32_t len; /* bytes of text in buf */
  uint32_t cap; /* size of buf */
  uint32_t room; /* bytes of buf between text and fields */
  uint32_t count; /* of fields begun, beyond the limit too */
  uint32_t mark; /* where the trailers start in the text */
  uint32_t stop; /* value of len at which the limit is reached */
  char *buf; /* text grows up from its start, fields down from its end */
  const char *from; /* what llhttp is reading */
  uint64_t left; /* of the body or of the chunk */
  uint64_t total; /* body bytes announced by chunks, so far */
  const struct gev_h1_limits *limits;
  struct gev_h1_span target, authority, path; /* of a request */
  struct gev_h1_span phrase; /* of a response */
  uint32_t method_len;
  llhttp_t ll;
};

/* `limits` is kept, not copied; NULL means the default ones. */
void gev_h1_init(struct gev_h1 *p, const struct gev_h1_limits *limits);

/*
** The same for responses. Interim ones (1xx) are messages of their own: HEAD,
** then DONE; gev_h1_next() makes ready for the one after it.
*/
void gev_h1_init_response(struct gev_h1 *p, enum gev_h1_kind kind,
                          const struct gev_h1_limits *limits);

/*
** Takes up to len bytes, *used of them, and stops after the first event.
** Call it again with the rest (maybe of length 0) until it says MORE. After
** DONE it stays at DONE, and *used is where the next message starts; after
** ERROR it stays at ERROR. No span of this struct survives the call as a
** pointer: ask for it again.
*/
enum gev_h1_event gev_h1_feed(struct gev_h1 *p, const char *data, size_t len,
                              size_t *used);

/*
** The input has ended: DONE if that ends a body or it was over before, else
** ERROR.
*/
enum gev_h1_event gev_h1_end(struct gev_h1 *p);

/* Ready for the next message of the connection; keeps nothing of this one. */
void gev_h1_next(struct gev_h1 *p);

/* Releases all; harmless when repeated, and on a struct full of zeros. */
void gev_h1_free(struct gev_h1 *p);

/* Between messages: an end of input here is a clean one. */
bool gev_h1_idle(const struct gev_h1 *p);

/* Parts of the head; all pointers are valid until the next call of feed(). */
const char *gev_h1_method(const struct gev_h1 *p, size_t *len);
const char *gev_h1_target(const struct gev_h1 *p, size_t *len);

/*
** The target without scheme and authority. May be empty or begin with "?"
** when the target is in absolute form; is "*" for "*", empty for CONNECT.
*/
const char *gev_h1_path(const struct gev_h1 *p, size_t *len);

/* Host and port in the target, if it has them, else of length 0. */
const char *gev_h1_authority(const struct gev_h1 *p, size_t *len);

/* The reason phrase of a response; may be empty. */
const char *gev_h1_phrase(const struct gev_h1 *p, size_t *len);

/* Field i, 0 <= i < nfields + ntrailers; values are without blanks around. */
const char *gev_h1_name(const struct gev_h1 *p, uint32_t i, size_t *len);
const char *gev_h1_value(const struct gev_h1 *p, uint32_t i, size_t *len);

/*
** The first field of the head at index `from` or after it with this name,
** which the caller writes in lower case; -1 if there is none.
*/
int gev_h1_find(const struct gev_h1 *p, const char *lower, uint32_t from);

#endif
