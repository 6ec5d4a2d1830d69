# bench/peers/pygevent_echo.py - the echo figure with gevent for Python.
# usage: python3 bench/peers/pygevent_echo.py PORT
import socket
import sys
from gevent.server import StreamServer


def handle(sock, _address):
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    while True:
        data = sock.recv(4096)
        if not data:
            return
        sock.sendall(data)


StreamServer(("127.0.0.1", int(sys.argv[1])), handle).serve_forever()
