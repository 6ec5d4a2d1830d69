# bench/peers/pygevent_http_hello.py - the http_hello figure with
# gevent.pywsgi, its log off.
# usage: python3 bench/peers/pygevent_http_hello.py PORT
import socket
import sys
from gevent.pywsgi import WSGIServer


def hello(_environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain; charset=utf-8"),
                              ("Content-Length", "5")])
    return [b"hello"]


# What it accepts inherits the option; it sends head and body one by one.
listener = socket.socket()
listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
listener.bind(("127.0.0.1", int(sys.argv[1])))
listener.listen(1024)
listener.setblocking(False)
WSGIServer(listener, hello, log=None).serve_forever()
