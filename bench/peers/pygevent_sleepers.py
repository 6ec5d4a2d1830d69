# bench/peers/pygevent_sleepers.py - the sleepers figure with gevent.sleep.
# usage: python3 bench/peers/pygevent_sleepers.py [N]
import sys
import time
import gevent

n = int(sys.argv[1]) if len(sys.argv) > 1 else 100000


def sleeper(i):
    gevent.sleep(1 + i * 7919 % n / n)


start = time.process_time()
gevent.joinall([gevent.spawn(sleeper, i) for i in range(1, n + 1)])
print("sleepers pygevent %.1f %d" % ((time.process_time() - start) * 1e9 / n,
                                     n))
