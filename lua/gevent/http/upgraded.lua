-- gevent.http.upgraded: connections that have left HTTP for another protocol
-- (private): stream -> an object with two methods. The server calls
-- `_handled(failed)` when the handler that took the stream over is done, and may
-- block in it; `_stop()` when it is to stop.
return setmetatable({}, {__mode = "k"})
