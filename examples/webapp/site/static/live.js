// Asks once a second what the session's token says, and shows what has changed. The token
// itself never comes here: its cookie can't be read by scripts.

const $ = id => document.getElementById(id)
const clock = new Intl.DateTimeFormat(undefined, { timeStyle: 'medium', hourCycle: 'h23' })
const calendar = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'medium' })

let last = null // the newest state
let ahead = 0 // by how many ms our clock is ahead of the server's
let over = false

async function ask(path, options = {}) {
  const response = await fetch(path, { cache: 'no-store', headers: { Accept: 'application/json' }, ...options })
  if (!response.ok) {
    const problem = await response.json().catch(() => ({}))
    throw Object.assign(new Error(problem.detail || response.statusText), { status: response.status })
  }
  return response.json()
}

function note(list, kind, at, title, detail) {
  const item = document.createElement('li')
  item.className = kind
  const time = document.createElement('time')
  time.dateTime = at.toISOString()
  time.textContent = clock.format(at)
  const text = document.createElement('span')
  text.textContent = title
  item.append(time, text)
  if (detail) {
    const small = document.createElement('small')
    small.textContent = detail
    item.append(small)
  }
  list.prepend(item)
  while (list.children.length > 12) list.lastChild.remove()
}

const saw = (kind, title, detail) => note($('seen'), kind, new Date(), title, detail)

function status(kind, text) {
  if ($('status').textContent === text) return
  $('status').className = `tag ${kind}`
  $('status').textContent = text
}

function show(state) {
  ahead = Date.now() - Date.parse(state.now)
  if (!last) saw('good', 'This page is open', 'Its requests carry the session in a cookie.')
  else if (last.note !== state.note) saw('good', 'The claim arrived', `A new token says: ${state.note}.`)
  else if (last.token !== state.token) saw('good', 'The token was refreshed', `${last.token} was replaced.`)
  const fresh = !last || last.token !== state.token
  last = state
  for (const id of ['token', 'session', 'subject', 'key']) $(id).textContent = state[id]
  for (const id of ['issuedAt', 'expiresAt', 'signedIn', 'endsAt']) $(id).textContent = calendar.format(new Date(state[id]))
  $('amr').textContent = state.amr.join(', ')
  $('note').textContent = state.note || 'not set'
  status('', 'Live')
  if (fresh) trace().catch(() => {})
}

async function trace() {
  const { entries, dropped } = await ask('/live/trace')
  $('trace').replaceChildren()
  if (dropped) note($('trace'), '', new Date(entries[0]?.at ?? Date.now()), `${dropped} earlier decisions`, 'are no longer kept.')
  for (const e of entries) {
    const bad = ['theft', 'revoked', 'end', 'expired'].includes(e.rule)
    note($('trace'), bad ? 'bad' : 'good', new Date(e.at), e.count > 1 ? `${e.rule}, ${e.count} times` : e.rule, e.why)
  }
}

function finish(reason) {
  over = true
  status('bad', 'Over')
  saw('bad', 'This session is over', reason)
  $('change').disabled = $('revoke').disabled = true
  const link = document.createElement('a')
  link.href = '/sign-in'
  link.textContent = 'Sign in again'
  $('explain').replaceChildren(link)
  tick()
}

function tick() {
  if (!last) return
  const total = Date.parse(last.expiresAt) - Date.parse(last.issuedAt)
  const left = over ? 0 : Math.max(0, Date.parse(last.expiresAt) - (Date.now() - ahead))
  const seconds = Math.ceil(left / 1000)
  $('left').textContent = over ? 'over' : `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`
  $('left-of').textContent = over ? 'no token is accepted' : left ? 'until it runs out' : 'due for a refresh'
  $('ring').style.strokeDashoffset = 100 - 100 * left / total
  $('ring').closest('.ring').className = `ring ${over ? 'bad' : left < total / 10 ? 'warn' : ''}`
}

async function poll() {
  try {
    show(await ask('/live/state'))
  } catch (e) {
    // Only a refusal means that the session is over. Without an answer, ask again.
    if (e.status === 401) return finish(e.message)
    status('warn', 'No answer; trying again')
  }
  tick()
  setTimeout(poll, 1000)
}

for (const [button, path, title] of [['change', '/live/note', 'You changed the claim'], ['revoke', '/live/revoke', 'You revoked the session']]) {
  $(button).addEventListener('click', async () => {
    $(button).disabled = true
    saw('', title, 'The token here still says otherwise.')
    try {
      await ask(path, { method: 'POST' })
    } catch (e) {
      saw('bad', 'That failed', e.message)
    }
    $(button).disabled = over
  })
}

setInterval(tick, 250)
poll()
