import { test } from 'tap'
import { asciiName } from '../../services/dns-core/ascii-name.ts'
import { signV4 } from '../../services/dns-core/sigv4.ts'
import { quoteTxt, readName, readTxt } from '../../services/dns-core/txt-values.ts'
import { elementsAt, escapeXml, readXml, textAt } from '../../services/dns-core/xml.ts'
import { Secret } from '../../services/secret.ts'

/** Of the test suite that AWS published for Signature Version 4. */
const suiteKey = {
  accessKeyId: new Secret('AKIDEXAMPLE'),
  secretAccessKey: new Secret('wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY'),
  sessionToken: undefined,
  region: 'us-east-1',
  service: 'service',
}
const suiteTime = Date.UTC(2015, 7, 30, 12, 36)
const form = { 'content-type': 'application/x-www-form-urlencoded' }
const unreserved = '-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'

test('calls are signed as the vectors of AWS have it', (t) => {
  const vectors = [
    ['GET', '/', '', {}, '5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31'],
    ['POST', '/', '', {}, '5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b'],
    [
      'GET',
      '/?Param2=value2&Param1=value1',
      '',
      {},
      'b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500',
    ],
    ['GET', `/${unreserved}`, '', {}, '07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f'],
    ['POST', '/', 'Param1=value1', form, 'ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a'],
  ] as const
  for (const [method, path, body, headers, signature] of vectors) {
    const url = new URL(`https://example.amazonaws.com${path}`)
    const signed = signV4({ method, url, body, headers }, suiteKey, suiteTime)
    const names = [...Object.keys(headers), 'host', 'x-amz-date'].join(';')
    const scope = 'AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request'
    t.equal(signed['authorization'], `${scope}, SignedHeaders=${names}, Signature=${signature}`, `${method} ${path}`)
    t.equal(signed['x-amz-date'], '20150830T123600Z')
  }
  const sessionToken = new Secret(
    'AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMicRXmxfpSPfIeoIYRqTflfKD8YUuwthAx7mSEI/qkPpKPi/kMcGdQrmGdeehM4IC1NtBmUpp2wUE8phUZampKsburEDy0KPkyQDYwT7WZ0wq5VSXDvp75YU9HFvlRd8Tx6q6fE8YQcHNVXAkiY9q6d+xo0rKwT38xVqr7ZD0u0iPPkUL64lIZbqBAz+scqKmlzm8FDrypNC9Yjc8fPOLn9FX9KSYvKTr4rvx3iSIlTJabIQwj2ICCR/oLxBA==',
  )
  const url = new URL('https://example.amazonaws.com/')
  const signed = signV4({ method: 'POST', url, body: '' }, { ...suiteKey, sessionToken }, suiteTime)
  t.match(signed['authorization'], /85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead$/)
  t.equal(signed['x-amz-security-token'], sessionToken.reveal())
  t.end()
})

test('TXT values are un-quoted and joined, whatever escapes the API uses', (t) => {
  t.equal(readTxt('"plain"'), 'plain')
  t.equal(readTxt('bare "text" \\ as it is'), 'bare "text" \\ as it is')
  t.equal(readTxt('"in " "two "\t"pieces"'), 'in two pieces')
  t.equal(readTxt('"say \\"yes\\" \\\\ \\;"'), 'say "yes" \\ ;')
  t.equal(readTxt('"a\\032b\\195\\164"'), 'a bä', 'decimal')
  t.equal(readTxt('"a\\040b\\303\\244"', 'octal'), 'a bä', 'octal')
  t.equal(readTxt('"\\195" "\\164"'), 'ä', 'a character may be cut')
  t.equal(readTxt('"\\255"'), 'ÿ', 'octets that are no UTF-8 are not lost')
  t.equal(readTxt('"\\999"'), '999')
  t.equal(readTxt('"broken'), '"broken')
  t.equal(readTxt('""'), '')
  t.equal(readName('\\052.Example.COM.', 'octal'), '*.example.com')
  t.end()
})

test('what is quoted is read as the same text, in pieces of at most 255 octets', (t) => {
  const texts = ['', 'plain', 'say "yes"', '\\', '\\032', '\\\\"', 'ä€😀', 'x'.repeat(256), 'ä'.repeat(300), '\t\n']
  for (const text of texts) {
    for (const digits of ['decimal', 'octal'] as const) {
      const quoted = quoteTxt(text, digits)
      t.equal(readTxt(quoted, digits), text)
      t.match(quoted, /^[ -~]*$/)
      for (const [, piece = ''] of quoted.matchAll(/"((?:[^"\\]|\\.)*)"/g)) {
        t.ok(piece.replaceAll(/\\(?:\d{3}|.)/g, '_').length <= 255)
      }
    }
    t.equal(readTxt(quoteTxt(text)), text)
  }
  t.equal(quoteTxt('x'.repeat(256)), `"${'x'.repeat(255)}" "x"`)
  t.equal(quoteTxt('ä', 'octal'), '"\\303\\244"')
  t.equal(quoteTxt('ä', 'decimal'), '"\\195\\164"')
  t.equal(quoteTxt('ä'), '"ä"')
  t.end()
})

test('plain XML is read, and nothing that is more than plain', (t) => {
  const text = `<?xml version="1.0"?>\n<A x="1>"><!-- <B> --><B>one &lt;&amp;&#x41;&#66;&gt;</B><B/>\n<C.d-e:f y='"'>two</C.d-e:f></A>\n`
  const document = readXml(text)
  t.equal(document.name, 'A')
  t.same(
    elementsAt(document, 'B').map((each) => each.text),
    ['one <&AB>', ''],
  )
  t.equal(textAt(document, 'C.d-e:f'), 'two')
  t.equal(textAt(document, 'C', 'B'), undefined)
  t.equal(readXml(`<A>${escapeXml('<&>"')}</A>`).text, '<&>"')
  const refused = [
    '',
    'text',
    '<A>',
    '</A>',
    '<A></B>',
    '<A/><B/>',
    '<A/>text',
    '<A><B></A></B>',
    '<A',
    '<A b=1/>',
    '< A/>',
    '<!DOCTYPE A><A/>',
    '<!DOCTYPE A [<!ENTITY x "y">]><A>&x;</A>',
    '<A><![CDATA[x]]></A>',
    '<?php x ?><A/>',
    '<A>&x;</A>',
    '<A>&</A>',
    '<A>&#0;</A>',
    '<A>&#x110000;</A>',
    '<A>&constructor;</A>',
    '<A b="<"/>',
    '<A>'.repeat(40) + '</A>'.repeat(40),
  ]
  for (const each of refused) t.throws(() => readXml(each), SyntaxError, each)
  const start = performance.now()
  for (const bomb of [
    '<A '.repeat(50_000),
    `<A ${'a="b" '.repeat(50_000)}`,
    '<'.repeat(100_000),
    `<A>${'&amp;'.repeat(100_000)}`,
  ]) {
    t.throws(() => readXml(bomb), SyntaxError)
  }
  t.ok(performance.now() - start < 5000, 'in linear time')
  t.end()
})

test('names are compared as A-labels in lower case', (t) => {
  t.equal(asciiName('_acme-challenge.Bücher.example.'), '_acme-challenge.xn--bcher-kva.example')
  t.equal(asciiName('*.example.com'), '*.example.com')
  t.equal(asciiName('a.b.1'), 'a.b.1')
  t.end()
})
