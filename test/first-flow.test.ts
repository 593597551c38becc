import { test } from 'tap'
import { startSoakp } from './support/soakp.ts'

test('a key goes in, a token comes out, and the SDK streams a completion over HTTPS', async (t) => {
  const soakp = await startSoakp(t)
  const { token } = await soakp.saveKey()
  const stream = await soakp.openai(token).chat.completions.create({
    model: 'practice-fast',
    messages: [{ role: 'user', content: 'first light' }],
    stream: true,
  })
  let text = ''
  for await (const chunk of stream) text += chunk.choices[0]?.delta.content ?? ''
  t.match(text, /first light/)
})
