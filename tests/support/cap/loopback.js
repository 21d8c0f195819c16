// Loaded before CAP, which listens on every interface: keep it to loopback.
const { Server } = require('net')
const listen = Server.prototype.listen
Server.prototype.listen = function (first, ...rest) {
  if (first && typeof first === 'object' && first.port !== undefined) first = { ...first, host: '127.0.0.1' }
  else if (typeof first === 'number') rest = ['127.0.0.1', ...rest.filter(each => typeof each === 'function')]
  return listen.call(this, first, ...rest)
}
