// bench/peers/node_http_hello.js - the http_hello figure with Node's http.
// usage: node node_http_hello.js PORT
const http = require('http')

http.createServer((req, res) => {
  res.writeHead(200, {
    'Content-Type': 'text/plain; charset=utf-8', 'Content-Length': 5
  })
  res.end('hello')
}).listen(Number(process.argv[2]), '127.0.0.1', 1024)
