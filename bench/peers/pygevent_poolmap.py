# bench/peers/pygevent_poolmap.py - the poolmap figure with gevent.pool.
# usage: python3 bench/peers/pygevent_poolmap.py [N]
import sys
import time
import gevent
from gevent.pool import Pool

n = int(sys.argv[1]) if len(sys.argv) > 1 else 30000


def double(x):
    return 2 * x


def body():
    ten, items = Pool(10), list(range(1, 101))
    for _ in range(n // 100):
        result = ten.map(double, items)
        assert len(result) == 100 and result[99] == 200


start = time.process_time()
gevent.spawn(body).get()
ns = (time.process_time() - start) * 1e9 / n
print("poolmap pygevent %.1f %d" % (ns, n))
