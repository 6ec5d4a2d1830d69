# bench/peers/pygevent_churn.py - the churn figure with gevent.server.
# usage: python3 pygevent_churn.py PORT
import sys

from gevent.server import StreamServer


def handle(sock, address):
    pass


StreamServer(("127.0.0.1", int(sys.argv[1])), handle,
             backlog=1024).serve_forever()
