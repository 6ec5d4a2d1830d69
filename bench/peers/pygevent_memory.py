# bench/peers/pygevent_memory.py - the memory figure with gevent.sleep.
# usage: python3 bench/peers/pygevent_memory.py [N]
import gc
import os
import sys
import gevent

n = int(sys.argv[1]) if len(sys.argv) > 1 else 100000


def resident():
    gc.collect()
    with open("/proc/self/statm") as f:
        return int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


begun = 0


def blocked():
    global begun
    begun += 1
    gevent.sleep(86400)


gevent.spawn(blocked)
gevent.sleep(0.01)
rss = resident()
for _ in range(n):
    gevent.spawn(blocked)
while begun <= n:
    gevent.sleep(0)
print("memory pygevent %.0f %d" % ((resident() - rss) / n, n))
sys.stdout.flush()
os._exit(0)
