-- Loading every module.
local MODULES = {
  "gevent", "gevent.backdoor", "gevent.config", "gevent.core",
  "gevent.coroutine", "gevent.event", "gevent.events", "gevent.http",
  "gevent.http.file", "gevent.http.form", "gevent.http.multipart",
  "gevent.http.router", "gevent.local", "gevent.lock", "gevent.metrics",
  "gevent.nursery", "gevent.pool", "gevent.queue", "gevent.resolver",
  "gevent.select", "gevent.server", "gevent.socket", "gevent.ssl",
  "gevent.threadpool", "gevent.time", "gevent.util",
}

return function()
  for _, name in ipairs(MODULES) do
    if name ~= "gevent.core" or package.searchpath(name, package.path) then
      require(name)
    end
  end
end
