# bench/peers/pygevent_event.py - the event figure with two Events.
# usage: python3 bench/peers/pygevent_event.py [N]
import sys
import time
import gevent
from gevent.event import Event

n = int(sys.argv[1]) if len(sys.argv) > 1 else 50000
there, back = Event(), Event()


def ping():
    for _ in range(n):
        there.set()
        back.wait()
        back.clear()


def pong():
    for _ in range(n):
        there.wait()
        there.clear()
        back.set()


greenlets = [gevent.spawn(ping), gevent.spawn(pong)]
start = time.process_time()
gevent.joinall(greenlets, raise_error=True)
ns = (time.process_time() - start) * 1e9 / n
print("event pygevent %.1f %d" % (ns, n))
