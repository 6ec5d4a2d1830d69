/* proto/http_conn.h - layer: proto. The server's side of an HTTP/1
 * connection: what the http_*.c files share among them and with nobody else.
 *
 *   http_conn.c     settings and connections as Lua objects
 *   http_serve.c    the loop: read a head, call the handler, answer
 *   http_request.c  the request as the handler sees it
 *   http_body.c     its body
 *   http_result.c   what handlers return
 *   http_compose.c  the head of an answer
 *   http_hold.c     answers that wait for the next one
 *   http_response.c the answer as the handler writes it
 *   http_headers.c  the fields of either
 *   http_encode.c   compression of answers
 *   http_file.c     files for answers
 *   http_form.c     forms and dates: parsers for lua/gevent/http
 *
 * A connection is driven by one greenlet, in conn:serve. The objects that a
 * handler gets hold the connection and the serial number of their request:
 * once that is over they answer "closed". The head is copied into the request
 * object, so that its fields stay readable for as long as somebody has it. */
#ifndef GEV_PROTO_HTTP_CONN_H
#define GEV_PROTO_HTTP_CONN_H

#include "io/stream.h"
#include "proto/http1.h"
#include "proto/http1_write.h"

enum { GEV_HTTP_DATE_LINE = GEV_H1_DATE_LEN + 8 }; /* "Date: " and CRLF */

/* Of a server, shared by its connections; made once from a table. Times are
 * nanoseconds, GEV_NEVER for none. User value 1: function(res, body) that
 * writes the parts of a body which an iterator gives. */
struct gev_http_settings {
  const struct gev_class *cls;
  struct gev_h1_limits limits;
  int64_t header_timeout, body_timeout, keepalive_timeout, write_timeout;
  uint64_t max_requests;
  bool stopping; /* each answer is the last of its connection */
  bool log;      /* conn:serve returns after each answer */
  bool compress; /* answers that are worth it, at this level, */
  int compress_level;
  int64_t compress_min; /* unless they are smaller than this */
  int64_t date_until; /* when the line below is out of date */
  char date[GEV_HTTP_DATE_LINE];
};

enum gev_http_state {
  GEV_HTTP_READING,  /* a head */
  GEV_HTTP_CALLING,  /* the handler */
  GEV_HTTP_WRITING,  /* an answer; `after` comes next */
  GEV_HTTP_ANSWERED, /* the request is over */
  GEV_HTTP_NEXT,     /* the same, and it is in the log */
  GEV_HTTP_DRAINING, /* what is left of its body */
  GEV_HTTP_LINGERING, /* no more output; input is thrown away */
  GEV_HTTP_OVER,
};

/* User values: 1 the stream's userdata, 2 the settings, 3 and 4 the peer's
 * host and port, 5 the message of the last failure, 6 the scheme, 7 the request
 * that is to be logged, or whose end Lua wants to know of. */
enum { GEV_HTTP_UV_LOGGED = 7 };
struct gev_http_conn {
  const struct gev_class *cls;
  struct gev_stream *s;
  struct gev_http_settings *set;
  uint64_t serial; /* of the request at hand */
  int64_t now;     /* the clock when the last answer began */
  int64_t due;     /* deadline of the state */
  int64_t budget;  /* for how long the body may still be waited for */
  int64_t waiting; /* since when it is */
  struct gev_bytes in;  /* of the body: decoded, not asked for */
  struct gev_bytes held; /* answers that are complete, to go out first */
  struct gev_flusher flusher; /* sends these */
  struct gev_bytes out; /* of the answer: not taken by the stream */
  int text;             /* after it: the string at this stack index, */
  size_t text_off, text_len;
  const char *tail;     /* and these bytes */
  size_t tail_len;
  uint64_t sent;     /* bytes of the answer's body */
  uint64_t declared; /* of its Content-Length: still to come */
  size_t drained;    /* bytes of the request's body thrown away */
  uint16_t status;   /* of the answer */
  uint16_t fail;     /* the body could not be read: what to answer */
  struct gev_zstream *z; /* compresses the body; NULL where nothing does */
  uint8_t state, after;
  uint8_t accepts; /* the coding that the client likes best; 0: none */
  bool idle;      /* waits for the first byte of a request */
  bool late_head; /* waits for the rest of a head */
  bool body_done; /* the request is read to its end */
  bool expect;    /* "100 Continue" is due before the body */
  bool head;      /* the method is HEAD */
  bool http10, keep_alive;
  bool close;     /* no further request after this one */
  bool begun;     /* the head of the answer is out */
  bool finished;  /* the answer is complete */
  bool chunked;   /* it goes out in chunks */
  bool counted;   /* it has a Content-Length that was told beforehand */
  bool bodyless;  /* nothing follows its head */
  bool writing;   /* part of a write is still to go: nothing may overtake */
  bool stale;     /* the answer took its time: `now` is past */
  bool broken;    /* the client is gone, or a write was cut short */
  bool taken;     /* the handler has the stream: not ours any more */
  bool noted;     /* Lua wants to know when the request is over */
  struct gev_h1 h1;
};

