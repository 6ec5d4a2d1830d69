# bench/peers/pygevent_spawn.py - the spawn figure with gevent.spawn and join.
# usage: python3 bench/peers/pygevent_spawn.py [N]
import sys
import time
import gevent

n = int(sys.argv[1]) if len(sys.argv) > 1 else 100000


def empty():
    pass


def body():
    spawn = gevent.spawn
    for _ in range(n):
        spawn(empty).join()


start = time.process_time()
gevent.spawn(body).get()
ns = (time.process_time() - start) * 1e9 / n
print("spawn pygevent %.1f %d" % (ns, n))
