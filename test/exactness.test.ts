import { test } from 'tap'
import { OK, RAW_KEY, startPassing } from './support/passing.ts'
import { answerText, exchange, openWire, requestText } from './support/wire.ts'

const EVERY_BYTE = String.fromCharCode(...Array.from({ length: 256 }, (_, index) => index))
const BIG = EVERY_BYTE.repeat(1_024)

const headersOf = (lines: readonly string[]) => lines.flatMap((line) => line.split(/: ?(.*)/s, 2))

test('what the client sends is what the upstream gets', async (t) => {
  const { upstream, pass } = await startPassing(t)

  await t.test('a target arrives byte for byte after the base URL', async (step) => {
    const targets = [
      '',
      '?',
      '/',
      '//a//',
      '/a%2Fb%2fc/%E2%82%AC',
      '/x?a=1&a=2&&=%20+;[]|{}"<>^`~!$\'()*,:@',
      `/${'p'.repeat(8_000)}?q`,
    ]
    for (const target of targets) {
      const { request } = await pass([`GET /v1${target} HTTP/1.1`])
      step.equal(request.line, `GET /v1${target} HTTP/1.1`)
    }
    const { request } = await pass(['GET /openai/models/a?b HTTP/1.1'])
    step.equal(request.line, 'GET /v1/models/a?b HTTP/1.1')
  })

  await t.test('headers keep their order, spelling, repetition and bytes', async (step) => {
    const lines = [
      'X-First: 1',
      'x-lower: 2',
      'ACCEPT: a, b;q=0',
      'X-Same: 1',
      'x-same: 2',
      'X-Empty:',
      'X-Latin: \xe9\xff\x80',
    ]
    const known = [
      'OpenAI-Beta: assistants=v2',
      'X-Stainless-Lang: js',
      'Idempotency-Key: k',
      'User-Agent: Mine/1',
      'Accept-Encoding: br',
    ]
    const long = `X-Long: ${'v'.repeat(12_000)}`
    const { request } = await pass(['GET /v1/x HTTP/1.1', ...lines, ...known, long])
    step.same(request.headers.slice(4), [
      'Authorization',
      `Bearer ${RAW_KEY}`,
      ...headersOf([...lines, ...known, long]),
    ])
    const { host } = new URL(upstream.url)
    step.same(request.headers.slice(0, 4), ['host', host, 'connection', 'keep-alive'])
  })

  await t.test('what is about our own front, connection and page stays here', async (step) => {
    const credentials = ['Cookie: a=b', 'Proxy-Authorization: Basic eA==', 'X-Api-Key: x']
    const front = ['Forwarded: for=1.2.3.4', 'Via: 1.1 x', 'X-Forwarded-For: 1.2.3.4', 'X-HTTP-Method-Override: DELETE']
    const page = ['Referer: https://a.example/', 'Sec-Fetch-Mode: cors']
    const hop = ['Keep-Alive: 300', 'TE: trailers', 'Upgrade: h2c', 'X-Hop: 1', 'Connection: x-hop, keep-alive']
    const lines = ['GET /v1/x HTTP/1.1', ...credentials, ...front, 'X-Stays: 1', ...page, ...hop]
    const { request, answer } = await pass(lines)
    step.same(request.headers.slice(4), ['Authorization', `Bearer ${RAW_KEY}`, 'X-Stays', '1'])
    step.equal(answer, OK)
  })

  await t.test('a body arrives byte for byte, however it is framed, with every method', async (step) => {
    for (const method of ['POST', 'PUT', 'PATCH', 'DELETE', 'GET', 'QUERY', 'PROPFIND']) {
      for (const sent of [EVERY_BYTE, BIG]) {
        const lines = [`${method} /v1/x HTTP/1.1`, 'Content-Type: a/b; charset="x"']
        const sized = await pass([...lines, `Content-Length: ${sent.length}`], { body: sent })
        step.ok(sized.body === sent, `${method} of known length`)
        step.same(sized.request.headers.slice(-2), ['content-length', `${sent.length}`])
        const chunks = [sent.slice(0, 7), sent.slice(7)].map((each) => `${each.length.toString(16)};a=b\r\n${each}\r\n`)
        const chunked = await pass([...lines, 'Transfer-Encoding: chunked'], {
          body: `${chunks.join('')}0\r\nX-T: 1\r\n\r\n`,
        })
        step.ok(chunked.body === sent, `${method} in chunks`)
        step.same(chunked.request.headers.slice(-2), ['transfer-encoding', 'chunked'])
      }
    }
    const empty = await pass(['POST /v1/x HTTP/1.1', 'Content-Length: 0'])
    step.same([empty.body, ...empty.request.headers.slice(-2)], ['', 'content-length', '0'])
  })
})

