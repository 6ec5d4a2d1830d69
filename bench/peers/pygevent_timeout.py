# bench/peers/pygevent_timeout.py - the timeout figure with gevent.Timeout.
# usage: python3 bench/peers/pygevent_timeout.py [N]
import sys
import time
import gevent

n = int(sys.argv[1]) if len(sys.argv) > 1 else 200000


def body():
    timeout = gevent.Timeout(10)
    for _ in range(n):
        timeout.start()
        timeout.cancel()


start = time.process_time()
gevent.spawn(body).get()
ns = (time.process_time() - start) * 1e9 / n
print("timeout pygevent %.1f %d" % (ns, n))
