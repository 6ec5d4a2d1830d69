// bench/peers/node_echo.js - the echo figure with Node's net.
// usage: node node_echo.js PORT
const net = require('net')

net.createServer({ noDelay: true }, sock => {
  sock.on('data', data => sock.write(data))
  sock.on('error', () => sock.destroy())
}).listen(Number(process.argv[2]), '127.0.0.1', 1024)