test('what the upstream answers is what the client gets', async (t) => {
  const { pass } = await startPassing(t)
  const get = ['GET /v1/x HTTP/1.1']
  const sized = (line: string, ...headers: readonly string[]) =>
    answerText([line, ...headers, 'Content-Length: 4'], 'body')
  const wholes = {
    'a creation with a relative location': sized('HTTP/1.1 201 Created', 'Location: /v1/realtime/calls/rtc_1'),
    'a part of a file': sized('HTTP/1.1 206 Partial Content', 'Content-Range: bytes 0-3/9', 'Accept-Ranges: bytes'),
    'a permanent redirect': sized('HTTP/1.1 301 Moved', 'Location: https://elsewhere.example/'),
    'a redirect that keeps the method': sized('HTTP/1.1 307 There', 'Location: /v1/y'),
    'a refusal with words of its own': sized('HTTP/1.1 418 I am a teapot; go away', 'Retry-After: 1'),
    'an overload that asks to come again': sized('HTTP/1.1 503 Busy', 'Retry-After: 1', 'retry-after-ms: 5'),
    'an unknown status': sized('HTTP/1.1 799 Who Knows'),
    'a reason in UTF-8': sized('HTTP/1.1 200 gr\xc3\xbcn'),
    'a refusal with a reason in UTF-8': sized('HTTP/1.1 422 \xe6\x97\xa5'),
    'no reason at all': sized('HTTP/1.1 200 '),
    'repeated headers in their spelling': sized(
      'HTTP/1.1 200 OK',
      'X-A: 1',
      'x-a: 2',
      'X-Latin: \xe9',
      'x-REQUEST-id: r',
      'ETag: "w"',
    ),
    'a date of its own': sized('HTTP/1.1 200 OK', 'date: Thu, 01 Jan 1970 00:00:00 GMT'),
    'an encoding that nobody touched': sized('HTTP/1.1 200 OK', 'Content-Encoding: gzip', 'Vary: Accept-Encoding'),
    'a refusal in an encoding that is none': sized('HTTP/1.1 400 Bad', 'Content-Encoding: constructor'),
    nothing: answerText(['HTTP/1.1 204 No Content', 'X-A: 1']),
    'nothing new, of stated length': answerText(['HTTP/1.1 304 Not Modified', 'ETag: "x"', 'Content-Length: 99']),
    'every byte': answerText(['HTTP/1.1 200 OK', `Content-Length: ${BIG.length}`], BIG),
    'a long refusal': answerText(['HTTP/1.1 400 Bad', `Content-Length: ${BIG.length}`], BIG),
  }
  for (const [title, answer] of Object.entries(wholes)) {
    await t.test(title, async (step) => step.ok((await pass(get, { answer })).answer === answer, answer.slice(0, 60)))
  }

  await t.test('the answer to HEAD is its head, refusals too', async (step) => {
    for (const line of ['HTTP/1.1 200 OK', 'HTTP/1.1 404 Nothing Here']) {
      const answer = answerText([line, 'Content-Length: 1234', 'X-A: 1'])
      step.equal((await pass(['HEAD /v1/x HTTP/1.1'], { answer })).answer, answer)
    }
  })

  await t.test('a stream in chunks comes in chunks, its trailers are dropped', async (step) => {
    const head = ['HTTP/1.1 200 OK', 'Content-Type: text/event-stream', 'Transfer-Encoding: chunked']
    const chunks = '4\r\nabcd\r\n5\r\nefghi\r\n0\r\n'
    const { answer } = await pass(get, { answer: answerText([...head, 'Trailer: X-T'], `${chunks}X-T: 1\r\n\r\n`) })
    step.equal(answer, answerText(head, `${chunks}\r\n`))
    const announced = await pass(get, { answer: OK.replace('\r\n', '\r\nTrailer: X-T\r\n') })
    step.equal(announced.answer, OK, 'an announced trailer of an answer of known length does no harm')
  })

  await t.test('an answer that ends with its connection is whole', async (step) => {
    const { answer } = await pass(get, { answer: answerText(['HTTP/1.1 200 OK'], 'to the end'), isLast: true })
    step.equal(answer, answerText(['HTTP/1.1 200 OK', 'Transfer-Encoding: chunked'], 'a\r\nto the end\r\n0\r\n\r\n'))
  })

  await t.test('an answer that was cut short arrives cut short', async (step) => {
    const partOfSized = answerText(['HTTP/1.1 200 OK', 'Content-Length: 99'], 'part')
    step.equal((await pass(get, { answer: partOfSized, isLast: true })).answer, partOfSized)
    const partOfChunks = answerText(['HTTP/1.1 200 OK', 'Transfer-Encoding: chunked'], '4\r\npart\r\n')
    step.equal((await pass(get, { answer: partOfChunks, isLast: true })).answer, partOfChunks)
  })

  await t.test('interim answers are left out', async (step) => {
    step.equal((await pass(get, { answer: answerText(['HTTP/1.1 103 Early Hints', 'Link: </a>']) + OK })).answer, OK)
  })

  await t.test('what frames the message or names the account stays here', async (step) => {
    const kept = [
      'Connection: x-hop, close',
      'X-Hop: 1',
      'Keep-Alive: timeout=5',
      'Upgrade: h2c',
      'Set-Cookie: a=b',
      'Alt-Svc: h3=":443"',
    ]
    kept.push(
      'OpenAI-Organization: o',
      'OpenAI-Project: p',
      'Strict-Transport-Security: max-age=1',
      'Access-Control-Allow-Origin: *',
    )
    step.equal((await pass(get, { answer: OK.replace('\r\n', `\r\n${kept.join('\r\n')}\r\n`) })).answer, OK)
  })
})

