# bench/peers/pygevent_https.py - the tls figures with gevent for Python.
# usage: python3 bench/peers/pygevent_https.py PORT CERT KEY FILE
import sys
from gevent import ssl
from gevent.pywsgi import WSGIServer


def handle(_environ, start_response):
    start_response("200 OK", [("Content-Type", "application/octet-stream")])
    with open(sys.argv[4], "rb") as source:
        while data := source.read(65536):
            yield data


context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[2], sys.argv[3])
WSGIServer(("127.0.0.1", int(sys.argv[1])), handle, log=None, error_log=None,
           ssl_context=context).serve_forever()
