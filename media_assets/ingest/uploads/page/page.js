'use strict'
// Sends dropped files by tus 1.0, a few at a time, and goes on where it was after a broken connection.

const CHUNK_BYTES = 8 * 1024 * 1024
const AT_ONCE = 3
const RETRY_MS = [500, 1000, 2000, 4000, 8000, 16000, 30000]
const WAITING = new Set([0, 408, 409, 423, 429, 500, 502, 503, 504, 507])

const at = id => document.getElementById(id)
const waiting = []
let running = 0
const counts = { all: 0, done: 0, failed: 0 }

class Refused extends Error {
  constructor (request) {
    let told = ''
    try { told = JSON.parse(request.responseText).error.message } catch { told = request.statusText || 'no answer' }
    super(told)
    this.status = request.status
    this.retryAfter = Number(request.getResponseHeader('Retry-After')) * 1000
  }
}

function ask (method, url, headers, body, onProgress) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest()
    request.open(method, url)
    const all = { 'Tus-Resumable': '1.0.0', Authorization: 'Bearer ' + at('token').value.trim(), ...headers }
    for (const [name, value] of Object.entries(all)) request.setRequestHeader(name, value)
    if (onProgress) request.upload.onprogress = event => onProgress(event.loaded)
    request.onloadend = () => request.status >= 200 && request.status < 300 ? resolve(request) : reject(new Refused(request))
    request.send(body || null)
  })
}

function base64 (text) {
  return btoa(String.fromCharCode(...new TextEncoder().encode(text)))
}

async function begin (file) {
  const headers = { 'Upload-Length': String(file.size), 'Upload-Metadata': 'filename ' + base64(file.name) }
  return new URL((await ask('POST', 'files', headers)).getResponseHeader('Location'), location.href).href
}

async function send (file, show) {
  let url = null
  let offset = 0
  let failures = 0
  for (;;) {
    try {
      if (!url) url = await begin(file)
      if (failures) offset = Number((await ask('HEAD', url, {})).getResponseHeader('Upload-Offset'))
      while (offset < file.size) {
        const headers = { 'Upload-Offset': String(offset), 'Content-Type': 'application/offset+octet-stream' }
        const answer = await ask('PATCH', url, headers, file.slice(offset, offset + CHUNK_BYTES), n => show(offset + n))
        offset = Number(answer.getResponseHeader('Upload-Offset'))
        failures = 0
        show(offset)
      }
      return
    } catch (error) {
      if (error.status === 404 || error.status === 410) url = null
      else if (!WAITING.has(error.status)) throw error
      if (failures === RETRY_MS.length) throw error
      const pause = Math.max(RETRY_MS[failures++], error.retryAfter || 0)
      await new Promise(resolve => setTimeout(resolve, pause))
      if (!url) offset = 0
    }
  }
}

function line (file) {
  const item = document.createElement('li')
  const row = item.appendChild(document.createElement('div'))
  row.className = 'row'
  const name = row.appendChild(document.createElement('span'))
  name.className = 'name'
  name.textContent = file.name
  const told = row.appendChild(document.createElement('span'))
  told.className = 'told'
  told.textContent = 'waiting'
  const bar = item.appendChild(document.createElement('progress'))
  bar.max = file.size || 1
  bar.value = 0
  at('list').appendChild(item)
  return {
    progress (n) {
      bar.value = n
      told.textContent = Math.floor(100 * n / (file.size || 1)) + ' %'
    },
    end (state, text) {
      item.className = state
      told.textContent = text
    }
  }
}

function sum () {
  const failed = counts.failed ? `, ${counts.failed} failed` : ''
  at('sum').textContent = `${counts.done} of ${counts.all} received${failed}`
}

function pump () {
  while (running < AT_ONCE && waiting.length) {
    const { file, shown } = waiting.shift()
    running++
    send(file, shown.progress).then(
      () => { counts.done++; shown.end('done', 'received') },
      error => { counts.failed++; shown.end('failed', error.message) }
    ).finally(() => { running--; sum(); pump() })
  }
}

function add (files) {
  for (const file of files) {
    counts.all++
    waiting.push({ file, shown: line(file) })
  }
  sum()
  pump()
}

const drop = at('drop')
for (const name of ['dragenter', 'dragover']) {
  drop.addEventListener(name, event => { event.preventDefault(); drop.classList.add('over') })
}
for (const name of ['dragleave', 'drop']) drop.addEventListener(name, () => drop.classList.remove('over'))
drop.addEventListener('drop', event => { event.preventDefault(); add(event.dataTransfer.files) })
at('files').addEventListener('change', event => { add([...event.target.files]); event.target.value = '' })
at('choose').addEventListener('keydown', event => { if (event.key === 'Enter' || event.key === ' ') at('files').click() })
window.addEventListener('beforeunload', event => { if (running) event.preventDefault() })
