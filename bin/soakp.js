#!/usr/bin/env node
// Plain JavaScript that loads nothing before it has looked at Node's version, so that a Node that is too old gets a
// sentence instead of a syntax error or a crash.
const [major, minor] = process.versions.node.split('.').map(Number)
if (major < 22 || (major === 22 && minor < 19)) {
  process.stderr.write(
    `soakp: Node ${process.versions.node} is too old; SOAKP needs 22.19 or newer. In a clone, \`npm start\` and \`npm run soakp\` bring their own.\n`,
  )
  process.exit(1)
}

const { existsSync } = await import('node:fs')
// A clone runs the sources; the published package has only dist.
const source = new URL('../cli/main.ts', import.meta.url)
const { main } = await import(existsSync(source) ? source.href : new URL('../dist/cli/main.js', import.meta.url).href)
await main(process.argv.slice(2))
