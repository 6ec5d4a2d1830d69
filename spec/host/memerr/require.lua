-- Loading every module.
local MODULES = {
  "gevent", "gevent.backdoor", "gevent.config", "gevent.core",
  "gevent.coroutine", "gevent.event", "gevent.events", "gevent.fileobject",
  "gevent.http", "gevent.http.client", "gevent.http.cookies",
  "gevent.http.file", "gevent.http.form", "gevent.http.multipart",
  "gevent.http.router", "gevent.local", "gevent.lock", "gevent.metrics",
  "gevent.monkey", "gevent.monkey.io", "gevent.monkey.socket",
  "gevent.monkey.ssl", "gevent.nursery", "gevent.os", "gevent.pool",
  "gevent.queue", "gevent.resolver", "gevent.select", "gevent.server",
  "gevent.signal", "gevent.socket", "gevent.ssl", "gevent.subprocess",
  "gevent.systemd", "gevent.threadpool", "gevent.time", "gevent.util",
  "gevent.websocket", "gevent.workers", "gevent.wsapi",
}

return function()
  for _, name in ipairs(MODULES) do
    if name ~= "gevent.core" or package.searchpath(name, package.path) then
      require(name)
    end
  end
end
