# bench/peers/pygevent_pingpong.py - the pingpong figure with two Queue(1).
# usage: python3 bench/peers/pygevent_pingpong.py [N]
import sys
import time
import gevent
from gevent.queue import Queue

n = int(sys.argv[1]) if len(sys.argv) > 1 else 50000
there, back = Queue(1), Queue(1)


def ping():
    for i in range(n):
        there.put(i)
        assert back.get() == i


def pong():
    for _ in range(n):
        back.put(there.get())


greenlets = [gevent.spawn(ping), gevent.spawn(pong)]
start = time.process_time()
gevent.joinall(greenlets, raise_error=True)
ns = (time.process_time() - start) * 1e9 / n
print("pingpong pygevent %.1f %d" % (ns, n))
