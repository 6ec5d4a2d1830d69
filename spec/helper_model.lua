-- Random programs against a sequential model (for model_spec).
--
-- A program is a list of steps that the main greenlet takes; some of them spawn
-- actors, greenlets that make one call each. The model is told of every call
-- when it begins, in the order in which the hub runs them, and says at once how
-- it ends or that it waits. What the model says must then have happened: to
-- each actor, and to what can be seen of the object.

local gevent = require "gevent"
local helper = require "helper"
local sync = require "helper_sync"

local TIMEOUT = 0.0002 * helper.scale -- of actors that are to expire

local Program = {}
Program.__index = Program

function Program:say(...)
  self.log[#self.log + 1] = (string.format(...))
end

--- An actor that will call `call(timeout, actor)`. `begin(actor)` tells the
-- model; it calls `finish`, or `wait`.
function Program:spawn(name, begin, call)
  local actor = {name = name, begin = begin, id = #self.actors + 1}
  if math.random() < 0.15 then
    actor.timeout = math.random() < 0.5 and 0 or TIMEOUT
  end
  self:say("%d: %s%s", actor.id, name,
    actor.timeout and (", timeout %g"):format(actor.timeout) or "")
  actor.greenlet = gevent.spawn(function()
    actor.got = table.pack(call(actor.timeout, actor))
  end)
  self.actors[actor.id] = actor
  table.insert(self.fresh, actor)
end

--- The model: this actor's call has ended, with these results.
function Program.finish(_, actor, ...)
  assert(not actor.expected, "the model ends an actor twice")
  actor.expected, actor.queue = table.pack(...), nil
end

--- The model: this actor waits in that list; `...` is how it ends at expiry.
function Program:wait(actor, queue, ...)
  if actor.timeout == 0 then return self:finish(actor, ...) end
  actor.queue, actor.expiry = queue, table.pack(...)
  table.insert(queue, actor)
end

--- Lets the hub run, and the model follow.
function Program:settle()
  local fresh = self.fresh
  self.fresh = {}
  local timed = false
  for _, actor in ipairs(fresh) do
    if not actor.expected then actor.begin(actor) end
  end
  for _, actor in ipairs(self.actors) do
    if actor.queue and actor.timeout then
      timed = true
      self:leave(actor)
      self:finish(actor, table.unpack(actor.expiry, 1, actor.expiry.n))
    end
  end
  gevent.sleep(0) -- all of them have begun: their time is over before ours
  if timed then gevent.sleep(TIMEOUT * 2) end
  for _ = 1, 8 do gevent.sleep(0) end
end

function Program.leave(_, actor)
  for i, other in ipairs(actor.queue) do
    if other == actor then table.remove(actor.queue, i) end
  end
end

--- Kills some actor that the model has not seen end.
function Program:kill()
  local candidates = {}
  for _, actor in ipairs(self.actors) do
    if not actor.expected then candidates[#candidates + 1] = actor end
  end
  if #candidates == 0 then return end
  local actor = candidates[math.random(#candidates)]
  self:say("kill %d", actor.id)
  if actor.queue then self:leave(actor) end
  self:finish(actor, "killed")
  gevent.kill(actor.greenlet)
end

local function text(results)
  if not results then return "nothing" end
  local parts = {}
  for i = 1, results.n do parts[i] = tostring(results[i]) end
  return table.concat(parts, ", ")
end

--- What has happened to the actors is what the model says.
function Program:compare()
  for _, actor in ipairs(self.actors) do
    local got, expected = actor.got, actor.expected
    if expected and expected[1] == "killed" and not got then
      assert(sync.is_exit(actor.greenlet.value), "not killed")
    elseif text(got) ~= text(expected) then
      error(("actor %d (%s): %s, not %s"):format(actor.id, actor.name,
        text(got), text(expected)))
    end
  end
end

--- Runs one program: `make(program)` returns the steps, functions to choose
-- from, with `check` and `finish` to be called between them and at the end,
-- and `slow` where each step must have its effect before the next.
local function run(seed, make, length)
  math.randomseed(seed)
  local program = setmetatable({log = {}, actors = {}, fresh = {}}, Program)
  local function body()
    local steps = make(program)
    for _ = 1, length do
      steps[math.random(#steps)]()
      if steps.slow or math.random() < 0.4 then
        program:say "settle"
        program:settle()
        program:compare()
        steps.check()
      end
    end
    program:settle()
    steps.finish()
    program:settle()
    program:compare()
    for _, actor in ipairs(program.actors) do
      if not actor.greenlet:join(0) then
        error(("actor %d (%s) is stuck"):format(actor.id, actor.name))
      end
    end
  end
  local ok, err = xpcall(body, debug.traceback)
  if ok then return end
  for _, actor in ipairs(program.actors) do gevent.kill(actor.greenlet) end
  error(("seed %d: %s\nthe program:\n%s"):format(seed, tostring(err),
    table.concat(program.log, "\n")), 0)
end

return {run = run}