struct gev_http_field {
  struct gev_h1_span name, value;
};

/* User values: 1 the connection, 2 the headers object, 3 a table of what the
 * handler has set, 4 the body that was read as a whole. Spans refer to the
 * text, which follows the fields. */
struct gev_http_req {
  const struct gev_class *cls;
  struct gev_http_conn *c;
  uint64_t serial;
  struct gev_h1_span method, target, path, query, authority;
  uint32_t nfields;
  bool has_query, http10;
  struct gev_http_field fields[];
};

/* User values: 1 the request, 2 and 3 as above. */
struct gev_http_res {
  const struct gev_class *cls;
  struct gev_http_conn *c;
  uint64_t serial;
  uint16_t status;
  bool has_headers, has_extra;
};

enum {
  GEV_HTTP_UV_CONN = 1,
  GEV_HTTP_UV_HEADERS,
  GEV_HTTP_UV_EXTRA,
  GEV_HTTP_UV_BODY,
};
enum { GEV_HTTP_FAILED = -100010 }; /* beside GEV_WANT_*: see c->fail */

extern const struct gev_class gev_http_conn_class, gev_http_settings_class,
    gev_http_req_class, gev_http_res_class, gev_http_headers_class;

/* --- http_conn.c --------------------------------------------------------- */

/* Notes what is told to whoever failed, for the connection of the request or
 * response at `self`; pops the message on the top. */
void gev_http_set_failure(lua_State *L, struct gev_http_conn *c, int self);
/* Brings c->now and the Date line up to date. */
void gev_http_tick(struct gev_http_conn *c);

/* --- http_serve.c -------------------------------------------------------- */

/* conn:serve(handle [, status]): serves requests until something comes up
 * that is for Lua to decide. Nothing: the connection is over. "error", err,
 * traceback: the handler failed; call it again with the status to answer.
 * "log", req or nil, status, bytes: a request is over; call it again. */
int gev_http_serve(lua_State *L);

/* --- http_result.c ------------------------------------------------------- */

/* Joins the list of strings at idx in its place. False: it is none; pushes
 * why. */
bool gev_http_join(lua_State *L, int idx);
bool gev_http_is_status(lua_State *L, int idx);
/* What stands for headers: its index, 0 for nothing, -1 for what cannot. */
int gev_http_as_headers(lua_State *L, int idx);

/* --- http_request.c ------------------------------------------------------ */

/* Pushes the request whose head is in c->h1; the connection is at index 1,
 * the class at `class`. NULL, with nothing pushed: its path is not properly
 * escaped. */
struct gev_http_req *gev_http_req_new(lua_State *L, struct gev_http_conn *c,
                                      int class);
void gev_http_push_req_class(lua_State *L);
static inline const char *gev_http_text(const struct gev_http_req *r,
                                        struct gev_h1_span span) {
  return (const char *)(r->fields + r->nfields) + span.off;
}
/* __newindex of what is no field: into the table of the handler's own. */
int gev_http_set_extra(lua_State *L);

/* --- http_body.c --------------------------------------------------------- */

/* Adds to c->in what the stream has, or sees the end: 1. Else GEV_WANT_*,
 * GEV_HTTP_FAILED, or -errno. */
ssize_t gev_http_fill(struct gev_hub *h, struct gev_http_conn *c);
extern const luaL_Reg gev_http_body_methods[]; /* of requests */

/* --- http_compose.c ------------------------------------------------------ */

/* Room for a head and a small body; more goes to c->out. */
struct gev_http_head {
  char *base, *at, *end;
  struct gev_http_conn *c;
  lua_State *L;
  const char *error; /* a string on the stack, or a constant */
  const char *coding; /* Content-Encoding; a tag becomes a weak one */
  int skip;          /* fields of the headers at this index: leave out */
  int trailers;      /* index of their lines as a string; 0: none */
  bool raw;          /* Connection goes out as it is: 101 */
  bool has_date, has_type, has_length, close;
  uint64_t length;   /* told by the handler */
  char room[4096];
};

/* What an answer consists of: stack indices, 0 for none. */
struct gev_http_answer {
  unsigned status;
  int reason;  /* string */
  int headers; /* table or headers object: what the handler returned */
  int own;     /* headers object of res */
  int64_t length; /* of the body; -1: not known beforehand */
  const char *coding; /* of the body; NULL for none */
  bool vary; /* it depends on what the client accepts */
};

/* Composes the head into `o`, decides on framing and on closing. False, with
 * o->error set and nothing of the answer begun: a field is not acceptable. */
bool gev_http_compose(struct gev_http_head *o, lua_State *L,
                      struct gev_http_conn *c,
                      const struct gev_http_answer *a);
