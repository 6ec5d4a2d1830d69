// bench/peers/nodews_ws_echo.js - the ws_echo figure with Node's ws.
// usage: node nodews_ws_echo.js PORT
const { WebSocketServer } = require('ws')

const server = new WebSocketServer({
  host: '127.0.0.1', port: Number(process.argv[2])
})
server.on('connection', ws => {
  ws.on('message', (data, binary) => ws.send(data, { binary }))
})
