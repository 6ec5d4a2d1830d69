# bench/peers/pygevent_switch.py - the switch figures with gevent.sleep(0).
# usage: python3 bench/peers/pygevent_switch.py [SWITCHES [GREENLETS=2]]
import sys
import time
import gevent

n = int(sys.argv[1]) if len(sys.argv) > 1 else 200000
k = int(sys.argv[2]) if len(sys.argv) > 2 else 2


def worker():
    sleep = gevent.sleep
    for _ in range(n // k):
        sleep(0)


greenlets = [gevent.spawn(worker) for _ in range(k)]
start = time.process_time()
gevent.joinall(greenlets)
ns = (time.process_time() - start) * 1e9 / n
print("%s pygevent %.1f %d" % ("switch1" if k == 1 else "switch", ns, n))