test('connections are used as HTTP says', async (t) => {
  const { soakp, upstream, authorization, pass } = await startPassing(t)
  const whole = /ok$/

  await t.test('an HTTP/1.0 client gets a stream without chunks and the end of the connection', async (step) => {
    const chunks = answerText(['HTTP/1.1 200 OK', 'Transfer-Encoding: chunked'], '2\r\nok\r\n0\r\n\r\n')
    step.equal((await pass(['GET /v1/x HTTP/1.0'], { answer: chunks })).answer, answerText(['HTTP/1.1 200 OK'], 'ok'))
  })

  await t.test('pipelined requests are answered in their order', async (step) => {
    upstream.answer(({ line, wire }) => wire.write(OK.replace('ok', line.slice(8, 10))))
    const wire = await openWire(step, soakp)
    const paths = ['a1', 'a2', 'a3']
    wire.write(paths.map((path) => requestText([`GET /v1/${path} HTTP/1.1`, authorization])).join(''))
    const answers = await wire.until(/a3$/)
    step.same(answers.match(/a\d/g), paths)
    step.equal(wire.end, undefined, 'and the connection stays')
  })

  await t.test('an answer without a body leaves the connection as it was', async (step) => {
    for (const head of ['HTTP/1.1 304 Not Modified\r\nContent-Length: 99', 'HTTP/1.1 204 No Content']) {
      const wire = await openWire(step, soakp)
      for (const answer of [`${head}\r\n\r\n`, OK]) {
        upstream.answer((request) => request.wire.write(answer))
        wire.write(requestText(['GET /v1/x HTTP/1.1', authorization]))
        step.ok(await wire.until(answer === OK ? whole : /\r\n\r\n$/))
      }
    }
  })

  await t.test('100 Continue is said once the token was found good, and to nobody else', async (step) => {
    upstream.answer(async ({ body, wire }) => {
      wire.write((await body()) === 'body' ? OK : 'wrong')
    })
    const lines = ['POST /v1/x HTTP/1.1', 'Expect: 100-continue', 'Content-Length: 4']
    const wire = await openWire(step, soakp)
    wire.write(requestText([...lines, authorization]))
    step.equal(await wire.until(/\r\n\r\n/), 'HTTP/1.1 100 Continue\r\n\r\n')
    wire.write('body')
    await wire.until(whole)
    const before = upstream.requests.length
    step.match(await exchange(step, soakp, [...lines, 'Authorization: Bearer none']), /^HTTP\/1\.1 401 /)
    step.match(await exchange(step, soakp, lines), /^HTTP\/1\.1 401 /)
    step.equal(upstream.requests.length, before)
  })

  await t.test('an early answer is delivered, and the connection can be used when the rest has come', async (step) => {
    upstream.answer(({ wire, line }) => wire.write(line.startsWith('POST') ? OK.replace('200 OK', '413 Enough') : OK))
    for (const frame of [`Content-Length: ${BIG.length + 70_000}`, 'Transfer-Encoding: chunked']) {
      const wire = await openWire(step, soakp)
      const first = frame.startsWith('T') ? `${(70_000).toString(16)}\r\n` : ''
      wire.write(requestText(['POST /v1/x HTTP/1.1', frame, authorization], first + 'x'.repeat(70_000)))
      step.match(await wire.until(whole), /^HTTP\/1\.1 413 Enough/)
      wire.write(first === '' ? BIG : `\r\n${BIG.length.toString(16)}\r\n${BIG}\r\n0\r\n\r\n`)
      wire.write(requestText(['GET /v1/x HTTP/1.1', authorization]))
      step.match(await wire.until(/ok.*ok$/s), /HTTP\/1\.1 200 OK/)
    }
  })

  await t.test('the beginning of the path must be written as it is', async (step) => {
    const before = upstream.requests.length
    for (const target of ['/%761/x', '/v1%2fx', '/v1/../x', '/v1/%2e%2e/x', '/V1/x', 'http://elsewhere.example/v1/x']) {
      step.match(await exchange(step, soakp, [`GET ${target} HTTP/1.1`, authorization]), /^HTTP\/1\.1 40[04] /, target)
    }
    step.equal(upstream.requests.length, before)
  })
})
