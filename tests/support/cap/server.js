// SAP's service definitions, served by SAP's runtime. What an S/4HANA adds to them and the runtime
// does not: CSRF tokens, number ranges, customer numbers and prices.
const { randomBytes } = require('crypto')
const fs = require('fs')
const cds = require('@sap/cds')
const v2 = require('@cap-js-community/odata-v2-adapter')

const tokens = new Map()
const READS = ['GET', 'HEAD', 'OPTIONS']
const session = request => /SAP_SESSIONID_S4H_100=([^;]+)/.exec(request.get('cookie') || '')?.[1]

function csrf(request, response, next) {
  const given = request.get('x-csrf-token') || ''
  if (!READS.includes(request.method) && (!given || tokens.get(session(request)) !== given))
    return response.status(403).set('x-csrf-token', 'Required').type('text').send('CSRF token validation failed')
  if (given.toLowerCase() === 'fetch') {
    const id = randomBytes(12).toString('hex'), token = randomBytes(12).toString('hex')
    tokens.set(id, token)
    const write = response.writeHead
    response.writeHead = function (...args) {
      response.setHeader('x-csrf-token', token)
      response.setHeader('set-cookie', `SAP_SESSIONID_S4H_100=${id}; path=/`)
      return write.apply(this, args)
    }
  }
  next()
}

cds.on('bootstrap', app => {
  app.use(['/sap/opu/odata', '/sap/opu/odata4'], csrf)
  // As a restart does.
  app.post('/forget-sessions', (_, response) => { tokens.clear(); response.sendStatus(204) })
  app.use(v2({ path: 'sap/opu/odata/sap' }))
})

const numbers = { order: 100, partner: 2000000, customer: 18000000, address: 500 }
const today = () => new Date().toISOString().slice(0, 10)

function newOrder({ data }) {
  data.SalesOrder ??= String(++numbers.order)
  data.CreationDate = data.SalesOrderDate = today()
  let total = 0
  ;(data.to_Item || []).forEach((item, index) => {
    item.SalesOrderItem ??= String((index + 1) * 10)
    ;(item.to_PricingElement || []).forEach(price => {
      price.PricingProcedureStep ??= '010'
      price.PricingProcedureCounter ??= '01'
      item.NetAmount = (Number(price.ConditionRateValue) * Number(item.RequestedQuantity)).toFixed(2)
    })
    total += Number(item.NetAmount || 0)
  })
  data.TotalNetAmount = total.toFixed(2)
}

async function newPartner({ data }) {
  data.BusinessPartner ??= String(++numbers.partner)
  data.Customer ??= String(++numbers.customer)
  data.BusinessPartnerName = data.OrganizationBPName1
  data.ETag = randomBytes(6).toString('hex')
  data.LastChangeDate = data.CreationDate = today()
  ;(data.to_BusinessPartnerAddress || []).forEach(address => {
    address.AddressID ??= String(++numbers.address)
    for (const each of [...(address.to_EmailAddress || []), ...(address.to_PhoneNumber || [])]) {
      each.Person ??= ''
      each.OrdinalNumber ??= '1'
    }
  })
}

function changedPartner({ data }) {
  data.ETag = randomBytes(6).toString('hex')
  if (data.OrganizationBPName1) data.BusinessPartnerName = data.OrganizationBPName1
}

cds.on('served', async services => {
  services.API_SALES_ORDER_SRV.before('CREATE', 'A_SalesOrder', newOrder)
  services.API_BUSINESS_PARTNER.before('CREATE', 'A_BusinessPartner', newPartner)
  services.API_BUSINESS_PARTNER.before('UPDATE', 'A_BusinessPartner', changedPartner)
  const seed = JSON.parse(fs.readFileSync('seed.json'))
  for (const [entity, rows] of Object.entries(seed)) await cds.db.run(INSERT.into(entity).entries(rows))
})

module.exports = cds.server
