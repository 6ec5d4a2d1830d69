-- A peer that keeps TLS busy with what is no data: new keys without end, each of
-- which asks for an answer that it never reads.

local helper = require "helper"
local tls = require "helper_tls"
local gevent = require "gevent"
local server = require "gevent.server"
local run = require "helper_program".run
local it = helper.it

local FLOOD = [[
#include <arpa/inet.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

int main(int argc, char **argv) {
  struct sockaddr_in a = {.sin_family = AF_INET};
  int fd = socket(AF_INET, SOCK_STREAM, 0), size = 4096;
  long n = argc > 2 ? atol(argv[2]) : 0, i = 0;
  SSL *ssl = SSL_new(SSL_CTX_new(TLS_client_method()));
  a.sin_port = htons((unsigned short)atoi(argv[1]));
  a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
  if (connect(fd, (struct sockaddr *)&a, sizeof a) != 0) return 1;
  SSL_set_fd(ssl, fd);
  if (SSL_connect(ssl) != 1) return 2;
  while (i < n && SSL_key_update(ssl, SSL_KEY_UPDATE_REQUESTED) == 1 &&
         SSL_do_handshake(ssl) == 1)
    i++;
  printf("sent %ld\n", i);
  return 0;
}
]]

local function compiled()
  tls.write("flood.c", FLOOD)
  return pcall(tls.run, "cc -O2 -o flood flood.c -lssl -lcrypto")
end

describe("a peer that changes its keys all the time", function()
  it("is given up when it does not read the answers, and starves nobody", function()
    if not compiled() then return pending "no C compiler" end
    local ended, turns
    local srv = server.StreamServer("127.0.0.1:0", function(sock)
      sock:setsockopt("sndbuf", 4096)
      turns = 0
      ended = table.pack(sock:recv(10))
    end, {ssl_context = tls.server()})
    assert(srv:start())
    local _ <close> = helper.defer(function() srv:stop(0) end)
    local ticker = gevent.spawn(function()
      while true do
        gevent.sleep(0)
        if turns and not ended then turns = turns + 1 end
      end
    end)
    -- A peer that is stopped too early by something else proves nothing.
    for _ = 1, 3 do
      ended = nil
      local peer <close> = run("./flood %s 1000000", srv.port)
      helper.wait_until(function() return ended end, 30)
      peer:expect "sent %d+"
      if ended[3] == "ENOBUFS" then break end
    end
    ticker:kill()
    assert.same({nil, "no buffer space available", "ENOBUFS", n = 3}, ended)
    assert.is_true(turns >= 3, turns .. " turns in all that time")
  end, {deadline = 60})
end)
