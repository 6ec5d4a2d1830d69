/* gevent.c - opens the private module gevent._core: a table of what each
 * layer offers to the Lua half. The public modules are Lua, over this. */
#include <lauxlib.h>
#include <lua.h>

#include "base/except.h"
#include "base/frozen.h"
#include "core/coroutine.h"
#include "core/greenlet.h"
#include "core/guard.h"
#include "core/hub.h"
#include "core/inspect.h"
#include "core/multiwait.h"
#include "core/scope.h"
#include "core/settings.h"
#include "core/sleep.h"
#include "core/timeout.h"
#include "io/fdwait.h"
#include "io/file.h"
#include "io/fork.h"
#include "io/monitor.h"
#include "io/poller.h"
#include "io/posix.h"
#include "io/process.h"
#include "io/signals.h"
#include "io/stdio.h"
#include "io/threadpool.h"
#include "io/watcher.h"
#include "net/ares.h"
#include "net/constants.h"
#include "net/luasocket.h"
#include "net/namepool.h"
#include "net/resolve.h"
#include "net/socket.h"
#include "net/tls.h"
#include "proto/http_exchange.h"
#include "proto/http_server.h"
#include "proto/ws_object.h"
#include "sync/event.h"
#include "sync/queue.h"
#include "sync/semaphore.h"

/* Each adds its names to the table on the top; the hub's userdata, the first
 * upvalue of every function, is at the index given. */
typedef void (*opener)(lua_State *L, int hub);

static const opener openers[] = {
    gev_open_frozen,
    gev_open_greenlet,
    gev_open_timeout,
    gev_open_sleep,
    gev_open_guard,
    gev_open_coroutine,
    gev_open_multiwait,
    gev_open_settings,
    gev_open_scope,
    gev_open_inspect,
    gev_open_event,
    gev_open_semaphore,
    gev_open_queue,
    gev_open_fdwait,
    gev_open_poller,
    gev_open_file,
    gev_open_posix,
    gev_open_process,
    gev_open_signals,
    gev_open_fork,
    gev_open_stdio,
    gev_open_monitor,
    gev_open_threadpool,
    gev_open_watcher,
    gev_open_socket,
    gev_open_resolve,
    gev_open_namepool,
    gev_open_ares,
    gev_open_constants,
    gev_open_luasocket,
    gev_open_tls,
    gev_open_http_server,
    gev_open_websocket,
    gev_open_http_exchange,
};

__attribute__((visibility("default"))) int luaopen_gevent__core(lua_State *L);

static const char core_key = 0;

int luaopen_gevent__core(lua_State *L) {
  luaL_checkversion(L);
  lua_settop(L, 0);
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &core_key) == LUA_TTABLE) return 1;
  lua_settop(L, 0); /* one hub per state, however often it is required */
  struct gev_hub *h = gev_hub_new(L);
  lua_newtable(L);
  gev_open_except(L);
  for (size_t i = 0; i < sizeof openers / sizeof *openers; i++)
    openers[i](L, 1);
  gev_greenlet_newmain(L, h);
  gev_sentinel_renew(h);
  lua_pushvalue(L, 1);
  lua_setfield(L, -2, "hub");
  lua_getiuservalue(L, 1, 1); /* what Lua keeps in the hub */
  lua_setfield(L, -2, "hubfields");
  lua_pushvalue(L, -1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &core_key);
  return 1;
}