void gev_http_head_init(struct gev_http_head *o, lua_State *L,
                        struct gev_http_conn *c);
void gev_http_add(struct gev_http_head *o, const char *s, size_t n);
/* Replaces the table or headers object at idx by its lines. Raises on what may
 * not be a trailer. */
void gev_http_trailers(lua_State *L, int idx);

/* --- http_hold.c --------------------------------------------------------- */

/* Keeps the answer in `o`, with the string at index `text` (0: none) as its
 * body, for the next write. False: it has to go out now. To be asked only where
 * more input is there. */
bool gev_http_hold(lua_State *L, struct gev_http_head *o, int text);
/* Writes c->held. 0, GEV_WANT_*, or the failure. */
ssize_t gev_http_send_held(struct gev_http_conn *c);
void gev_http_hold_init(struct gev_http_conn *c);
void gev_http_hold_end(struct gev_http_conn *c);

/* --- http_response.c ----------------------------------------------------- */

/* As gev_http_req_new, for the request at `req`. */
void gev_http_res_new(lua_State *L, struct gev_http_conn *c, int class,
                      int req);
void gev_http_push_res_class(lua_State *L);
/* The answer that the response at index `res` describes so far; what it is
 * made of is pushed. */
void gev_http_describe(lua_State *L, int res, struct gev_http_answer *a);
/* Writes what `o` holds, then the string at index `text` (0: none) and the
 * tail. 0: all is out; GEV_WANT_*: call gev_http_flush when it is there; else
 * the failure. */
ssize_t gev_http_put(lua_State *L, struct gev_http_head *o, int text,
                     const char *tail, size_t tail_len);
ssize_t gev_http_flush(lua_State *L, struct gev_http_conn *c);
/* A whole answer, as handlers return it; `body` is the index of a string, 0
 * for none. Results as above; FAILED: o.error, which is pushed. */
ssize_t gev_http_answer_whole(lua_State *L, struct gev_http_conn *c,
                              struct gev_http_answer *a, int body);
/* The deadline of a wait for the client to read. */
int64_t gev_http_write_deadline(const struct gev_http_conn *c);

/* Writes the string at idx as a part of the body; the last one if so. Results
 * as of gev_http_put. Raises where it is not what was announced. */
ssize_t gev_http_put_part(lua_State *L, struct gev_http_conn *c,
                          struct gev_http_head *o, int idx, bool last);

/* --- http_encode.c: for servers with set->compress ----------------------- */

/* Notes what the client of the request in c->h1 accepts. */
void gev_http_accept(struct gev_http_conn *c);
/* Decides how a whole answer goes out, whose body is the string at `body` (0:
 * none), and notes it in *a. Returns where the body to send is; pushes it. */
int gev_http_encode_whole(lua_State *L, struct gev_http_conn *c,
                          struct gev_http_answer *a, int body);
/* The same for one that goes out in parts: where c->z is set then, each part
 * has to go through gev_http_encode, which pushes what to send. */
void gev_http_encode_stream(lua_State *L, struct gev_http_conn *c,
                            struct gev_http_answer *a);
void gev_http_encode(lua_State *L, struct gev_http_conn *c, int idx,
                     bool last);
void gev_http_encode_end(struct gev_http_conn *c);

/* --- http_headers.c ------------------------------------------------------ */

/* Pushes a headers object: a view of the request at `req`, or empty (0). */
void gev_http_headers_new(lua_State *L, int req);
/* Pushes one with a copy of the fields of p's head. */
void gev_http_headers_copy(lua_State *L, const struct gev_h1 *p);
/* Pushes one made from the table at idx. Raises on what is no header. */
void gev_http_headers_from(lua_State *L, int idx);
/* Pushes one with the trailers of a message that is DONE. */
void gev_http_headers_trailers(lua_State *L, const struct gev_h1 *p);
/* Field i (from 1) of the headers object at idx; false: there is none. */
bool gev_http_headers_at(lua_State *L, int idx, lua_Integer i,
                         const char **name, size_t *name_len,
                         const char **value, size_t *value_len);
/* Does the headers object or plain table at idx have a field of this name? */
bool gev_http_headers_has(lua_State *L, int idx, const char *name,
                          size_t len);
/* The first value of that name, NULL if there is none. It belongs to a string
 * in there. */
const char *gev_http_headers_get(lua_State *L, int idx, const char *name,
                                 size_t len, size_t *value_len);
/* The same name, whatever the case? */
bool gev_http_same(const char *a, const char *b, size_t len);

/* --- openers ------------------------------------------------------------- */

void gev_open_http_request(lua_State *L, int hub);
void gev_open_http_response(lua_State *L, int hub);
void gev_open_http_headers(lua_State *L, int hub);
void gev_open_http_file(lua_State *L, int hub);
void gev_open_http_form(lua_State *L, int hub);

#endif
