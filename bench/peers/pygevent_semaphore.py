# bench/peers/pygevent_semaphore.py - the semaphore figure with two Semaphores.
# usage: python3 bench/peers/pygevent_semaphore.py [N]
import sys
import time
import gevent
from gevent.lock import Semaphore

n = int(sys.argv[1]) if len(sys.argv) > 1 else 100000
there, back = Semaphore(0), Semaphore(0)


def ping():
    for _ in range(n // 2):
        there.release()
        back.acquire()


def pong():
    for _ in range(n // 2):
        there.acquire()
        back.release()


greenlets = [gevent.spawn(ping), gevent.spawn(pong)]
start = time.process_time()
gevent.joinall(greenlets, raise_error=True)
ns = (time.process_time() - start) * 1e9 / n
print("semaphore pygevent %.1f %d" % (ns, n))
